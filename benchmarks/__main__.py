"""Run benchmarks: each path in a process of its own, so that none depends on what another left behind."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import peers
from benchmarks.paths import PATHS, choose, failed, measure
from benchmarks.readme import update_readme
from benchmarks.rows import Row, markdown
from benchmarks.timing import FULL, QUICK, surroundings, use_cores
from vqaudio.audio.atomic import write_text_whole
from vqaudio.errors import VQAudioError

ROOT = Path(__file__).parents[1]


def main(words: Sequence[str] | None = None) -> int:
    """Carry out the command line; return the exit status."""
    try:
        carry_out(build_parser().parse_args(words))
    except VQAudioError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    return 0


def carry_out(options: argparse.Namespace) -> None:
    """Do what the options say. Raises VQAudioError for a user's mistake."""
    names = choose(options.paths)
    if options.install:
        peers.install()
    elif options.list:
        width = max(map(len, names))
        print("\n".join(f"{name:<{width}}  {PATHS[name].what}" for name in names))
    elif options.readme:
        update_readme(options.readme, ROOT / "README.md")
    elif options.here:
        run_here(names[0], options)
    else:
        run_all(names, options)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("paths", nargs="*", metavar="PATH", help="what to measure (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to FILE, too")
    parser.add_argument("--quick", action="store_true", help="see that all runs; the figures mean little")
    parser.add_argument("--list", action="store_true", help="list the paths")
    parser.add_argument("--install", action="store_true", help=f"install what is compared with into {peers.FOLDER}")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="put the rows of such a FILE into README.md")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one path, in this process
    return parser


def run_all(names: Sequence[str], options: argparse.Namespace) -> None:
    """Measure the paths one after the other and print the table; the JSON file grows with each."""
    results: list[tuple[Row, dict]] = []
    write_json(options.json, results)  # if it cannot be written, that shows at once
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        results.append(run_apart(name, options.quick))
        write_json(options.json, results)
    print(f"{headline(results)}\n\n{markdown([row for row, _ in results])}", end="")


def write_json(path: Path | None, results: Sequence[tuple[Row, dict]]) -> None:
    """Write the rows, each with its surroundings, as a list; nothing without a path."""
    if path is not None:
        content = [{**row.to_json(), **where} for row, where in results]
        write_text_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def run_apart(name: str, quick: bool) -> tuple[Row, dict]:
    """Measure a path in another process; return its row and the surroundings."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "row.json"
        command = [sys.executable, "-m", "benchmarks", name, "--here", "--json", str(result)]
        done = subprocess.run(command + ["--quick"] * quick, cwd=ROOT, stdout=subprocess.DEVNULL)
        if not result.exists():
            row = failed(name, f"the process ended with status {done.returncode}")
            return row, {**surroundings(), "cores": PATHS[name].cores}
        content = json.loads(result.read_text(encoding="utf-8"))
        return Row(**content["row"]), content["surroundings"]


def run_here(name: str, options: argparse.Namespace) -> None:
    """Measure a path in this process, on its cores, and write row and surroundings to the JSON file."""
    effort = QUICK if options.quick else FULL
    try:
        use_cores(PATHS[name].cores)
        row = measure(name, effort)
    except VQAudioError as error:  # not the cores that it needs
        row = failed(name, str(error))
    content = {"row": row.to_json(), "surroundings": surroundings()}
    write_text_whole(options.json, json.dumps(content))


def headline(results: Sequence[tuple[Row, dict]]) -> str:
    """Say where and when the figures were taken."""
    where = results[0][1]
    more = [row.path for row, place in results if place["cores"] > 1]
    cores = "one core each" + (f" ({', '.join(more)}: more)" if more else "")
    return f"{where['machine'].partition(',')[0]}, {cores}, torch {where['torch']}, {where['date']}"


if __name__ == "__main__":
    sys.exit(main())
