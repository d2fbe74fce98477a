"""The list of utterances that could not be used: `rejected.tsv`, one line each, with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vqaudio.audio.atomic import write_text_whole
from vqaudio.errors import DataDirError


@dataclass(frozen=True, order=True)
class Rejection:
    """One utterance left out: its id, the audio file (or command) it came from, and why, in one line."""

    utterance: str
    path: str
    reason: str


def write_rejected(path: str | os.PathLike, rejections: Iterable[Rejection]) -> None:
    """Write the table of rejections, sorted by utterance, under a line of column names; whole or not at all.

    It is written even where nothing was rejected, so that no list of an earlier run is taken for this one's.
    """
    rows = [("utterance", "path", "reason"), *((r.utterance, r.path, r.reason) for r in sorted(rejections))]
    write_text_whole(path, "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows))


def check_share(rejections: Sequence[Rejection], total: int, max_share: float, path: str | os.PathLike) -> None:
    """Raise DataDirError where over `max_share` of `total` utterances are rejected; `path` lists them."""
    share = len(rejections) / max(total, 1)
    if share <= max_share:
        return
    first = "\n".join(f"  {r.utterance}: {r.path}: {r.reason}" for r in sorted(rejections)[:5])
    raise DataDirError(
        f"{len(rejections)} of {total} utterances rejected ({share:.1%}), more than the {max_share:.1%} "
        f"allowed (max_rejected_share). The first of them:\n{first}\nAll are listed in {path}"
    )
