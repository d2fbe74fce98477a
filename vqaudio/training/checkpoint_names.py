"""How checkpoints are named: what a folder has of them can be said without torch, which imports for seconds."""

from __future__ import annotations

import re
from pathlib import Path

NAME = re.compile(r"step-(\d{9})\.pt")


def checkpoint_name(step: int) -> str:
    """Return the name of the checkpoint after `step` steps."""
    return f"step-{step:09d}.pt"


def checkpoint_step(path: Path) -> int:
    """Return the number of steps after which a checkpoint was written, from its name."""
    return int(NAME.fullmatch(path.name)[1])


def checkpoint_paths(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, newest first."""
    found = [path for path in folder.glob("step-*.pt") if NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)
