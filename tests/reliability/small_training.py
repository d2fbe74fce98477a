"""A training of seconds that trials cut short in a process of its own, and what must be left of it each time."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.training.conftest import vqvae_config, write_corpus
from tests.training.two_ranks import CONTEXT
from vqaudio.audio.atomic import UNFINISHED
from vqaudio.config import VQVAETrainingConfig
from vqaudio.training import loop
from vqaudio.training.best import read_best
from vqaudio.training.checkpoint import checkpoint_paths, load_checkpoint, load_newest
from vqaudio.training.digest import digest
from vqaudio.training.vqvae import train_vqvae

LIMIT = 120.0
"""Seconds after which a process counts as hanging."""
INTERVAL = 5
"""Steps between checkpoints."""


@dataclass(frozen=True)
class SmallTraining:
    """A corpus, a configuration, and what becomes of them without an interruption: `final`."""

    corpus: Path
    config: VQVAETrainingConfig
    final: str = ""

    def run(self, expdir: Path) -> bool:
        """Train in this process."""
        torch.set_num_threads(1)
        return train_vqvae(self.config, self.corpus / "train", self.corpus / "dev", expdir)


def prepare(folder: Path, dev_seconds: float = 0.2, **changes: Any) -> SmallTraining:
    """Write the corpus, and train once without an interruption."""
    write_corpus(folder / "train", {"a": 0.6, "b": 0.5, "c": 0.02, "d": 0.4})
    write_corpus(folder / "dev", {"e": dev_seconds, "f": dev_seconds})
    wanted = {"checkpoint_interval": INTERVAL, "eval_interval": 2 * INTERVAL, "log_interval": 4} | changes
    training = SmallTraining(folder, vqvae_config(**wanted))
    process = begin(training.run, folder / "whole")
    process.join(LIMIT)
    if process.exitcode != 0:
        raise AssertionError(f"a training that nothing disturbs ends with the status {process.exitcode}")
    return SmallTraining(folder, training.config, final_state(folder / "whole"))


def begin(job: Callable, *args: Any) -> Any:
    """Start job(*args) in a process forked from a warm one; its status is 1 where it raises, with a traceback."""
    process = CONTEXT.Process(target=job, args=args, daemon=True)
    process.start()
    return process


def final_state(expdir: Path) -> str:
    """Return a digest of all that a finished training leaves, but for what tells of time and of older checkpoints."""
    path, state = load_newest(expdir / "checkpoints")
    state["divergence"] = state["divergence"]["window"]
    state["progress"] = {
        k: v for k, v in state["progress"].items() if k not in ("elapsed", "spectral_seconds", "throughput")
    }
    model = (expdir / "model" / "model.safetensors").read_bytes()
    return digest([path.name, state, model.hex(), (expdir / "checkpoints" / "best.json").read_text()])


def newest_step(expdir: Path) -> int:
    """Return the step that resuming begins at."""
    found = load_newest(expdir / "checkpoints")
    return 0 if found is None else found[1]["step"]


def what_is_wrong(expdir: Path, completed: int) -> str:
    """Say what is wrong with an experiment folder whose process was killed after `completed` steps; '' if nothing."""
    step = newest_step(expdir)
    if not step <= completed <= step + INTERVAL:
        return f"step {completed} was completed, and what can be loaded is of step {step}"
    if len(checkpoint_paths(expdir / "checkpoints")) > 2 + 3:  # the best, the last good one; one not yet deleted
        return f"checkpoints pile up: {sorted(p.name for p in (expdir / 'checkpoints').iterdir())}"
    unfinished = sorted(p.name for p in expdir.rglob(f"{UNFINISHED}*"))
    if len(unfinished) > 1:  # that at which it was killed
        return f"unfinished files pile up: {', '.join(unfinished)}"
    best = read_best(expdir / "checkpoints")
    if (expdir / "checkpoints" / "best.json").exists() and best is None:
        return "the best checkpoint is gone"
    if best is not None:
        load_checkpoint(expdir / "checkpoints" / best.checkpoint)
    return ""


class Told:
    """A number that one process tells another, which is there though the first one is killed."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with open(path, "r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 8)

    def tell(self, number: int) -> None:
        """Tell the number."""
        self._shared[:] = struct.pack("<q", number)

    def heard(self) -> int:
        """Return what was told last; 0 if nothing was."""
        return struct.unpack("<q", self._shared[:])[0]


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait until something is so, at most LIMIT seconds."""
    end = time.monotonic() + LIMIT
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)


def tell_steps(path: Path) -> None:
    """In this process, tell every completed step of the training; beside it, in PATH.begun, that there was one."""
    told, begun, original = Told(path), Told(path.with_name(f"{path.name}.begun")), loop.Trainer._step

    def step(trainer: loop.Trainer, batch: Any) -> dict:
        scalars = original(trainer, batch)
        told.tell(trainer.progress.step + 1)
        begun.tell(1)
        return scalars

    loop.Trainer._step = step


def kill_self() -> None:
    """End this process as the kernel does."""
    os.kill(os.getpid(), signal.SIGKILL)


def say_into(path: Path) -> None:
    """Let this process write its messages to a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stderr.reconfigure(line_buffering=True)
