"""New data directories from old: split, subset, combine. The audio itself is never touched.

Tables other than those of `DataDir` (spk2gender and the like) stay where they are and are not carried over.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, takewhile
from pathlib import Path

import numpy as np

from vqaudio.corpus.datadir import DataDir
from vqaudio.corpus.progress import bar
from vqaudio.corpus.reading import utterance_seconds
from vqaudio.corpus.strings import Index, Strings, as_keys, likely
from vqaudio.corpus.utterances import Utterances
from vqaudio.errors import DataDirError, did_you_mean


def split(
    path: str | os.PathLike,
    out: str | os.PathLike,
    parts: Mapping[str, float],
    by: str = "utterance",
    seed: int = 0,
    allow_pipes: bool = False,
    progress: bool = True,
) -> dict[str, DataDir]:
    """Divide a data directory at random into `out/<part>` for each part; return them by name.

    `parts` maps names to shares of the utterances, which must add up to 1. With by="speaker" no speaker is in
    two parts, and the shares are met as nearly as whole speakers allow. The same seed gives the same split.
    """
    utterances = DataDir.load(path, allow_pipes, progress).utterances
    _check_parts(parts)
    if by not in ("utterance", "speaker"):
        names = ("utterance", "speaker")
        raise DataDirError(f"split by {by!r}: expected 'utterance' or 'speaker'.{did_you_mean(by, names)}")
    group_of = np.arange(len(utterances)) if by == "utterance" else _ranks(utterances)
    members = _deal(group_of, parts, seed)
    for part, rows in members.items():
        if not len(rows):
            groups = int(group_of.max()) + 1
            raise DataDirError(f"part {part!r} gets nothing: {parts[part]} of {groups} {by}s; use a larger share")
    for part in members:
        _refuse_source([path], Path(out) / part)
    return {part: DataDir(utterances.take(rows)).write(Path(out) / part, progress) for part, rows in members.items()}


def subset(
    path: str | os.PathLike,
    out: str | os.PathLike,
    *,
    utterances: Iterable[str] | None = None,
    speakers: Iterable[str] | None = None,
    first: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    allow_pipes: bool = False,
    progress: bool = True,
) -> DataDir:
    """Write part of a data directory to `out`: these utterances, these speakers, or both at once.

    Of what those leave, `first` keeps the first so many in order of ids, or `seconds` keeps utterances drawn
    at random (by `seed`) until they last that long. Raises DataDirError for an id that is not there, for both
    `first` and `seconds`, and where nothing is left.
    """
    chosen = DataDir.load(path, allow_pipes, progress).utterances
    if utterances is None and speakers is None and first is None and seconds is None:
        raise DataDirError("subset of what? Give utterances, speakers, first or seconds")
    if first is not None and seconds is not None:
        raise DataDirError(f"subset takes first ({first}) or seconds ({seconds}), not both")
    if utterances is not None:
        chosen = chosen.take(np.sort(_numbers(utterances, chosen.ids, "utterance")))
    if speakers is not None:
        wanted = _numbers(speakers, Strings.of(chosen.used_names), "speaker")
        chosen = chosen.take(np.flatnonzero(np.isin(_ranks(chosen), wanted)))
    if first is not None:
        chosen = chosen[: max(0, first)]
    if seconds is not None:
        chosen = chosen.take(_up_to_seconds(chosen, seconds, seed, progress))
    _refuse_source([path], out)
    return DataDir(chosen).write(out, progress)


def combine(
    paths: Sequence[str | os.PathLike], out: str | os.PathLike, allow_pipes: bool = False, progress: bool = True
) -> DataDir:
    """Join data directories into one at `out`. A speaker of the same name in two of them is one speaker.

    Raises DataDirError where an utterance id occurs in two of them, or a recording id with different audio.
    """
    parts = [DataDir.load(path, allow_pipes, progress).utterances for path in paths]
    joined = Utterances.join(parts)
    keys = joined.ids.padded()
    order = np.argsort(keys, kind="stable")
    repeated = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
    if len(repeated):
        ends = np.cumsum([len(part) for part in parts])
        row, again = order[repeated[0]], order[repeated[0] + 1]
        home, path = (paths[np.searchsorted(ends, place, side="right")] for place in (row, again))
        raise DataDirError(f"utterance {joined.ids[row]!r} is both in {home} and in {path}")
    _refuse_source(paths, out)
    return DataDir(joined.take(order)).write(out, progress)


def _refuse_source(sources: Sequence[str | os.PathLike], out: str | os.PathLike) -> None:
    """Raise DataDirError where what is read would be overwritten."""
    for source in sources:
        if os.path.realpath(source) == os.path.realpath(out):
            raise DataDirError(f"{out} is read from, and would be overwritten; write to another folder")


def _check_parts(parts: Mapping[str, float]) -> None:
    shares = ", ".join(f"{name}={share}" for name, share in parts.items())
    if not parts or min(parts.values()) <= 0 or not math.isclose(sum(parts.values()), 1.0, abs_tol=1e-6):
        raise DataDirError(
            f"parts {shares or 'none'}: expected positive shares that add up to 1, as train=0.9, dev=0.1"
        )


def _ranks(utterances: Utterances) -> np.ndarray:
    """Return the place (n,) of each utterance's speaker among the names of all, sorted."""
    place = {name: rank for rank, name in enumerate(utterances.used_names)}
    return np.array([place.get(name, -1) for name in utterances.names])[utterances.speakers]


def _deal(group_of: np.ndarray, parts: Mapping[str, float], seed: int) -> dict[str, np.ndarray]:
    """Deal groups out, large before small and else at random, each to the part furthest below its share.

    `group_of` (n,) numbers the group of each utterance, from 0; return the rows of each part.
    """
    sizes = np.bincount(group_of)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    wanted = [share * len(group_of) for share in parts.values()]
    dealt, part_of = [0] * len(parts), np.empty(len(sizes), dtype=np.int32)
    choices = range(len(parts))
    for group, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        neediest = max(choices, key=lambda part: wanted[part] - dealt[part])
        part_of[group] = neediest
        dealt[neediest] += size
    return {part: np.flatnonzero(part_of[group_of] == number) for number, part in enumerate(parts)}


def _numbers(wanted: Iterable[str], have: Strings, kind: str) -> np.ndarray:
    """Return the numbers in `have` of the names that are wanted. Raises DataDirError for one that is not there."""
    names = sorted(set(wanted))
    found = Index(have.padded()).find(as_keys([name.encode("utf-8", "surrogateescape") for name in names]))
    if unknown := [name for name, number in zip(names, found, strict=True) if number < 0]:
        shown = ", ".join(map(repr, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        hint = did_you_mean(unknown[0], likely(unknown[0], have))
        raise DataDirError(f"{len(unknown)} {kind}(s) not in the data: {shown}.{hint}")
    return found


def _up_to_seconds(utterances: Utterances, seconds: float, seed: int, progress: bool) -> np.ndarray:
    """Draw utterances at random until they last `seconds`; all of them where they do not."""
    order = np.random.default_rng(seed).permutation(len(utterances))
    drawn = bar("lengths", len(order), progress, order)
    before = accumulate((utterance_seconds(utterances[i]) for i in drawn), initial=0.0)
    return np.array([i for i, _ in takewhile(lambda pair: pair[1] < seconds, zip(order, before, strict=False))], int)
