"""Jobs dealt to places with room for some at a time: what `local` and `ssh` have in common."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from jobs.report import Outcome, Report
from jobs.stopping import Stopping
from jobs.task import Task
from jobs.worker import NO_LOG, STARTED

LOOK_EVERY = 0.05  # seconds
PATIENCE = 10.0
"""Seconds after the grace, within which what is killed must have ended; then we go without it."""


@dataclass(eq=False)
class Place:
    """A machine, with as many slots as jobs may run there at once."""

    name: str
    slots: list[str | None]
    """Of each free slot its GPUs, as in CUDA_VISIBLE_DEVICES; None where a job shall see what there is."""
    reach: Callable[[list[str]], list[str]] = list
    """Turns a command for that machine into one for this."""
    shy: bool = False
    """Whether it takes the next job only when the last one runs: SSH servers refuse connections that come too thick."""


class Running:
    """A job on its way, and the line to its worker."""

    def __init__(self, job: int, place: Place, gpus: str | None, command: list[str]) -> None:
        self.job, self.place, self.gpus = job, place, gpus
        self.started = False
        self.said: list[str] = []
        """What came back in its place: the words of ssh, or of a machine where it cannot run."""
        self.process = subprocess.Popen(
            place.reach(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we pass it on
        )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            text = line.decode("utf-8", "replace").strip()
            if text == STARTED:
                self.started, self.said = True, []
            elif text:
                self.said = [*self.said[-19:], text]

    def order(self, letter: bytes) -> None:
        """Say to the worker what `worker.ORDERS` lists; nothing where it has ended."""
        with suppress(BrokenPipeError):
            self.process.stdin.write(letter)
            self.process.stdin.flush()

    def status(self) -> int | None:
        """Return its exit status, 128 + N for the signal N; None as long as it runs."""
        status = self.process.poll()
        if status is None:
            return None
        self._listener.join(PATIENCE)
        return status if status >= 0 else 128 - status


class Pool:
    """Runs the jobs of a task on places, `most` at a time.

    `together`: they are parts of one job, the n-th on the n-th place, and none goes on without the others.
    """

    def __init__(
        self,
        task: Task,
        places: Sequence[Place],
        report: Report,
        stopping: Stopping,
        most: int,
        together: bool = False,
        options: Callable[[int], list[str]] = lambda job: [],
    ) -> None:
        self.task, self.places, self.report, self.stopping = task, list(places), report, stopping
        self.most, self.together, self.options = most, together, options
        self.running: list[Running] = []
        self.waiting: deque[int] = deque()
        self.outcomes: dict[int, Outcome] = {}
        self._asked = 0  # how often jobs were asked to end
        self._deadline = float("inf")

    def run(self, jobs: Sequence[int]) -> dict[int, Outcome]:
        """Run the jobs; return how those ended that were begun, in that order. After a failure no others begin."""
        self.waiting.extend(jobs)
        while self.running or (self.waiting and not self._over()):
            if not self._over():
                self._start_what_fits()
            for run in list(self.running):
                self._collect(run)
            self._heed_signals()
            self.report.counts(len(self.waiting), len(self.running), len(self.outcomes))
            self.report.follow()
            time.sleep(LOOK_EVERY)
        return self.outcomes

    def _over(self) -> bool:
        return self.stopping.count > 0 or any(outcome.status != 0 for outcome in self.outcomes.values())

    def _start_what_fits(self) -> None:
        for place in self.places:
            while self.waiting and len(self.running) < self.most and self._takes_another(place):
                job, gpus = self.waiting.popleft(), place.slots.pop(0)
                options = ["--watch", *(["--gpus", gpus] if gpus is not None else []), *self.options(job)]
                command = self.task.worker(0 if self.together else job, *options)
                self.running.append(Running(job, place, gpus, command))

    def _takes_another(self, place: Place) -> bool:
        starting = any(run.place is place and not run.started for run in self.running)
        return bool(place.slots) and not (place.shy and starting)

    def _collect(self, run: Running) -> None:
        status = run.status()
        if status is None:
            return
        self.running.remove(run)
        run.place.slots.append(run.gpus)
        if run.started:
            # 255 is what ssh ends with when a connection breaks; it has said why then, as a worker has without a log.
            reason = run.said[-1] if status in (255, NO_LOG) and run.said else ""
            self._end(run, Outcome(status, run.place.name, reason))
        elif not self.stopping.count:
            self._do_without(run.place, run, run.said[-1] if run.said else f"status {status}, without a word")

    def _end(self, run: Running, outcome: Outcome) -> None:
        self.outcomes[run.job] = outcome
        if self.together and outcome.status != 0:
            self._order(b"i")

    def _do_without(self, place: Place, run: Running, reason: str) -> None:
        """Send the job of a machine that cannot be reached, or cannot run jobs, to another one."""
        name = place.name or "this machine"
        self.places.remove(place)
        if self.together or not self.places:
            others = "" if self.together else ", and no other machine is left"
            self._end(run, Outcome(None, reason=f"{name} cannot be used ({reason}){others}"))
        else:
            self.waiting.appendleft(run.job)
            self.report.say(f"{name} cannot be used ({reason}); its jobs go to other machines")

    def _heed_signals(self) -> None:
        if self.stopping.count > self._asked:
            gently = self._asked == 0 and self.stopping.count == 1
            self._asked = self.stopping.count
            self._order((b"t" if self.stopping.signal is signal.SIGTERM else b"i") if gently else b"k")
            self.report.stopping(self.stopping, gently)
            self._deadline = time.monotonic() + PATIENCE + (self.task.grace if gently else 0)
        if time.monotonic() > self._deadline:
            for run in self.running:
                run.process.kill()

    def _order(self, letter: bytes) -> None:
        for run in self.running:
            run.order(letter)
