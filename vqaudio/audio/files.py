"""Audio files opened as what they are: a file, not a pipe to wait for; and a disk that fails told from a bad file."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vqaudio.errors import AudioError, StorageError, did_you_mean
from vqaudio.untrusted import open_regular

logger = logging.getLogger(__name__)
PAUSES = (1.0, 5.0, 15.0)
"""Seconds before each of the further tries to read from a disk that fails: a file server may only be restarting."""
_NOT_THE_FILES_FAULT = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "ESTALE", "EREMOTEIO", "ETIMEDOUT", "ENOTCONN", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN",
        "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ESHUTDOWN", "ENODEV", "ENOMEM", "EMFILE", "ENFILE",
    )
)  # fmt: skip
_READ_THROUGH = 1 << 30  # bytes of a file that are read again to hear what the disk says: no more, it may be sparse


@contextmanager
def open_audio(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yield the file at `path`, open for reading bytes.

    Raises AudioError for what is no file with something in it, or may not be read, and StorageError where the disk
    fails.
    """
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise AudioError(path, "the file is empty (0 bytes)")
            yield file
    except FileNotFoundError as error:
        raise AudioError(path, _absence(Path(path))) from error
    except OSError as error:
        raise file_error(path, error) from error
    except ValueError as error:  # a pipe, a device; or a name with a null byte in it
        raise AudioError(path, f"unreadable: {error}") from error


def file_error(path: str | os.PathLike, error: OSError) -> AudioError | StorageError:
    """Return the error of a file that cannot be read: StorageError where that says nothing about the file."""
    words = error.strerror or str(error)
    if error.errno in _NOT_THE_FILES_FAULT:
        return StorageError(path, f"could not be read: {words}")
    return AudioError(path, f"unreadable: {words}")


def require_disk(path: str | os.PathLike, file: BinaryIO) -> None:
    """Raise StorageError where the disk does not give the bytes of `file`: decoders do not say why they failed."""
    try:
        position, end = 0, min(os.fstat(file.fileno()).st_size, _READ_THROUGH)
        while position < end:
            position += len(os.pread(file.fileno(), 1 << 20, position)) or end
    except OSError as error:
        raise StorageError(path, f"could not be read: {error.strerror}") from error


class Patience:
    """How often a disk that fails is asked again."""

    def __init__(self) -> None:
        self._pauses = list(PAUSES)

    def wait(self, error: StorageError) -> None:
        """Wait before the next try; raises StorageError where there were enough of them."""
        if not self._pauses:
            reason = f"{error.reason}, {len(PAUSES) + 1} times in {sum(PAUSES):g} s. The file itself may be whole"
            raise StorageError(error.path, f"{reason}: see to its disk, and run the command again") from error
        pause = self._pauses.pop(0)
        logger.warning("%s; trying again in %g s", error, pause)
        time.sleep(pause)


def _absence(path: Path) -> str:
    if path.is_symlink():
        return f"a link to what is not there: {os.readlink(path)}"
    near = did_you_mean(path.name, os.listdir(path.parent)) if path.parent.is_dir() else ""
    return f"no such file.{near}"
