"""Trials done by worker processes: a crash or a hang of one is its outcome, and the others go on."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

WORKERS = 2
Trial = Callable[[Any], str]


def in_workers(trial: Trial, cases: Sequence[Any], seconds: float) -> Iterator[str]:
    """Yield what `trial` returns for each case, in any order, from processes forked of this one.

    A trial that takes longer than `seconds`, raises, or ends its process is an outcome in words.
    """
    waiting = iter(cases)
    workers = [worker for worker in (_Worker(trial, waiting) for _ in range(WORKERS)) if worker.begin()]
    try:
        while workers:
            ready = wait([worker.pipe for worker in workers], timeout=1.0)
            for worker in list(workers):
                outcome = worker.outcome(worker.pipe in ready, seconds)
                if outcome is not None:
                    yield outcome
                    if not worker.begin():
                        workers.remove(worker)
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process that does one case after the other, and is replaced where it dies."""

    def __init__(self, trial: Trial, waiting: Iterator[Any]) -> None:
        self._trial, self._waiting = trial, waiting
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self._process = context.Process(target=_work, args=(self._trial, other), daemon=True)
        self._process.start()
        other.close()

    def begin(self) -> bool:
        """Begin the next case; False, having ended, where there is none."""
        for case in self._waiting:
            self._case, self._since = case, time.monotonic()
            self.pipe.send(case)
            return True
        self.end()
        return False

    def outcome(self, ready: bool, seconds: float) -> str | None:
        """Return what became of the case; None where it is still going on."""
        if ready:
            try:
                return self.pipe.recv()
            except EOFError:
                self._process.join(10)
                return self._replaced(f"the process ended with status {self._process.exitcode}")
        if time.monotonic() - self._since > seconds:
            return self._replaced(f"not done after {seconds:g} s")
        return None

    def _replaced(self, words: str) -> str:
        self.end()
        self._start()
        return f"{self._case}: {words}"

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join(10)
        self.pipe.close()


def _work(trial: Trial, pipe: Connection) -> None:
    while True:
        try:
            case = pipe.recv()
        except EOFError:
            return
        try:
            outcome = trial(case)
        except Exception:
            outcome = f"{case}: {traceback.format_exc()}"
        pipe.send(outcome)
