"""Which checkpoint had the best score on the dev set so far: checkpoints/best.json."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqaudio.training.checkpoint import checkpoint_name
from vqaudio.untrusted import read_json

logger = logging.getLogger(__name__)
BEST = "best.json"


@dataclass(frozen=True)
class Best:
    """The checkpoint with the lowest score so far. A score that is not finite is none."""

    step: int
    checkpoint: str
    """Its name, in the same folder."""
    score: str
    """What is compared, by its name in TensorBoard."""
    value: float


def read_best(folder: Path) -> Best | None:
    """Return what `best.json` of a folder of checkpoints says; None where there is none that can be read.

    It is None too where the checkpoint that it names is not there.
    """
    found = read_note(folder / BEST)
    if found is None:
        return None
    try:
        best = Best(int(found["step"]), checkpoint_name(found["step"]), str(found["score"]), float(found["value"]))
    except (ValueError, TypeError, KeyError) as error:
        logger.warning("%s cannot be read, and the best checkpoint is sought anew: %s", folder / BEST, error)
        return None
    return best if (folder / best.checkpoint).is_file() else None


def better(best: Best | None, step: int, score: str, value: float) -> Best | None:
    """Return the checkpoint after `step` steps as the best one, where its score is lower than that of `best`.

    Evaluated once more, the best one stays the best.
    """
    if not math.isfinite(value) or (best is not None and step != best.step and value >= best.value):
        return None
    return Best(step, checkpoint_name(step), score, value)


def read_note(path: Path) -> dict[str, Any] | None:
    """Return the object in a small file of JSON; None, with a warning, for one that cannot be read."""
    if not path.is_file():
        return None
    try:
        found = read_json(path)
        if not isinstance(found, dict):
            raise ValueError(f"it holds {type(found).__name__}, expected an object")
    except (OSError, ValueError) as error:
        logger.warning("%s cannot be read, and is made anew: %s", path, error)
        return None
    return found
