r"""The list of utterances that could not be used: `rejected.tsv`, one line each, with the reason.

Cells are separated by tabs under a line of column names. Whatever a cell holds, it takes one line and no tab: what
cannot be printed is written as `vqaudio.errors.printable` says (`\t`, `\n`, `\\`, `\xff`), and read again as it was.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from vqaudio.audio.atomic import write_text_whole
from vqaudio.corpus.utterances import Utterance
from vqaudio.errors import AudioError, DataDirError, VQAudioError, printable, unprintable

logger = logging.getLogger(__name__)
MAX_SHARE = 0.05
"""Of utterances that may be rejected, where nothing else is said."""
_COLUMNS = "utterance\tpath\treason\n"


@dataclass(frozen=True, order=True)
class Rejection:
    """One utterance left out: its id, the audio file (or command) it came from, and why, in one line."""

    utterance: str
    path: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(map(printable, astuple(self)))

    @property
    def line(self) -> str:
        """Its line of the list."""
        return "\t".join(map(printable, astuple(self))) + "\n"


def write_rejected(path: str | os.PathLike, rejections: Iterable[Rejection]) -> None:
    """Write the table of rejections, sorted by utterance, under a line of column names; whole or not at all.

    It is written even where nothing was rejected, so that no list of an earlier run is taken for this one's.
    """
    write_text_whole(path, _COLUMNS + "".join(rejection.line for rejection in sorted(rejections)))


def read_rejected(path: str | os.PathLike) -> list[Rejection]:
    """Return the rejections that a list holds, in its order."""
    with open(path, encoding="utf-8", newline="\n") as file:
        next(file, None)
        return [Rejection(*map(unprintable, line.rstrip("\n").split("\t"))) for line in file]


def append_rejected(path: str | os.PathLike, rejection: Rejection) -> None:
    """Add a rejection to the list at `path`, which several processes may do, unless that very line is there.

    Where it cannot be written, the log says so: what is at work must not end for the sake of its list.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+", encoding="utf-8", newline="\n") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            there = set(file)
            file.writelines(line for line in (_COLUMNS, rejection.line) if line not in there)
    except OSError as error:
        logger.warning("cannot write %s: %s", path, error.strerror or error)


class Rejections:
    """What turns out bad while it is in use: each utterance is listed, and told to the log, when it is found first.

    `found` maps the ids to the rejections of this run; the list at `path` (None: there is none) keeps those of the
    runs before that it goes on from.
    """

    def __init__(self, path: str | os.PathLike | None = None, max_share: float = MAX_SHARE) -> None:
        self.path, self.max_share = path, max_share
        self.found: dict[str, Rejection] = {}

    def add(self, utterance: Utterance, error: VQAudioError) -> None:
        """Take in an utterance that cannot be used."""
        if utterance.id in self.found:
            return
        reason = error.reason if isinstance(error, AudioError) else str(error)
        self.found[utterance.id] = Rejection(utterance.id, utterance.recording, reason)
        logger.warning("left out: %s", self.found[utterance.id])
        if self.path is not None:
            append_rejected(self.path, self.found[utterance.id])

    def require_share(self, total: int, others: Iterable[Rejection] = ()) -> None:
        """Raise DataDirError where what was found, here and by `others`, is too large a share of `total`."""
        found = self.found | {rejection.utterance: rejection for rejection in others}
        check_share(list(found.values()), total, self.max_share, self.path)


def check_share(rejections: Sequence[Rejection], total: int, max_share: float, path: str | os.PathLike | None) -> None:
    """Raise DataDirError where over `max_share` of `total` utterances are rejected; `path` lists them."""
    share = len(rejections) / max(total, 1)
    if share <= max_share:
        return
    first = "\n".join(f"  {rejection}" for rejection in sorted(rejections)[:5])
    raise DataDirError(
        f"{len(rejections)} of {total} utterances rejected ({share:.1%}), more than the {max_share:.1%} "
        f"allowed (max_rejected_share). The first of them:\n{first}" + (f"\nAll are listed in {path}" if path else "")
    )
