"""Text files that belong together, written whole and all or none of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from vqaudio.audio.atomic import write_whole
from vqaudio.errors import VQAudioError


def replace_files(folder: str | Path, contents: dict[str, Iterable[str]], stale: Iterable[str] = ()) -> None:
    """Write text files (name to lines, each with its newline) into `folder`, and delete the `stale` ones.

    Every file is first written in full under a temporary name, so that a full disk is met while all that
    stood there before is still whole. The last name is the mark of completeness: it is taken away before the
    others get their names and comes after them, so that nobody reads a mixture of old and new.

    Raises:
        VQAudioError: the folder cannot be written; the message names the path.
    """
    folder = Path(folder)
    if folder.is_file():
        raise VQAudioError(f"cannot write into {folder}: it is a file, expected a folder")
    with ExitStack() as renames:
        # Contexts end in reverse order, each renaming its file then: the mark, entered first, comes last.
        files = {name: renames.enter_context(write_whole(folder / name)) for name in reversed(contents)}
        for name, lines in contents.items():
            _write_synced(files[name], folder / name, lines)
        mark = next(iter(files))
        for name in (mark, *stale):
            _delete(folder / name)


def cannot_write(path: str | Path, error: OSError) -> VQAudioError:
    """Return the error that tells the user which path could not be written, and why."""
    return VQAudioError(f"cannot write {path}: {error.strerror or error}")


def _write_synced(file: BinaryIO, path: Path, lines: Iterable[str]) -> None:
    try:
        file.writelines(line.encode("utf-8") for line in lines)
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(path, error) from error


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
