"""Files that are written whole or not at all.

A reader never sees half a file: the bytes go to a temporary file in the same folder, are flushed to the disk,
and take the final name in one step. A full disk, a read-only folder or an interruption leaves what was there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vqaudio.errors import VQAudioError

UNFINISHED = ".unfinished-"
"""What names of temporary files begin with."""
_KEPT_BYTES = 200  # of a name: with what comes before and after, it stays below the 255 of file systems


@contextmanager
def write_whole(path: str | os.PathLike, durable: bool = True) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes `path` when the block ends without an exception.

    Missing parent folders are created. `durable` waits for the disk, so that the file survives even a power
    cut; leave it out where thousands of files are written that can be made again. Raises VQAudioError where
    the disk is full or the folder may not be written, after removing the temporary file.
    """
    path, aside = Path(path), None
    try:
        aside = Aside(path)
        yield aside.file
        aside.finish(durable)
        aside.put()
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if aside is not None:
            aside.remove()


def write_text_whole(path: str | os.PathLike, text: str) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all; raises VQAudioError like `write_whole`."""
    with write_whole(path) as file:
        file.write(text.encode("utf-8"))


class Aside:
    """A file in the making, under a temporary name beside `path`: finished, then put in its place, or else removed.

    All but `remove` raise OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._temporary = path, unfinished_name(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not by `tempfile`, whose files are private to the user: these are meant to be shared, as the umask allows.
        descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self.file: BinaryIO = os.fdopen(descriptor, "w+b")
        self._there = True

    def finish(self, durable: bool) -> None:
        """Write what is left in memory, wait for the disk if it is to be `durable`, and close the file."""
        self.file.flush()
        if durable:
            os.fsync(self.file.fileno())
        self.file.close()

    def put(self) -> None:
        """Let the finished file take the place of what is at the path."""
        self._temporary.replace(self.path)
        self._there = False

    def remove(self) -> None:
        """Remove the file, unless it was put. A disk that refuses this too does not hide what went wrong first."""
        if self._there:
            with suppress(OSError):
                self.file.close()
            with suppress(OSError):
                self._temporary.unlink()


def unfinished_name(path: Path) -> Path:
    """Return a name that nothing has yet, beside `path`, and which tells what it is of."""
    kept = path.name.encode("utf-8", "surrogateescape")[:_KEPT_BYTES].decode("utf-8", "ignore")
    return path.with_name(f"{UNFINISHED}{kept}-{secrets.token_hex(4)}")


def remove_unfinished(folder: str | os.PathLike) -> None:
    """Remove what processes that were killed have left in `folder`; for those who know that nobody is writing there."""
    for path in Path(folder).glob(f"{UNFINISHED}*"):
        if path.is_file():
            with suppress(OSError):
                path.unlink()


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the new names in a folder, where the file system can be asked for that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cannot_write(path: str | os.PathLike, error: OSError) -> VQAudioError:
    """Return the error that tells the user which path could not be written, and why."""
    return VQAudioError(f"cannot write {path}: {error.strerror or error}")
