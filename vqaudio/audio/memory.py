"""Room in memory, asked for before something is made that a few bytes of a file can ask for."""

from __future__ import annotations

import resource
from pathlib import Path

from vqaudio.errors import VQAudioError


def require_memory(size: int, what: str) -> None:
    """Raise a VQAudioError unless `size` bytes fit into what memory is free; `what` takes them."""
    free = free_memory()
    if free is not None and size > free:
        raise VQAudioError(f"{what} would take {size / 1e9:,.1f} GB of memory, {max(free, 0) / 1e9:.1f} GB are free")


def free_memory() -> int | None:
    """Return the bytes that this process can still take, by the machine and its own limit; None where unknown."""
    found = [free for free in (_free_on_machine(), _free_of_limit()) if free is not None]
    return min(found, default=None)


def _free_on_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):  # not Linux
        pass
    return None


def _free_of_limit() -> int | None:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return limit
    return limit - pages * resource.getpagesize()
