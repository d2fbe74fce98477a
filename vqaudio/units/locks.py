"""Who may be at work in a folder at a time: all shards together, each in one job; or the one job that completes it.

OUT/.shards.lock             shared by shards, or held alone by the job that writes OUT
OUT/shards/2-of-8/.lock      held by the job that is this shard
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vqaudio.audio.atomic import remove_unfinished
from vqaudio.audio.lock_file import holder, locked
from vqaudio.errors import VQAudioError
from vqaudio.units.sharding import Shard, find_shards

logger = logging.getLogger(__name__)

LOCK_FILE = ".shards.lock"
SHARD_LOCK_FILE = ".lock"
_SHOWN = 3


@contextmanager
def at_work(out: Path, shard: Shard | None) -> Iterator[None]:
    """Let one job write `out` within the block, or, for a shard, several jobs a folder each, which is made.

    What killed jobs have left there under temporary names is removed. Raises VQAudioError where another job forbids it,
    naming its process and since when it is at work, or where a folder cannot be written.
    """
    if shard is None:
        with locked(out / LOCK_FILE, lambda who: _busy(out, who), remove=True):
            remove_unfinished(out)
            yield
        return
    own = shard.folder(out)
    with (
        locked(out / LOCK_FILE, _refusal(out, "a job without --shard is at work there"), shared=True),
        locked(own / SHARD_LOCK_FILE, _refusal(own, "another job is at work on it")),
    ):
        remove_unfinished(own)
        yield
    logger.info("%s: done; the same command without --shard completes %s, once all shards are", own, out)


def _refusal(path: Path, what: str) -> Callable[[str], VQAudioError]:
    return lambda who: VQAudioError(f"{path}: {what} ({who}): wait for its end")


def _busy(out: Path, who: str) -> VQAudioError:
    """Return the refusal of a job that wants `out` for itself: another one has it, or shards, which have own notes."""
    shards = {shard: note for shard, path in find_shards(out).items() if (note := holder(path / SHARD_LOCK_FILE))}
    if not shards:
        return VQAudioError(f"{out}: other jobs are at work there ({who}): wait for their end")
    notes = [f"shard {shard}: {note}" for shard, note in shards.items()]
    more = f"; {len(notes) - _SHOWN} more" if len(notes) > _SHOWN else ""
    return VQAudioError(f"{out}: other jobs are at work there ({'; '.join(notes[:_SHOWN])}{more}): wait for their end")
