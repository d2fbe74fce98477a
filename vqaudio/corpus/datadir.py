"""Kaldi data directories: the form in which a corpus enters and leaves the toolkit.

    wav.scp   <utterance or recording> <path>        utt2spk   <utterance> <speaker>
    segments  <utterance> <recording> <start> <end>  spk2utt   <speaker> <utterance> ...
    text      <utterance> <words ...>                utt2dur   <utterance> <seconds>

wav.scp, utt2spk and spk2utt are required. With `segments`, wav.scp is keyed by recording and utterances are
stretches of recordings. The rules are listed in `vqaudio.corpus.rules`.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqaudio.audio.atomic import write_text_whole
from vqaudio.corpus.rules import Inspection, check, inspect, is_pipe, resolve, segment_times
from vqaudio.corpus.tables import Violation
from vqaudio.errors import DataDirError, VQAudioError

__all__ = ["DataDir", "Utterance", "Violation", "check", "total_seconds"]

logger = logging.getLogger(__name__)
_SHOWN_PER_RULE = 50


@dataclass(frozen=True)
class Utterance:
    """One utterance: who speaks, and which stretch of which recording it is.

    `recording` is an absolute path, or a shell command ending in '|' where the user allowed those. `start`
    and `end` are seconds within it; None means its own start and end. `duration` is in seconds, from utt2dur.
    `recording_id` is the recording's key in wav.scp, given where the utterance is a segment.
    """

    id: str
    speaker: str
    recording: str
    start: float | None = None
    end: float | None = None
    text: str | None = None
    duration: float | None = None
    recording_id: str | None = None

    @property
    def is_segment(self) -> bool:
        """Whether the utterance is cut from a recording by a line of `segments`."""
        return self.recording_id is not None


@dataclass(frozen=True)
class DataDir:
    """The utterances of a data directory, sorted by id, and the folder they were read from, if any."""

    utterances: list[Utterance]
    path: Path | None = None

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def speakers(self) -> list[str]:
        """The speakers' names, sorted, each once."""
        return sorted({utterance.speaker for utterance in self.utterances})

    @classmethod
    def load(cls, path: str | os.PathLike, allow_pipes: bool = False) -> DataDir:
        """Read and validate the data directory at `path`.

        With `allow_pipes`, entries of wav.scp that are commands are accepted, and run by the shell when the
        utterance is read. Raises DataDirError naming every violation with file, line and rule.
        """
        inspection = inspect(path, allow_pipes)
        if inspection.violations:
            raise DataDirError(describe(path, inspection.violations))
        return cls(build_utterances(inspection, Path(path)), Path(path))

    def write(self, path: str | os.PathLike) -> DataDir:
        """Write the directory to `path`, sorted; return it as it now stands there.

        A recording inside `path` is written relative to it, so that the folder can be moved as a whole; any
        other is written absolute. `text` and `utt2dur` are written if every utterance has them; a table of
        another kind that an earlier version left at `path` is removed. Each file is written whole or not at
        all. Raises DataDirError for no utterances, duplicate ids, or one recording id for two recordings.
        """
        folder = Path(path)
        utterances = sorted(self.utterances, key=lambda utterance: utterance.id)
        _check_writable(utterances, folder)
        tables = _tables(utterances, folder)
        for name, lines in tables.items():
            if lines is None:
                _remove_stale(folder / name)
            else:
                write_text_whole(folder / name, "".join(f"{line}\n" for line in lines))
        return DataDir(utterances, folder)


def describe(path: str | os.PathLike, violations: Sequence[Violation]) -> str:
    """Say all that is wrong with a data directory: every rule broken, with up to 50 places each."""
    shown: Counter[str] = Counter()
    lines = []
    for violation in violations:
        shown[violation.rule] += 1
        if shown[violation.rule] <= _SHOWN_PER_RULE:
            lines.append(f"  {violation}")
    lines += [
        f"  … and {count - _SHOWN_PER_RULE} more of rule {rule}; `vqaudio data validate {path}` lists all"
        for rule, count in shown.items()
        if count > _SHOWN_PER_RULE
    ]
    rules = f"{len(violations)} violation{'s' * (len(violations) != 1)}"
    return "\n".join([f"{path} is not a valid data directory ({rules}):", *lines])


