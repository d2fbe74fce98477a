"""Moments at which a training is killed: any, by the clock, or a phase in the writing of a checkpoint."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tests.reliability.small_training import SmallTraining, kill_self, say_into, tell_steps
from vqaudio.training import keeping

PHASES = ("byte", "fsync", "replace", "unlink")
"""While the file is written; when the disk is waited for; when it gets its name; when an old checkpoint is deleted."""
NOT_MET = 99
LONGEST_WAIT = 0.5
"""Seconds from the first step, or from the beginning of the process: some ten steps and two checkpoints."""


@dataclass(frozen=True)
class ByTheClock:
    """So many seconds after the process, or its first step, began."""

    seconds: float
    in_steps: bool


def draw_by_the_clock(random: np.random.Generator) -> ByTheClock:
    """Return a random moment: one in four while the training starts."""
    return ByTheClock(random.uniform(0, LONGEST_WAIT), bool(random.integers(4)))


@dataclass(frozen=True)
class InWriting:
    """A phase in the writing of the checkpoint with this number in the process; `share` of the bytes are written."""

    phase: str
    number: int
    share: float
    before: bool
    """Or after what the phase does."""


def draw_in_writing(random: np.random.Generator) -> InWriting:
    """Return a random phase of one of the next three checkpoints."""
    phase = PHASES[random.integers(len(PHASES))]
    return InWriting(phase, int(random.integers(1, 4)), float(random.random()), bool(random.integers(2)))


def train_until_killed(
    training: SmallTraining, expdir: Path, told: Path, moment: InWriting | ByTheClock | None
) -> None:
    """Train in this process, which kills itself at the moment."""
    say_into(expdir.parent / "said")
    tqdm.set_lock(threading.RLock())  # its own is a semaphore of the system's, which a killed process leaves behind
    tell_steps(told)
    if isinstance(moment, InWriting):
        _arm(moment)
    training.run(expdir)


def _arm(moment: InWriting) -> None:
    """Let saving the checkpoint of the moment's number, or the next one that comes to its phase, be this process's end.

    A checkpoint that is saved without coming to a phase that every one has is a mistake of the trial.
    """
    count, save, undo = 0, keeping.save_checkpoint, _traps(moment)

    def saving(*args: Any, **options: Any) -> Path:
        nonlocal count
        count += 1
        if count < moment.number:
            return save(*args, **options)
        for setting in undo:
            setting()
        path = save(*args, **options)
        if moment.phase != "unlink":
            os._exit(NOT_MET)
        return path

    keeping.save_checkpoint = saving


def _traps(moment: InWriting) -> list[Callable[[], None]]:
    """Return what sets the trap."""
    if moment.phase == "byte":
        return [lambda: setattr(torch, "save", _save_a_part(torch.save, moment.share))]
    original = getattr(os, moment.phase)

    def trapped(*args: Any, **options: Any) -> Any:
        if moment.phase == "unlink" and not str(args[0]).endswith(".pt"):
            return original(*args, **options)
        if moment.before:
            kill_self()
        with suppress(BaseException):
            original(*args, **options)
        kill_self()

    return [lambda: setattr(os, moment.phase, trapped)]


def _save_a_part(save: Callable, share: float) -> Callable:
    def save_a_part(state: Any, file: Any) -> None:
        whole = io.BytesIO()
        save(state, whole)
        file.write(whole.getvalue()[: int(share * len(whole.getvalue()))])
        file.flush()
        sys.stderr.flush()
        kill_self()

    return save_a_part
