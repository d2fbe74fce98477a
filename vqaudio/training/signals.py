"""SIGINT and SIGTERM, turned into a request to stop at the next step."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopRequest:
    """Within the block, the first SIGINT or SIGTERM sets `signal`; a second one interrupts at once, if `insistent`.

    Ranks of a training get it twice where a scheduler signals all processes of a job: from there, and from torchrun,
    which kills after half a minute what does not end. A second one means nothing to them.
    """

    latest: signal.Signals | None = None
    """The last such signal of the process: the command's exit status tells which it was."""

    def __init__(self, insistent: bool = True) -> None:
        self.insistent = insistent
        self.signal: signal.Signals | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # Python delivers signals nowhere else
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            if self.insistent:
                raise KeyboardInterrupt
            return
        self.signal = StopRequest.latest = signal.Signals(number)
