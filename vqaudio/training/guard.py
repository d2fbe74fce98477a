"""What ends a training that is not worth going on with, and what is said then: the step, the cause, the way back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from vqaudio.errors import TrainingError
from vqaudio.training.checkpoint_names import checkpoint_name
from vqaudio.training.distributed import Ranks
from vqaudio.training.divergence import Divergence
from vqaudio.training.update import NonFinite

USUAL = 1e-3
"""A learning rate at which everything here has trained."""


class Guard:
    """Raises TrainingError, on all ranks alike, where a training is lost. `checkpoints`: the folder that has them.

    Every method is for all ranks to call at the same step.
    """

    def __init__(self, divergence: Divergence, checkpoints: Path, ranks: Ranks) -> None:
        self.divergence, self.checkpoints, self.ranks = divergence, checkpoints, ranks

    def look(self, step: int) -> None:
        """Raise where the loss is finite, and yet bad for good."""
        lost = self.divergence.verdict(step, self.ranks)
        if lost:
            raise TrainingError(f"step {step}: {lost}. {self._way_back()}")

    def before_saving(self, step: int, state: Mapping[str, Any]) -> None:
        """Raise where a checkpoint would hold what is not finite; else take note whether it is a good one."""
        found = self.ranks.from_first(lambda: not_finite(state))
        if found:
            raise TrainingError(
                f"step {step}: {found} holds numbers that are not finite, though the loss is; nothing was saved. "
                f"{self._way_back()}"
            )
        self.divergence.saved(step)

    def stop(self, step: int, found: NonFinite, names: str) -> NoReturn:
        """Raise for a loss that is not finite; `names`: the utterances of this rank's batch.

        Where the loss is not finite on one rank, no rank has a finite gradient.
        """
        losses = self.ranks.gathered((found.loss, names))
        chosen = [rank for rank, (value, _) in enumerate(losses) if not math.isfinite(value)] or [0]
        value, names = losses[chosen[0]]
        where = "" if self.ranks.alone else f" on rank {', '.join(map(str, chosen))} of {self.ranks.world_size}"
        raise TrainingError(
            f"step {step}: the loss is {value}{where} and the gradient's norm {found.norm}; nothing was updated. "
            f"Utterances of the batch: {names}. training.precision=float32 may help, where it was not used. "
            f"{self._way_back()}"
        )

    def _way_back(self) -> str:
        good, rate = self.divergence.good_step, self.divergence.schedule.config.learning_rate
        return self.ranks.from_first(lambda: way_back(self.checkpoints, good, rate))


def way_back(checkpoints: Path, good_step: int | None, learning_rate: float) -> str:
    """Return sentences: which checkpoint is the last good one, and how to go on from it at a lower rate."""
    lower = f"training.learning_rate={min(learning_rate / 10, USUAL):g}"
    high = f"training.learning_rate={learning_rate:g} may be too high"
    good = None if good_step is None else checkpoints / checkpoint_name(good_step)
    if good is None or not good.is_file():
        return f"No checkpoint was saved while all was well. {high}: begin anew with --set {lower} and another --expdir"
    return (
        f"The last good checkpoint is {good}. {high}. This folder keeps its configuration; to go on from there at a "
        f"lower rate: mkdir -p NEW/checkpoints, cp {good} NEW/checkpoints, and the same command with --set {lower} "
        "--expdir NEW"
    )


def not_finite(state: Any, where: str = "") -> str:
    """Return the name of the first tensor of nested state that holds NaN or infinity; '' where all are finite.

    A codebook's sums or Adam's moments can overflow without a loss that shows it at once.
    """
    if isinstance(state, Tensor):
        return "" if not state.is_floating_point() or bool(torch.isfinite(state).all()) else where
    items = (
        state.items() if isinstance(state, Mapping) else enumerate(state) if isinstance(state, (list, tuple)) else ()
    )
    for key, value in items:
        if found := not_finite(value, f"{where}.{key}" if where else str(key)):
            return found
    return ""
