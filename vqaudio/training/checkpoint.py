"""Checkpoints: everything that resuming needs, each written whole or not at all, and believed only if it is whole."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import torch

from vqaudio.audio.atomic import write_whole
from vqaudio.errors import TrainingError
from vqaudio.training.archive import load_plain
from vqaudio.training.checkpoint_names import checkpoint_name, checkpoint_paths
from vqaudio.training.digest import digest
from vqaudio.untrusted import shown

logger = logging.getLogger(__name__)
FORMAT_VERSION = 2


class Damaged(Exception):
    """A checkpoint that cannot be read, or does not hold what was written; the message says why."""


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int, spare: Collection[int] = ()) -> Path:
    """Write the state after `step` steps, then delete all but the newest `keep` checkpoints and those of steps `spare`.

    A failed write (a full disk) raises VQAudioError naming the path, and leaves the older checkpoints.
    """
    path = folder / checkpoint_name(step)
    state = {"format_version": FORMAT_VERSION, "step": step, **state}
    with write_whole(path) as file:
        sink = _Sink(file)
        try:
            torch.save({**state, "digest": digest(state)}, sink)
        except RuntimeError:  # torch's own writer says where in the file it was, and not what the disk said
            if sink.error is None:
                raise
            raise sink.error from None
    # One of a later step was passed over as damaged: it must not take the place of a whole one.
    until_now = [old for old in checkpoint_paths(folder) if old.name <= path.name]
    spared = {checkpoint_name(step) for step in spare}
    for old in until_now[keep:]:
        if old.name not in spared:
            _delete(old)
    return path


class _Sink:
    """A file that remembers why it could not be written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Leave that to `write_whole`."""


def load_newest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest checkpoint that is whole, or None where there is none at all.

    A damaged one is passed over with a warning. Raises TrainingError where there are some and none is whole.
    """
    paths = checkpoint_paths(folder)
    for path in paths:
        try:
            return path, load_checkpoint(path)
        except Damaged as error:
            logger.warning("%s is passed over: %s", path, error)
    if paths:
        raise TrainingError(
            f"none of the {len(paths)} checkpoints in {folder} is whole; to start anew, remove them or give another "
            "--expdir"
        )
    return None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds, on the CPU.

    Only tensors and plain values are unpickled (torch's `weights_only`): a checkpoint cannot execute anything. Raises
    Damaged where it cannot be read or its digest differs, TrainingError for another version of the format.
    """
    try:
        state = load_plain(path)
    except Exception as error:  # of damaged bytes unpickling makes errors of every kind
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise Damaged(f"it cannot be read: {reason}") from error
    if not isinstance(state, dict):
        raise Damaged(f"it holds a {type(state).__name__}, expected the state of a training")
    found = state.pop("digest", None)
    if found is not None and found != digest(state):
        raise Damaged("it is damaged: its content is not what was written (the digest differs)")
    version = state.get("format_version")
    if not isinstance(version, int):
        raise Damaged(f"its format version is a {type(version).__name__}, expected a whole number")
    if version != FORMAT_VERSION:
        raise TrainingError(f"{path} has format version {shown(version)}; this vqaudio reads {FORMAT_VERSION}")
    if found is None:
        raise Damaged("it is damaged: it has no digest")
    return state


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # it takes room, but no more than that
        logger.warning("cannot delete the old checkpoint %s: %s", path, error.strerror)
