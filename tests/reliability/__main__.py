"""Runs the trials: `python -m tests.reliability --json FILE [--share 0.1] [--only kill disk]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from tests.reliability.promises import NAMES, ROOT, Account, Promise, find_promise, hold_to_account
from vqaudio.audio.atomic import write_text_whole
from vqaudio.training.machine import processor_name

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- trials:begin -->", "<!-- trials:end -->"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trials and return 0 where every promise held."""
    options = parse(argv)
    accounts = []
    for name in options.only:
        accounts.append(run_one(find_promise(name), options.share, options.seed))
        if options.json:
            write_text_whole(options.json, json.dumps([account.row() for account in accounts], indent=1) + "\n")
    table = table_of(accounts)
    print(table)
    if options.page:
        write_page(table)
    return 0 if all(account.tried == account.held for account in accounts) else 1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--json", type=Path, help="file to write rows {promise, tried, held} to, after each promise")
    parser.add_argument("--share", type=share, default=1.0, help="share of each count, in (0, 1]; all, without it")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME", help=" ".join(NAMES))
    parser.add_argument("--seed", type=int, default=0, help="of the random moments and mutants")
    parser.add_argument("--page", action="store_true", help=f"write the table into {PAGE.relative_to(ROOT)}")
    return parser.parse_args(argv)


def share(text: str) -> float:
    """Return a number in (0, 1]."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number above 0 and at most 1")
    return value


def run_one(promise: Promise, share: float, seed: int) -> Account:
    """Try one promise, and say how it goes."""
    count, started = promise.share(share), time.monotonic()
    print(f"{promise.name}: {promise.words} ({count} trials)", file=sys.stderr, flush=True)

    def tell(account: Account) -> None:
        seconds, done = time.monotonic() - started, account.tried + len(account.skipped)
        left = seconds / done * (count - done)
        line = f"  {done} of {count}, {account.held} held, {seconds:.0f} s, {left:.0f} s left   "
        if sys.stderr.isatty():
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
        elif done % max(1, count // 10) == 0:
            print(line.rstrip(), file=sys.stderr, flush=True)

    account = hold_to_account(promise, count, seed, tell)
    print(f"\n  {account.held} of {account.tried} held, {time.monotonic() - started:.0f} s", file=sys.stderr)
    for words in account.broken[:10]:
        print(f"  BROKEN: {words}", file=sys.stderr)
    for reason in sorted(set(account.skipped)):
        print(f"  skipped {account.skipped.count(reason)}: {reason}", file=sys.stderr)
    sys.stderr.flush()
    return account


def table_of(accounts: Sequence[Account]) -> str:
    """Return the accounts as a table in Markdown."""
    lines = ["| promise | trial | tried | held |", "| :--- | :--- | ---: | ---: |"]
    for account in accounts:
        promise = find_promise(account.promise)
        name = f"{promise.words} [{promise.name}]"
        lines.append(f"| {name} | {promise.trial} | {account.tried:,} | {account.held:,} |")
    return "\n".join(lines)


def write_page(table: str) -> None:
    """Put the table, with machine and date, into the page between its marks."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    about = f"*{processor_name()}, {os.cpu_count()} cores, {date.today()}.*"
    write_text_whole(PAGE, f"{before}{BEGIN}\n{about}\n\n{table}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
