"""Lock files: who is at work somewhere, which process, where, and since when.

The locks are the kernel's (flock): a process that dies, whatever the way, holds none, and its note counts no more.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vqaudio.errors import VQAudioError

logger = logging.getLogger(__name__)
UNKNOWN = "process unknown"
PATIENCE = 0.5
"""Seconds between taking a lock and leaving a note, at most: then it is taken that the disk had no room for one."""


@contextmanager
def locked(
    path: Path, refuse: Callable[[str], VQAudioError], shared: bool = False, remove: bool = False
) -> Iterator[None]:
    """Hold a lock on the file `path`, made where it is absent, within the block; alone, or `shared` with others.

    Where another process forbids it, raises what `refuse` makes of its note: 'process 4711 on node7, since 2026-07-14
    09:12:01'. `remove` takes the file away at the end. Raises VQAudioError where the folder cannot be written.
    """
    with _lock(path, refuse, shared) as file:
        if not shared:  # several at once would write over one another
            _leave_note(file)
        try:
            yield
        finally:
            if remove:
                with suppress(OSError):
                    path.unlink()  # while it is locked: nobody else can be using it


def holder(path: Path) -> str:
    """Return the note of who holds the lock on `path` alone; '' where nobody does."""
    try:
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _note(file)
    except OSError:  # no file, or no locks
        pass
    return ""


def _lock(path: Path, refuse: Callable[[str], VQAudioError], shared: bool) -> BinaryIO:
    while True:
        file = _open(path)
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                raise refuse(_note(file)) from None
        except OSError as error:  # some network file systems have no locks
            logger.warning("%s: %s: take care that no two jobs do the same at a time", path, error.strerror)
        if _is(file, path):
            return file
        file.close()  # whoever held it has removed it between our opening and locking it


def _open(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a+b", buffering=0)  # for reading too: a shared lock on NFS asks for it
    except OSError as error:
        reason = "it is a file, expected a folder" if path.parent.is_file() else error.strerror
        raise VQAudioError(f"cannot write into {path.parent}: {reason}") from error


def _is(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _leave_note(file: BinaryIO) -> None:
    note = f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
    with suppress(OSError):  # on a full disk: the lock holds without it
        file.truncate(0)
        file.write(note.encode())


def _note(file: BinaryIO) -> str:
    """Return the note of who holds the lock now; it may be about to write it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        file.seek(0)
        note = file.read(1000).decode("utf-8", "replace").strip()
        if note and not _is_of_the_dead(note):
            return note
        if time.monotonic() > deadline:
            return UNKNOWN
        time.sleep(0.01)


def _is_of_the_dead(note: str) -> bool:
    """Whether a note is that of an earlier holder, a process of this machine which is no more."""
    match = re.match(r"process ([0-9]{1,9}) on (\S+),", note)
    if match is None or match[2] != socket.gethostname():
        return False
    try:
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's
        pass
    return False
