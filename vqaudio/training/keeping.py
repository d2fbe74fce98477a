"""The checkpoints of one training: the newest ones and the best, as long as the disk has room."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from vqaudio.audio.atomic import write_text_whole
from vqaudio.audio.space import require_space
from vqaudio.errors import VQAudioError
from vqaudio.training.best import BEST, better, read_best, read_note
from vqaudio.training.checkpoint import checkpoint_name, checkpoint_paths, load_newest, save_checkpoint

logger = logging.getLogger(__name__)
EVALUATED = "evaluated.json"
PATIENCE = 3
"""Checkpoints in a row that fail before the training does: an hour's full disk must not end a week's work."""


class Checkpoints:
    """What a training keeps in `folder`: the newest `keep` checkpoints, and the one with the lowest dev score."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self.last: Path | None = None
        self.best = read_best(folder)
        self.evaluated = read_note(folder / EVALUATED)
        """Step, name and value of the last score on the dev set."""
        self._failures = 0

    def load_newest(self) -> tuple[Path, dict[str, Any]] | None:
        """Return the newest whole checkpoint, as `checkpoint.load_newest`; the training goes on from there."""
        found = load_newest(self.folder)
        step = -1
        if found is not None:
            self.last, step = found[0], found[1]["step"]
        if self.best is not None and self.best.step > step:  # its checkpoint was passed over: it comes again
            self.best = None
        return found

    def require_room(self, size: int) -> None:
        """Raise VQAudioError where the disk lacks room for those that are to come, of about `size` bytes each."""
        most = self.keep + 3  # the best and the last good one, and one that is being written: older ones go after it
        count = max(1, most - len(checkpoint_paths(self.folder)))
        what = "a checkpoint" if count == 1 else f"{count} checkpoints (training.keep_checkpoints: {self.keep})"
        require_space(self.folder, count * size, what)

    def is_saved(self, step: int) -> bool:
        """Whether the last whole checkpoint is the one after `step` steps."""
        return self.last is not None and self.last.name == checkpoint_name(step)

    def save(self, step: int, state: dict[str, Any], needed: bool, good: int | None = None) -> None:
        """Write a checkpoint; unless it is `needed`, a failure is only told, PATIENCE - 1 times in a row.

        That of step `good`, the last one before a training went wrong, is kept too.

        Raises VQAudioError, naming the path, where it fails for good: no older one is whole, or the patience is over.
        """
        try:
            require_space(self.folder, tensor_bytes(state), "a checkpoint")
            spare = {good, None if self.best is None else self.best.step} - {None}
            self.last = save_checkpoint(self.folder, step, state, self.keep, spare)
        except VQAudioError as error:
            self._failures += 1
            if self.last is None:
                raise
            if needed or self._failures >= PATIENCE:
                raise VQAudioError(f"{error}. {self._what_is_whole()}: the same command goes on from there") from error
            logger.error("no checkpoint of step %d: %s. %s, and the training goes on; failure %d in a row, of which %d "
                         "end it", step, error, self._what_is_whole(), self._failures, PATIENCE)  # fmt: skip
        else:
            self._failures = 0

    def take_score(self, step: int, name: str, scalars: Mapping[str, float]) -> None:
        """Take note of an evaluation, and of this step's checkpoint where none before had a lower score `name`."""
        value = scalars.get(name, float("nan"))
        self.evaluated = {"step": step, "score": name, "value": value if math.isfinite(value) else None}
        self._note(EVALUATED, self.evaluated)
        best = better(self.best, step, name, value)
        if best is None or not self.is_saved(step):
            return
        self.best = best
        logger.info("step %d  the best %s so far; %s is kept", step, name, best.checkpoint)
        self._note(BEST, asdict(best))

    def is_evaluated(self, step: int) -> bool:
        """Whether the evaluation after `step` steps has been done, and was not broken off."""
        return self.evaluated is not None and self.evaluated.get("step") == step

    def _note(self, name: str, content: Mapping[str, Any]) -> None:
        try:
            write_text_whole(self.folder / name, json.dumps(content, indent=2) + "\n")
        except VQAudioError as error:
            logger.error("%s; until this process ends, it is known all the same", error)

    def _what_is_whole(self) -> str:
        return f"The last whole checkpoint is {self.last}"


def tensor_bytes(state: Any) -> int:
    """Return the bytes of all tensors in nested mappings and sequences."""
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, Mapping):
        state = state.values()
    return sum(map(tensor_bytes, state)) if not isinstance(state, (str, bytes)) and hasattr(state, "__iter__") else 0