def total_seconds(utterances: Sequence[Utterance]) -> float | None:
    """Sum the utterances' durations, in seconds; None where one of them is unknown without reading audio."""
    seconds = [_known_seconds(utterance) for utterance in utterances]
    return None if None in seconds else float(sum(seconds))


def build_utterances(inspection: Inspection, folder: Path) -> list[Utterance]:
    """Turn the tables of a valid data directory into utterances, sorted by id."""
    tables = inspection.tables
    wav_scp, segments = tables["wav.scp"].rows, tables.get("segments")
    utterances = []
    for id, row in sorted(tables["utt2spk"].rows.items()):
        recording_id, start, end = None, None, None
        if segments is not None:
            fields = segments.rows[id].fields
            recording_id = fields[0]
            start, end = segment_times(fields)
        utterances.append(
            Utterance(
                id=id,
                speaker=row.value,
                recording=resolve(wav_scp[recording_id or id].value, folder),
                start=start,
                end=end,
                text=tables["text"].rows[id].value if "text" in tables else None,
                duration=float(tables["utt2dur"].rows[id].value) if "utt2dur" in tables else None,
                recording_id=recording_id,
            )
        )
    return utterances


def _known_seconds(utterance: Utterance) -> float | None:
    if utterance.duration is None and utterance.end is not None:
        return utterance.end - (utterance.start or 0.0)
    return utterance.duration


def _check_writable(utterances: list[Utterance], folder: Path) -> None:
    if not utterances:
        raise DataDirError(f"{folder}: no utterances to write")
    twice = [id for id, count in Counter(utterance.id for utterance in utterances).items() if count > 1]
    if twice:
        raise DataDirError(f"{folder}: {len(twice)} utterance ids occur more than once: {', '.join(twice[:5])}")


def _tables(utterances: list[Utterance], folder: Path) -> dict[str, list[str] | None]:
    """Return the lines of each table, sorted; None for one that is not to be there."""
    segmented = any(utterance.is_segment for utterance in utterances)
    recordings: dict[str, str] = {}
    by_speaker: dict[str, list[str]] = {}
    for utterance in utterances:
        by_speaker.setdefault(utterance.speaker, []).append(utterance.id)
        key = utterance.recording_id or utterance.id
        if recordings.setdefault(key, utterance.recording) != utterance.recording:
            raise DataDirError(f"recording id {key!r} means {recordings[key]!r} and {utterance.recording!r}")
    return {
        "wav.scp": [f"{key} {_portable(value, folder)}" for key, value in sorted(recordings.items())],
        "utt2spk": [f"{utterance.id} {utterance.speaker}" for utterance in utterances],
        "spk2utt": [f"{speaker} {' '.join(ids)}" for speaker, ids in sorted(by_speaker.items())],
        "text": _column(utterances, "text", lambda u: None if u.text is None else f"{u.id} {u.text}".rstrip()),
        "segments": [_segment_line(utterance) for utterance in utterances] if segmented else None,
        "utt2dur": _column(utterances, "utt2dur", lambda u: u.duration and f"{u.id} {u.duration:.6f}"),
    }


def _column(utterances: list[Utterance], name: str, line: Callable[[Utterance], str | None]) -> list[str] | None:
    """Return one optional table; None, with a warning, where only some utterances have an entry."""
    lines = [line(utterance) for utterance in utterances]
    missing = sum(not entry for entry in lines)
    if 0 < missing < len(lines):
        logger.warning("%s is not written: %d of %d utterances have no entry", name, missing, len(lines))
    return None if missing else lines


def _segment_line(utterance: Utterance) -> str:
    end = "-1" if utterance.end is None else f"{utterance.end:.6f}"
    return f"{utterance.id} {utterance.recording_id or utterance.id} {utterance.start or 0.0:.6f} {end}"


def _portable(recording: str, folder: Path) -> str:
    """Return a recording as wav.scp shall hold it: relative inside the folder, otherwise absolute."""
    if is_pipe(recording):
        return recording
    relative = os.path.relpath(recording, os.path.abspath(folder))
    return os.path.abspath(recording) if relative.startswith(os.pardir) else relative


def _remove_stale(path: Path) -> None:
    if not path.exists():
        return
    try:
        path.unlink()
    except OSError as error:
        raise VQAudioError(f"cannot remove {path}: {error.strerror}") from error
    logger.warning("%s is removed: the utterances written have no such entries", path)
