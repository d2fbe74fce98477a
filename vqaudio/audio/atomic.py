"""Files that are written whole or not at all.

A reader never sees half a file: the bytes go to a temporary file in the same folder, are flushed to the disk,
and take the final name in one step. A full disk, a read-only folder or an interruption leaves what was there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vqaudio.errors import VQAudioError


@contextmanager
def write_whole(path: str | os.PathLike, durable: bool = True) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes `path` when the block ends without an exception.

    Missing parent folders are created. `durable` waits for the disk, so that the file survives even a power
    cut; leave it out where thousands of files are written that can be made again. Raises VQAudioError where
    the disk is full or the folder may not be written, after removing the temporary file.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".unfinished-", delete=False) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private; these are meant to be shared
        temporary.replace(path)
    except OSError as error:
        _remove(temporary)
        raise VQAudioError(f"cannot write {path}: {error.strerror or error}") from error
    except BaseException:
        _remove(temporary)
        raise


def write_text_whole(path: str | os.PathLike, text: str) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all; raises VQAudioError like `write_whole`."""
    with write_whole(path) as file:
        file.write(text.encode("utf-8"))


def _remove(temporary: Path | None) -> None:
    if temporary is not None:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
