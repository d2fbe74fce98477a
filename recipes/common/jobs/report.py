"""What the user sees: how far the jobs are, a single job's output, and why one failed."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.request import Request
from jobs.stopping import Stopping
from jobs.task import Task
from jobs.worker import HEADER_END

FOOTER = re.compile(rb"^# Ended \(code [0-9]+\) at .*\n\Z", re.MULTILINE)
LAST_LINES = 15
QUIET = 10.0
"""Seconds between two lines about progress, where they cannot take each other's place."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    status: int | None
    """Exit status; None where it could not run to an end."""
    where: str = ""
    reason: str = ""
    """What else is known of why it failed."""
    more: tuple[str, ...] = ()
    """Lines that somebody else than the job has left about it."""

    def __str__(self) -> str:
        """Return the end of a sentence that begins with the job."""
        lost = "was lost" if self.where else "could not be run"
        words = lost if self.status is None else f"failed with status {self.status}"
        if self.status is not None and 128 < self.status < 128 + signal.NSIG:
            number = self.status - 128
            words += f" ({signal.strsignal(number) or f'signal {number}'})"
        return words + (f" on {self.where}" if self.where else "") + (f": {self.reason}" if self.reason else "")


class Report:
    """The messages of one call of the launcher; they go to the standard error, and the job's output to the output."""

    def __init__(self, request: Request, task: Task) -> None:
        self.name, self.task, self.numbers = request.name, task, request.numbers
        self.single = request.jobs is None
        self._follower = Follower(task.log_of(request.numbers[0])) if self.single else None
        self._on_terminal = sys.stderr.isatty() and not self.single
        self._last, self._last_time = "", -QUIET

    def say(self, text: str) -> None:
        """Print a line."""
        self._clear()
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)

    def progress(self, text: str) -> None:
        """Say how far the jobs are: in the same place on a terminal, else on lines of their own, now and then."""
        if text == self._last:
            return
        if self._on_terminal:
            print(f"\r{self.name}: {text}\x1b[K", end="", file=sys.stderr, flush=True)
        elif self.single or time.monotonic() >= self._last_time + QUIET:
            print(f"{self.name}: {text}", file=sys.stderr, flush=True)
            self._last_time = time.monotonic()
        else:
            return
        self._last = text

    def counts(self, waiting: int, running: int, done: int, why: str = "") -> None:
        """Say how many jobs wait, run and have ended. Of a single one its output speaks."""
        if not self.single:
            self.progress(f"{waiting} waiting{why}, {running} running, {done} done")

    def follow(self) -> None:
        """Pass on what a single job has written since the last call."""
        if self._follower:
            self._follower.look()

    def stopping(self, stopping: Stopping, gently: bool) -> None:
        """Say that the jobs are asked to end, or killed."""
        again = "; a second Ctrl-C kills them" if stopping.signal is signal.SIGINT else ""
        self.say(
            f"{stopping.signal.name}: jobs have {self.task.grace} s to end{again}" if gently else "killing the jobs"
        )

    def _clear(self) -> None:
        if self._on_terminal and self._last:
            print("\r\x1b[K", end="", file=sys.stderr)
            self._last = ""

    def conclude(self, outcomes: Mapping[int, Outcome], stopping: Stopping) -> int:
        """Say what failed, and return the exit status of it all."""
        if self._follower:
            self._follower.pass_on()
        self._clear()
        if stopping.signal:
            self.say(f"stopped by {stopping.signal.name}")
            return 128 + stopping.signal
        failed = {job: outcome for job, outcome in outcomes.items() if outcome.status != 0}
        not_run = [job for job in self.numbers if job not in outcomes]
        if self.single:
            return self._conclude_single(failed)
        if failed:
            self._show_first(failed)
        if failed or not_run:
            left = f"; not run: {ranges(not_run)}" if not_run else ""
            self.say(f"{len(failed)} of {len(self.numbers)} jobs failed: {ranges(failed)}{left}")
            return 1
        return 0

    def _conclude_single(self, failed: Mapping[int, Outcome]) -> int:
        """The first to fail of its parts counts: the others were stopped then. The log of part 0 has been seen."""
        for node, outcome in failed.items():
            log = self.task.log_of(0, node)
            for line in (*(last_lines(log) if node else ()), *outcome.more):
                print(f"  | {line}", file=sys.stderr)
            self.say(f"{outcome}{f'. Its log: {self.task.shown(log)}' if log.exists() else ''}")
            return outcome.status or 1
        return 0

    def _show_first(self, failed: Mapping[int, Outcome]) -> None:
        job, outcome = next(iter(failed.items()))
        log = self.task.log_of(job)
        lines = last_lines(log)
        self.say(f"job {job} {outcome}{f'. The end of its log, {self.task.shown(log)}:' if lines else ''}")
        for line in (*lines, *outcome.more):
            print(f"  | {line}", file=sys.stderr)


class Follower:
    """Passes on what is added to a log between its header and its last line."""

    def __init__(self, log: Path) -> None:
        self._log, self._at, self._body = log, 0, False
        self._began = self._next = time.monotonic()

    def look(self) -> None:
        """Pass on what is new, but look less often with time: the log may lie on a file server."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + min(1.0, (now - self._began) / 50)
            self.pass_on()

    def pass_on(self) -> None:
        """Write what is new to the standard output, as it is: progress bars go on working."""
        try:
            with open(self._log, "rb") as file:  # opened anew: that has a network file system look for news
                file.seek(self._at)
                new = file.read()
        except OSError:
            return
        if not self._body:
            end = new.find(HEADER_END)
            if end < 0:
                return
            self._body, skipped = True, end + len(HEADER_END)
            self._at, new = self._at + skipped, new[skipped:]
        self._at += len(new)
        try:
            sys.stdout.buffer.write(FOOTER.sub(b"", new))
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # nobody reads on (| head): the job goes on, and the log has it all
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def last_lines(path: Path, most: int = LAST_LINES) -> list[str]:
    """Return the last lines of a text; [] where there is none. A progress bar is one line, as it was last."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 64 * 1024))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return []
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    return [line for line in lines if line.strip()][-most:]


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers in short: 1-3, 7."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in parts)
