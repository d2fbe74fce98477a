"""Trainings that hash what they are after every step, and that can be cut at one."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from tests.training.two_ranks import digest
from vqaudio.training import loop
from vqaudio.training.checkpoint import load_newest
from vqaudio.training.distributed import Ranks


class State(dict[str, Any]):
    """Digests of all that a training is, by name; plain numbers are themselves."""

    def differing(self, other: State | None) -> str:
        """Name what is not the same in another."""
        if other is None:
            return "there is no such step in the other"
        names = [name for name in {**self, **other} if self.get(name) != other.get(name)]
        return f"{', '.join(names)} not the same"


@dataclass
class Records:
    """What one rank saw: states by the number of steps done, and whether it trained to the end, and came to what."""

    steps: dict[int, State] = field(default_factory=dict)
    whole: bool = False
    end: State = field(default_factory=State)


@dataclass(frozen=True)
class Cut:
    """A training's end after `step` steps: the last rank gets SIGTERM, or all ranks are killed by SIGKILL.

    `evaluated`: the signal comes right after the evaluation of that step, and not before it.
    """

    step: int
    killed: bool = False
    evaluated: bool = False

    def is_done_in(self, result: Records | BaseException) -> bool:
        """Whether a rank's run ended by this cut."""
        if self.killed:
            return isinstance(result, EOFError)
        return isinstance(result, Records) and not result.whole and max(result.steps, default=0) == self.step


def record(ranks: Ranks, cut: Cut | None, job: Callable, *args: Any) -> Records:
    """Train by job(ranks, *args), the last of which is the experiment folder, until the cut; return what was seen."""
    expdir, records = args[-1], Records()
    resumed = load_newest(expdir / "checkpoints") is not None
    with ExitStack() as stack:
        stack.enter_context(patch.object(loop, "time", Clock(records)))
        # Measured again, another precision comes out: it must not be measured again.
        measured = torch.float32 if resumed else torch.bfloat16
        chosen = loop.choose_precision
        stack.enter_context(patch.object(
            loop, "choose_precision",
            lambda wanted, *given: measured if wanted == "auto" else chosen(wanted, *given),
        ))  # fmt: skip
        stack.enter_context(patch.object(loop.Trainer, "_step", _recording(records, cut, ranks)))
        stack.enter_context(patch.object(loop.Trainer, "_evaluate", _evaluating(cut, ranks)))
        records.whole = job(ranks, *args)
    if records.whole and ranks.first:
        records.end = _end(expdir)
    return records


class Clock:
    """In place of the module `time`: a second goes by in every step, and none between them."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def perf_counter(self) -> float:
        """Return the number of steps that this process has made."""
        return float(len(self._records.steps))

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def _recording(records: Records, cut: Cut | None, ranks: Ranks) -> Callable:
    original = loop.Trainer._step

    def step(trainer, batch):
        done = trainer.progress.step
        if cut is not None and cut.killed and done == cut.step:
            os.kill(os.getpid(), signal.SIGKILL)
        scalars = original(trainer, batch)
        records.steps[done + 1] = state_of(trainer, batch)
        if cut is not None and not (cut.killed or cut.evaluated) and done + 1 == cut.step:
            _terminate_last(ranks)
        return scalars

    return step


def _evaluating(cut: Cut | None, ranks: Ranks) -> Callable:
    original = loop.Trainer._evaluate

    def evaluate(trainer, *given, **named):
        original(trainer, *given, **named)
        if cut is not None and cut.evaluated and trainer.progress.step == cut.step:
            _terminate_last(ranks)

    return evaluate


def _terminate_last(ranks: Ranks) -> None:
    if ranks.rank == ranks.world_size - 1:
        os.kill(os.getpid(), signal.SIGTERM)


def state_of(trainer: loop.Trainer, batch: Any) -> State:
    """Return what a training is after a step, and which crops it has taken."""
    step = trainer.progress.step
    modules = trainer.task.modules.state_dict()
    codebook = {name: modules.pop(name) for name in list(modules) if "quantizer" in name}
    return State(
        weights=digest(modules),
        codebook=digest(codebook),
        optimizer=digest(trainer.update.optimizer.state_dict()),
        average=digest(trainer.average.state_dict()),
        schedule=(trainer.schedule.learning_rate(step), trainer.schedule.total_steps, trainer.progress.elapsed),
        random=digest(torch.get_rng_state()),
        data=digest(vars(batch)),
    )


def _end(expdir: Path) -> State:
    """Return what the newest checkpoint and the published model hold."""
    _, state = load_newest(expdir / "checkpoints")
    state["progress"].pop("throughput")  # of the steps since the last line of the log
    for name in ("good_step", "learned"):  # of the checkpoints that there were: a stop makes one more
        state["divergence"].pop(name)
    model = hashlib.sha256((expdir / "model" / "model.safetensors").read_bytes()).hexdigest()
    return State({name: digest(value) for name, value in state.items()}, model=model)
