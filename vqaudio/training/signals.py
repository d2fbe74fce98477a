"""SIGINT, SIGTERM and SIGUSR1, turned into a request to stop at the next step; or at once, where nothing is lost by it.

SIGTERM is how Slurm, Kubernetes and people preempt; SIGUSR1 is what cluster scripts usually have Slurm send some time
before a job's end (`#SBATCH --signal=USR1@120`), as submitit and PyTorch Lightning do.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
REMINDER = 0.5
"""Seconds after which work that a signal has not broken off is told again."""


class Interrupted(BaseException):
    """A signal arrived where work may be broken off. No Exception: libraries that catch all of those let it pass."""


class StopRequest:
    """Within the block, the first signal sets `signal`; a second Ctrl-C interrupts at once, if `insistent`.

    Schedulers repeat SIGTERM, and send it after SIGUSR1: only Ctrl-C means haste. Ranks of a training get even that
    twice, from the terminal and from torchrun, which kills after half a minute what does not end.
    """

    latest: signal.Signals | None = None
    """The last such signal of the process: the command's exit status tells which it was."""

    def __init__(self, insistent: bool = True) -> None:
        self.insistent = insistent
        self.signal: signal.Signals | None = None
        self._interruptible = False
        self._reminder: threading.Timer | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # Python delivers signals nowhere else
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a signal raise Interrupted in the block, be it one that has come before.

        For work that is done again after resuming, and leaves nothing half changed that a checkpoint would keep: it may
        end between any two of its instructions. A call of compiled code is finished before. Where the exception gets
        lost, as in a destructor, it is raised again after a moment.
        """
        self._interruptible = True
        try:
            if self.signal is not None:
                raise Interrupted
            yield
        finally:
            self._interruptible = False
            if self._reminder is not None:
                self._reminder.cancel()
                self._reminder.join()  # so that its signal comes while it is still ours

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT and self.insistent:
            raise KeyboardInterrupt
        if self.signal is None:
            self.signal = StopRequest.latest = signal.Signals(number)
        if self._interruptible:
            self._reminder = threading.Timer(REMINDER, self._remind)
            self._reminder.start()
            raise Interrupted

    def _remind(self) -> None:
        if self._interruptible:
            os.kill(os.getpid(), signal.SIGTERM)
