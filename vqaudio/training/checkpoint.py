"""Checkpoints: everything that resuming needs, each written whole or not at all."""

from __future__ import annotations

import logging
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from vqaudio.audio.atomic import write_whole
from vqaudio.errors import TrainingError, VQAudioError

logger = logging.getLogger(__name__)
FORMAT_VERSION = 1
NAME = re.compile(r"step-(\d{9})\.pt")


def checkpoint_paths(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, newest first."""
    found = [path for path in folder.glob("step-*.pt") if NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write the state after `step` steps, then delete all but the newest `keep` checkpoints.

    A failed write (a full disk) raises VQAudioError naming the path, and leaves the older checkpoints.
    """
    path = folder / f"step-{step:09d}.pt"
    try:
        with write_whole(path) as file:
            torch.save({"format_version": FORMAT_VERSION, "step": step, **state}, file)
    except RuntimeError as error:  # torch's own writer wraps the disk's error
        raise VQAudioError(f"cannot write {path}: {error}") from error
    for old in checkpoint_paths(folder)[keep:]:
        old.unlink(missing_ok=True)
    return path


def load_newest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest checkpoint that can be read, or None where there is none at all.

    An unreadable one is passed over with a warning. Raises TrainingError where there are some and none is readable.
    Only tensors and plain values are unpickled (torch's `weights_only`): a checkpoint cannot execute anything.
    """
    paths = checkpoint_paths(folder)
    for path in paths:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            logger.warning("%s cannot be read and is passed over: %s", path, reason)
            continue
        if state.get("format_version") != FORMAT_VERSION:
            raise TrainingError(
                f"{path} has format version {state.get('format_version')!r}; this vqaudio reads {FORMAT_VERSION}"
            )
        return path, state
    if paths:
        raise TrainingError(f"none of the {len(paths)} checkpoints in {folder} can be read")
    return None
