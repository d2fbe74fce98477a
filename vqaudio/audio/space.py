"""Room on the disk, asked for before something large is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from vqaudio.errors import VQAudioError

MARGIN = 64 << 20
"""Bytes that are left to others, the log and the file system's own tables; or as many as are written, where less is."""


def require_space(path: str | os.PathLike, size: int, what: str) -> None:
    """Raise a VQAudioError unless `size` bytes fit on the disk of `path`, which need not exist yet.

    The message names the path, `what` is to be written, what it takes and what is free.
    """
    free, margin = free_bytes(path), min(MARGIN, size)
    if free is not None and free < size + margin:
        kept = f", and {_readable(margin)} of it are left to others" if free >= size else ""
        words = f"{what} would take {_readable(size)}, {_readable(free)} are free on that disk{kept}"
        raise VQAudioError(f"{path}: {words}")


def free_bytes(path: str | os.PathLike) -> int | None:
    """Return the free bytes of the disk on which `path` is, or would be; None where the system does not say."""
    path = Path(os.path.abspath(path))
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def _readable(size: int) -> str:
    value, unit = float(size), "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.3g} {unit}"
