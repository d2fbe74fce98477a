"""Ctrl-C and its kin, turned into something to look at."""

from __future__ import annotations

import signal
from types import FrameType


class Stopping:
    """Within the block, SIGINT, SIGTERM and SIGHUP are counted: jobs are asked to end by the first, killed by a second.

    What the shell that called us has ignored stays ignored (`nohup`, `&`).
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.count = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Stopping:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._count)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or signal.Signals(number)
        self.count += 1
