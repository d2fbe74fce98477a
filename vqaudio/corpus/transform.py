"""New data directories from old: mend, split, subset, combine. The audio itself is never touched.

Tables other than those of `DataDir` (spk2gender and the like) stay where they are and are not carried over.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from pathlib import Path

import numpy as np

from vqaudio.corpus.datadir import DataDir, Utterance, build_utterances, describe
from vqaudio.corpus.reading import utterance_seconds
from vqaudio.corpus.rules import FORMS, Inspection, inspect
from vqaudio.corpus.tables import Violation
from vqaudio.errors import DataDirError, VQAudioError, did_you_mean

logger = logging.getLogger(__name__)
BACKUP = ".backup"
# What `fix` must not guess: these stop it. All other rules cost the lines, or the utterances, they concern.
_UNFIXABLE = {"directory", "unreadable-file", "utf-8", "pipe"}
_CONDEMNS_ROW = {
    "id", "audio-missing", "audio-unreadable", "unknown-recording",
    "segment-times", "segment-beyond", "duration",
}  # fmt: skip


@dataclass(frozen=True)
class FixSummary:
    """What `fix` found and did: utterances kept, those dropped with the reason, and all violations found."""

    kept: int
    dropped: dict[str, str]
    violations: list[Violation]


def fix(path: str | os.PathLike, allow_pipes: bool = False) -> FixSummary:
    """Mend a data directory in place: sort, drop broken lines and incomplete utterances, rebuild spk2utt.

    An utterance stays if it is in utt2spk, in wav.scp or segments with audio that exists, and in `text` where
    that exists. The tables as they were are kept in `.backup`. Raises DataDirError for what cannot be mended
    (text that is not UTF-8, missing wav.scp or utt2spk, commands that are not allowed), and where nothing
    would be left.
    """
    inspection = inspect(path, allow_pipes)
    stopping = [violation for violation in inspection.violations if _stops_fix(violation)]
    if stopping:
        raise DataDirError(f"cannot mend this: {describe(path, stopping)}")
    if not inspection.violations:
        return FixSummary(len(inspection.tables["utt2spk"].rows), {}, [])
    dropped = _drop_broken(inspection)
    utterances = build_utterances(inspection, Path(path))
    if not utterances:
        raise DataDirError(f"no utterance would be left: {describe(path, inspection.violations)}")
    _back_up(Path(path))
    DataDir(utterances).write(path)
    for utterance, reason in sorted(dropped.items()):
        logger.warning("dropped %s: %s", utterance, reason)
    return FixSummary(len(utterances), dropped, inspection.violations)


def split(
    path: str | os.PathLike,
    out: str | os.PathLike,
    parts: Mapping[str, float],
    by: str = "utterance",
    seed: int = 0,
    allow_pipes: bool = False,
) -> dict[str, DataDir]:
    """Divide a data directory at random into `out/<part>` for each part; return them by name.

    `parts` maps names to shares of the utterances, which must add up to 1. With by="speaker" no speaker is in
    two parts, and the shares are met as nearly as whole speakers allow. The same seed gives the same split.
    """
    source = DataDir.load(path, allow_pipes)
    _check_parts(parts)
    keys: dict[str, Callable[[Utterance], str]] = {
        "utterance": lambda u: u.id,
        "speaker": lambda u: u.speaker,
    }
    if by not in keys:
        raise DataDirError(f"split by {by!r}: expected 'utterance' or 'speaker'.{did_you_mean(by, keys)}")
    groups: dict[str, list[Utterance]] = {}
    for utterance in source.utterances:
        groups.setdefault(keys[by](utterance), []).append(utterance)
    members = _deal([groups[key] for key in sorted(groups)], parts, seed)
    for part, utterances in members.items():
        if not utterances:
            raise DataDirError(f"part {part!r} gets nothing: {parts[part]} of {len(groups)} {by}s; use a larger share")
    return {part: DataDir(utterances).write(Path(out) / part) for part, utterances in members.items()}


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
) -> DataDir:
    """Write part of a data directory to `out`: these utterances, these speakers, or both at once.

    Of what those leave, `first` keeps the first so many in order of ids, or `seconds` keeps utterances drawn
    at random (by `seed`) until they last that long. Raises DataDirError for an id that is not there, for both
    `first` and `seconds`, and where nothing is left.
    """
    chosen = DataDir.load(path, allow_pipes).utterances
    if utterances is None and speakers is None and first is None and seconds is None:
        raise DataDirError("subset of what? Give utterances, speakers, first or seconds")
    if first is not None and seconds is not None:
        raise DataDirError(f"subset takes first ({first}) or seconds ({seconds}), not both")
    if utterances is not None:
        chosen = _matching(chosen, utterances, "utterance", lambda u: u.id)
    if speakers is not None:
        chosen = _matching(chosen, speakers, "speaker", lambda u: u.speaker)
    if first is not None:
        chosen = chosen[: max(0, first)]
    if seconds is not None:
        chosen = _up_to_seconds(chosen, seconds, seed)
    return DataDir(chosen).write(out)


def combine(paths: Sequence[str | os.PathLike], out: str | os.PathLike, allow_pipes: bool = False) -> DataDir:
    """Join data directories into one at `out`. A speaker of the same name in two of them is one speaker.

    Raises DataDirError where an utterance id occurs in two of them, or a recording id with different audio.
    """
    home: dict[str, str | os.PathLike] = {}
    joined: list[Utterance] = []
    for path in paths:
        for utterance in DataDir.load(path, allow_pipes).utterances:
            if utterance.id in home:
                raise DataDirError(f"utterance {utterance.id!r} is both in {home[utterance.id]} and in {path}")
            home[utterance.id] = path
            joined.append(utterance)
    return DataDir(joined).write(out)


# ------------------------------------------------------------------------------------------------- fixing


def _stops_fix(violation: Violation) -> bool:
    missing = violation.rule in ("missing-file", "empty-file") and Path(violation.file).name in (
        "wav.scp",
        "utt2spk",
    )
    return missing or violation.rule in _UNFIXABLE


def _drop_broken(inspection: Inspection) -> dict[str, str]:
    """Drop from the tables the rows that break a rule and the utterances not in all; return those."""
    tables = inspection.tables
    for name in [name for name in ("text", "segments", "utt2dur") if name in tables and not tables[name].rows]:
        del tables[name]
    source = "segments" if "segments" in tables else "wav.scp"
    needed = ["utt2spk", source, *({"text"} & set(tables))]
    mentioned = {utterance for row in tables["spk2utt"].rows.values() for utterance in row.fields}
    mentioned.update(key for name in (*needed, "utt2dur") if name in tables for key in tables[name].rows)
    reasons = _drop_condemned_rows(inspection)
    if source == "segments":
        _drop_orphaned_segments(inspection, reasons)
    absent = {key: [name for name in needed if key not in tables[name].rows] for key in mentioned}
    kept = {key for key, names in absent.items() if not names}
    tables["utt2spk"].rows = {key: row for key, row in tables["utt2spk"].rows.items() if key in kept}
    if "utt2dur" in tables and not kept <= set(tables["utt2dur"].rows):
        del tables["utt2dur"]  # durations can be measured again; no utterance is dropped for the want of one
    return {key: reasons.get(key) or f"not in {', '.join(absent[key])}" for key in mentioned - kept}


def _drop_condemned_rows(inspection: Inspection) -> dict[str, str]:
    """Drop the rows that break a rule of their own; return, by their key, the rule and message."""
    condemned = {(v.file, v.line): v for v in inspection.violations if v.rule in _CONDEMNS_ROW}
    reasons = {}
    for table in inspection.tables.values():
        for key, row in list(table.rows.items()):
            if violation := condemned.get((table.file, row.line)):
                del table.rows[key]
                reasons[key] = f"{violation.rule}: {violation.message}"
    return reasons


def _drop_orphaned_segments(inspection: Inspection, reasons: dict[str, str]) -> None:
    segments, wav_scp = inspection.tables["segments"], inspection.tables["wav.scp"]
    for utterance, row in list(segments.rows.items()):
        recording = row.fields[0]
        if recording not in wav_scp.rows:
            del segments.rows[utterance]
            reasons[utterance] = f"recording {recording!r}: {reasons.get(recording, 'not in wav.scp')}"


def _back_up(folder: Path) -> None:
    try:
        (folder / BACKUP).mkdir(exist_ok=True)
        for name in FORMS:
            if (folder / name).exists():
                shutil.copy2(folder / name, folder / BACKUP / name)
    except OSError as error:
        raise VQAudioError(f"cannot write {folder / BACKUP}: {error.strerror or error}") from error


# --------------------------------------------------------------------------------- splitting, selecting


def _check_parts(parts: Mapping[str, float]) -> None:
    shares = ", ".join(f"{name}={share}" for name, share in parts.items())
    if not parts or min(parts.values()) <= 0 or not math.isclose(sum(parts.values()), 1.0, abs_tol=1e-6):
        raise DataDirError(
            f"parts {shares or 'none'}: expected positive shares that add up to 1, as train=0.9, dev=0.1"
        )


def _deal(groups: list[list[Utterance]], parts: Mapping[str, float], seed: int) -> dict[str, list[Utterance]]:
    """Deal groups out, large before small and else at random, each to the part furthest below its share."""
    total = sum(map(len, groups))
    members: dict[str, list[Utterance]] = {part: [] for part in parts}
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    for index in sorted(shuffled, key=lambda index: -len(groups[index])):
        neediest = max(parts, key=lambda part: parts[part] * total - len(members[part]))
        members[neediest] += groups[index]
    return members


def _matching(
    utterances: list[Utterance], wanted: Iterable[str], kind: str, key: Callable[[Utterance], str]
) -> list[Utterance]:
    names = set(wanted)
    have = {key(utterance) for utterance in utterances}
    if unknown := sorted(names - have):
        shown = ", ".join(map(repr, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        raise DataDirError(f"{len(unknown)} {kind}(s) not in the data: {shown}.{did_you_mean(unknown[0], have)}")
    return [utterance for utterance in utterances if key(utterance) in names]


def _up_to_seconds(utterances: list[Utterance], seconds: float, seed: int) -> list[Utterance]:
    """Draw utterances at random until they last `seconds`; all of them where they do not."""
    order = np.random.default_rng(seed).permutation(len(utterances))
    before = accumulate((utterance_seconds(utterances[i]) for i in order), initial=0.0)
    return [utterances[i] for i, _ in takewhile(lambda pair: pair[1] < seconds, zip(order, before, strict=False))]
