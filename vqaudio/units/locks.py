"""Who may be at work in a folder at a time: all shards together, each in one job; or the one job that completes it.

OUT/.shards.lock             shared by shards, or held alone by the job that writes OUT
OUT/shards/2-of-8/.lock      held by the job that is this shard

The locks are the kernel's (flock): a job that dies, whatever the way, holds none.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vqaudio.errors import VQAudioError
from vqaudio.units.sharding import Shard

logger = logging.getLogger(__name__)

LOCK_FILE = ".shards.lock"
SHARD_LOCK_FILE = ".lock"


@contextmanager
def at_work(out: Path, shard: Shard | None) -> Iterator[None]:
    """Let one job write `out` within the block, or, for a shard, several jobs a folder each, which is made.

    Raises VQAudioError where another job forbids it, or a folder cannot be written.
    """
    if shard is None:
        with _locked(out / LOCK_FILE, fcntl.LOCK_EX, f"{out}: other jobs are at work there: wait for their end"):
            try:
                yield
            finally:
                (out / LOCK_FILE).unlink(missing_ok=True)  # while it is locked: nobody else can be using it
        return
    own = shard.folder(out)
    with (
        _locked(out / LOCK_FILE, fcntl.LOCK_SH, f"{out}: a job without --shard is at work there: wait for its end"),
        _locked(own / SHARD_LOCK_FILE, fcntl.LOCK_EX, f"{own}: another job is at work on it: wait for its end"),
    ):
        yield
    logger.info("%s: done; the same command without --shard completes %s, once all shards are", own, out)


@contextmanager
def _locked(path: Path, kind: int, refusal: str) -> Iterator[None]:
    """Hold a lock on a file, made where it is absent, within the block; a VQAudioError says `refusal`."""
    with _lock(path, kind, refusal):
        yield


def _open(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a+b")  # for reading too: a shared lock on NFS asks for it
    except OSError as error:
        reason = "it is a file, expected a folder" if path.parent.is_file() else error.strerror
        raise VQAudioError(f"cannot write into {path.parent}: {reason}") from error


def _lock(path: Path, kind: int, refusal: str) -> BinaryIO:
    while True:
        file = _open(path)
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise VQAudioError(refusal) from None
        except OSError as error:  # some network file systems have no locks
            logger.warning("%s: %s: take care that no two jobs do the same at a time", path, error.strerror)
        if _is(file, path):
            return file
        file.close()  # whoever held it has removed it between our opening and locking it


def _is(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
