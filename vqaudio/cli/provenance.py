"""When, where and with which code figures were measured."""

from __future__ import annotations

import datetime
import platform
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import vqaudio

if TYPE_CHECKING:
    import torch

ROOT = Path(vqaudio.__file__).parent.parent


def provenance(command: Sequence[str], device: torch.device) -> dict[str, str]:
    """Return date (UTC), version, commit where this is a checkout, machine, Python and torch, and the command."""
    import torch

    from vqaudio.training.loop import describe_machine

    about = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "vqaudio": vqaudio.__version__,
        "commit": commit(ROOT),
        "machine": describe_machine(device),
        "python": f"{platform.python_version()}, torch {torch.__version__}",
        "command": shlex.join(command),
    }
    return {key: value for key, value in about.items() if value}


def commit(folder: Path) -> str:
    """Return the commit of the checkout at `folder`, with "+" for uncommitted changes; '' where there is none."""
    if not (folder / ".git").exists():
        return ""
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
