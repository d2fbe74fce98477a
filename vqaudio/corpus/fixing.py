"""Mending a data directory in place, as far as nothing has to be guessed."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqaudio.corpus.datadir import DataDir, describe
from vqaudio.corpus.loading import build_utterances
from vqaudio.corpus.rules import FORMS, MEASURED, Inspection, inspect, listed_in
from vqaudio.corpus.strings import Index, as_keys
from vqaudio.corpus.tables import Table, Violation
from vqaudio.corpus.writing import check_writable
from vqaudio.errors import DataDirError, VQAudioError

logger = logging.getLogger(__name__)
BACKUP = ".backup"
# What `fix` must not guess: these stop it. All other rules cost the lines, or the utterances, they concern.
_UNFIXABLE = {"directory", "unreadable-file", "utf-8", "pipe"}
_CONDEMNS_ROW = {
    "id", "audio-missing", "audio-unreadable", "unknown-recording",
    "segment-times", "segment-beyond", "duration", "num-samples",
}  # fmt: skip


@dataclass(frozen=True)
class FixSummary:
    """What `fix` found and did: utterances kept, those dropped with the reason, and all violations found.

    `backup` is the folder that has the tables as they were; None where nothing had to be mended.
    """

    kept: int
    dropped: dict[str, str]
    violations: list[Violation]
    backup: Path | None = None


def fix(path: str | os.PathLike, allow_pipes: bool = False, progress: bool = True) -> FixSummary:
    """Mend a data directory in place: sort, drop broken lines and incomplete utterances, rebuild spk2utt.

    An utterance stays if it is in utt2spk, in wav.scp or segments with audio that exists, and in `text` where
    that exists. The tables as they were are kept in `.backup`, or `.backup-2` and so on, where that is there from
    an earlier mending. Raises DataDirError for what cannot be mended (text that is not UTF-8, carriage returns within
    lines, missing wav.scp or utt2spk, commands that are not allowed), and where nothing would be left.
    """
    inspection = inspect(path, allow_pipes, progress)
    stopping = [violation for violation in inspection.violations if _stops_fix(violation)]
    if stopping:
        raise DataDirError(f"cannot mend this: {describe(path, stopping)}")
    if not inspection.violations:
        return FixSummary(len(inspection.tables["utt2spk"]), {}, [])
    dropped = _drop_broken(inspection)
    utterances = build_utterances(inspection, Path(path))
    if not utterances:
        raise DataDirError(f"no utterance would be left: {describe(path, inspection.violations)}")
    check_writable(utterances, Path(path))
    backup = _back_up(Path(path))
    DataDir(utterances).write(path, progress)
    for utterance, reason in sorted(dropped.items()):
        logger.warning("dropped %s: %s", utterance, reason)
    return FixSummary(len(utterances), dropped, inspection.violations, backup)


def _stops_fix(violation: Violation) -> bool:
    missing = violation.rule in ("missing-file", "empty-file") and Path(violation.file).name in (
        "wav.scp",
        "utt2spk",
    )
    return missing or violation.rule in _UNFIXABLE


def _drop_broken(inspection: Inspection) -> dict[str, str]:
    """Drop from the tables the rows that break a rule and the utterances not in all; return those."""
    tables = inspection.tables
    for name in [name for name in ("text", "segments", *MEASURED) if name in tables and not len(tables[name])]:
        del tables[name]
    source = "segments" if "segments" in tables else "wav.scp"
    needed = ["utt2spk", source, *({"text"} & set(tables))]
    mentioned = _mentioned(tables, [*needed, *MEASURED])
    reasons = _drop_condemned_rows(inspection)
    if source == "segments":
        _drop_orphaned_segments(tables["segments"], tables["wav.scp"], reasons)
    absent = {name: Index(tables[name].keys.padded()).find(mentioned) < 0 for name in needed}
    lost = np.any(list(absent.values()), axis=0)
    _keep_utterances(tables, mentioned[~lost])
    return {
        key: reasons.get(key) or f"not in {', '.join(name for name in needed if absent[name][i])}"
        for i in np.flatnonzero(lost)
        if (key := mentioned[i].decode("utf-8"))
    }


def _mentioned(tables: dict[str, Table], names: Sequence[str]) -> np.ndarray:
    """Return the utterances (n,) that stand in spk2utt or in one of these tables, sorted, each once."""
    listed = [utterance for raw in tables["spk2utt"].values.raws() for utterance in listed_in(raw)]
    keys = [tables[name].keys.padded() for name in names if name in tables]
    return np.unique(np.concatenate([as_keys(listed), *keys]))


def _keep_utterances(tables: dict[str, Table], kept: np.ndarray) -> None:
    tables["utt2spk"].keep(Index(kept).find(tables["utt2spk"].keys.padded()) >= 0)
    for name in MEASURED:
        if name in tables and np.any(Index(tables[name].keys.padded()).find(kept) < 0):
            del tables[name]  # it can be measured again; no utterance is dropped for the want of one


def _drop_condemned_rows(inspection: Inspection) -> dict[str, str]:
    """Drop the rows that break a rule of their own; return, by their key, the rule and message."""
    reasons = {}
    for table in inspection.tables.values():
        own = (v for v in inspection.violations if v.file == table.file and v.rule in _CONDEMNS_ROW)
        condemned = {violation.line: violation for violation in own}
        broken = np.isin(table.lines, list(condemned))
        for row in np.flatnonzero(broken):
            violation = condemned[int(table.lines[row])]
            reasons[table.keys[row]] = f"{violation.rule}: {violation.message}"
        table.keep(~broken)
    return reasons


def _drop_orphaned_segments(segments: Table, wav_scp: Table, reasons: dict[str, str]) -> None:
    """Drop the segments whose recording is not there (any more), and add why to `reasons`."""
    recordings = [raw.split(b" ", 1)[0] for raw in segments.values.raws()]
    orphaned = Index(wav_scp.keys.padded()).find(as_keys(recordings)) < 0
    for row in np.flatnonzero(orphaned):
        recording = recordings[row].decode("utf-8")
        reasons[segments.keys[row]] = f"recording {recording!r}: {reasons.get(recording, 'not in wav.scp')}"
    segments.keep(~orphaned)


def _back_up(folder: Path) -> Path:
    """Copy the tables to a folder of their own: one from before may hold the only copy of what they once were."""
    number, backup = 1, folder / BACKUP
    while os.path.lexists(backup):
        number += 1
        backup = folder / f"{BACKUP}-{number}"
    try:
        backup.mkdir()
        for name in FORMS:
            if (folder / name).exists():
                shutil.copy2(folder / name, backup / name)
    except OSError as error:
        shutil.rmtree(backup, ignore_errors=True)  # half a backup would be taken for a whole one
        raise VQAudioError(f"cannot write {backup}: {error.strerror or error}") from error
    return backup
