"""A case of a file that means harm, or that nobody can mean; and what can stand in the place of any file."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CANARY = "canary"
"""File, beside what is read, that every payload would make."""
REFUSED, SAME, AS_WRITTEN = "refused", "the same as before", "what the file says"


@dataclass(frozen=True)
class Case:
    """What is done to a copy of an original, the action that then reads it, and what is lawful to come of it.

    `lawful`: REFUSED; or SAME or AS_WRITTEN, beside which it may be refused as well.
    """

    name: str
    action: str
    damage: Callable[[Path], object]
    lawful: str = REFUSED


class Payload:
    """Executes a shell command when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.command = f"touch '{folder.parent / CANARY}'"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def pickle_into(path: Path, folder: Path, protocol: int = 4) -> None:
    """Put a pickle that executes something in the place of a file."""
    path.write_bytes(pickle.dumps(Payload(folder), protocol))


def not_a_file(path: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield ways to put something else in the place of a file, by name."""
    yield "missing", lambda: path.unlink()
    yield "a folder", lambda: (path.unlink(), path.mkdir())
    yield "a pipe", lambda: (path.unlink(), os.mkfifo(path))
    yield "a link to itself", lambda: (path.unlink(), path.symlink_to(path))
    yield "/dev/zero", lambda: (path.unlink(), path.symlink_to("/dev/zero"))
    yield "/dev/stdin", lambda: (path.unlink(), path.symlink_to("/dev/tty"))
    yield "empty", lambda: path.write_bytes(b"")
    yield "a terabyte of nothing", lambda: os.truncate(path, 1 << 40)
    yield "not UTF-8", lambda: path.write_bytes(b"\xff\xfe\x00" * 99)
    yield "a pickle that executes", lambda: pickle_into(path, path.parent)


def replaced(name: str, how: str) -> Callable[[Path], object]:
    """Return what puts something else in the place of a file: `how` is a name of `not_a_file`."""
    return lambda folder: dict(not_a_file(folder / name))[how]()


def text_into(name: str, text: str) -> Callable[[Path], object]:
    """Return what writes a text file."""
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")
