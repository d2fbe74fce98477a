"""A sign of life: heartbeat.json says what a training is at, how far it is, how fast, and for how long still.

It is one small file, replaced as a whole: for `cat`, a cluster's scripts and `vqaudio info`. Only rank 0 writes it.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqaudio.audio.atomic import write_whole
from vqaudio.errors import VQAudioError
from vqaudio.training.progress import format_seconds

if TYPE_CHECKING:
    from vqaudio.training.loop import Trainer

logger = logging.getLogger(__name__)
NAME = "heartbeat.json"
INTERVAL = 30.0
"""Seconds between beats within a phase, where steps do not take longer."""
LOG_INTERVAL = 300.0
"""Seconds after which the log gets a line, though `log_interval` steps are not over."""
TRAINING, DONE, STOPPED, FAILED = "training", "done", "stopped", "failed"
ENDS = (DONE, STOPPED, FAILED)
"""Phases after which a process does no more."""


class Heartbeat:
    """Writes into a folder, or nowhere (None). A failing disk is told once, and the training goes on.

    `facts` returns what is known of the training; of them the line for humans needs `step`, `total_steps`, `items`,
    `items_per_step`, `items_per_second` and `seconds_left`.
    """

    def __init__(self, folder: Path | None, facts: Callable[[], dict[str, Any]]) -> None:
        self.path = None if folder is None else folder / NAME
        self._facts = facts
        self._phase, self._started = "", _now()
        self._written, self._logged = float("-inf"), time.monotonic()
        self._before: tuple[float, int] | None = None  # of the last beat while training: when, and after which step
        self._speed: float | None = None
        self._failed = False

    def beat(self, phase: str, why: str = "") -> None:
        """Write, where the phase is another one or the last beat was a while ago; `why` says how the training ended."""
        now = time.monotonic()
        if self.path is None or (phase == self._phase and now - self._written < INTERVAL):
            return
        facts = self._facts()
        self._measure(phase, facts, now)
        facts["items_per_second"] = self._speed or facts["items_per_second"]
        line = line_of(phase, facts) + (f": {why}" if why else "")
        self._phase, self._written = phase, now
        self._write({"line": line, "time": _now(), "phase": phase, **({"why": why} if why else {}), **facts})
        if phase == TRAINING and now - self._logged > LOG_INTERVAL:
            logger.info("%s", line)
            self._logged = now

    def logged(self) -> None:
        """Take note that the log has got a line."""
        self._logged = time.monotonic()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Write how the block ends, where an exception ends it."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            self.beat(STOPPED, "interrupted; nothing was saved at that moment")
            raise
        except BaseException as error:
            self.beat(FAILED, " ".join(str(error).split())[:2000] or type(error).__name__)
            raise

    def _measure(self, phase: str, facts: Mapping[str, Any], now: float) -> None:
        """Take the speed since the last beat, where both are of steps."""
        before, self._before = self._before, (now, facts["step"]) if phase == TRAINING else None
        if phase == TRAINING and before is not None and before[1] < facts["step"]:
            self._speed = round((facts["step"] - before[1]) * facts["items_per_step"] / (now - before[0]), 1)

    def _write(self, content: dict[str, Any]) -> None:
        about = {"process": os.getpid(), "host": socket.gethostname(), "started": self._started}
        try:
            with write_whole(self.path, durable=False) as file:
                file.write((json.dumps({**content, **about}, indent=1) + "\n").encode())
        except (VQAudioError, OSError) as error:
            if not self._failed:
                logger.warning("no sign of life can be written: %s; the training goes on", error)
            self._failed = True


def facts_of(trainer: Trainer) -> dict[str, Any]:
    """Return what a heartbeat says of a training."""
    progress, schedule, best = trainer.progress, trainer.schedule, trainer.checkpoints.best
    return {
        "step": progress.step,
        "total_steps": schedule.total_steps,
        "items": trainer.task.items,
        "items_per_step": trainer.task.items_per_step * trainer.ranks.world_size,
        "items_per_second": round(progress.throughput, 1) or None,
        "seconds_left": round(schedule.seconds_left(progress.step, progress.elapsed, progress.spectral_seconds)),
        "score": trainer.checkpoints.evaluated,
        "best": None if best is None else asdict(best),
    }


def line_of(phase: str, facts: Mapping[str, Any]) -> str:
    """Return what a heartbeat says to humans: 'training: step 1,200 of 5,000 (24%), 75,000 samples/s, 3:20 left'."""
    step, total, speed, left = (facts[k] for k in ("step", "total_steps", "items_per_second", "seconds_left"))
    far = f"step {step:,}" + (f" of {total:,} ({step / total:.0%})" if total else "")
    fast = f", {speed:,.0f} {facts['items']}/s" if speed else ""
    long = f", {format_seconds(left)} left" if left is not None and phase not in ENDS else ""
    return f"{phase}: {far}{fast}{long}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
