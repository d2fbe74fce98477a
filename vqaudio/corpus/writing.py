"""The tables of a data directory, written from utterances: line by line, so that no table is ever in memory."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vqaudio.audio.fileset import replace_files
from vqaudio.corpus.presence import is_absolute, is_pipe
from vqaudio.corpus.progress import bar
from vqaudio.corpus.strings import ABSENT, Strings
from vqaudio.corpus.tables import key_fault
from vqaudio.corpus.utterances import Utterances
from vqaudio.errors import DataDirError

logger = logging.getLogger(__name__)
_PLAIN = re.compile(rb"[A-Za-z0-9_+][A-Za-z0-9_+.-]{,199}")  # surely fit as an id


def write_tables(utterances: Utterances, folder: Path, progress: bool = True) -> None:
    """Write the tables of `utterances`, which are sorted, to `folder`; what `DataDir.write` says holds of them.

    All of them or none: wav.scp, without which a folder is no data directory, comes last.
    """
    check_writable(utterances, folder)
    segmented = _has_segments(utterances)
    seconds, samples = utterances.durations, utterances.num_samples
    tables: dict[str, Iterator[bytes] | None] = {
        "utt2spk": _utt2spk(utterances),
        "spk2utt": _spk2utt(utterances),
        "text": _optional("text", utterances.texts.lengths != ABSENT, _text(utterances)),
        "segments": _segments(utterances) if segmented else None,
        "utt2dur": _optional("utt2dur", seconds > 0, _durations(utterances.ids, seconds)),
        "utt2num_samples": _optional("utt2num_samples", samples > 0, _samples(utterances.ids, samples)),
        "wav.scp": (b"%s %s\n" % pair for pair in _recordings(utterances, folder)),
    }
    written = {name: lines for name, lines in tables.items() if lines is not None}
    stale = [name for name in tables if name not in written and (folder / name).exists()]
    with bar(f"{folder.name or folder}: tables", len(written), progress) as steps:
        replace_files(folder, {name: _counted(lines, steps) for name, lines in written.items()}, stale)
    for name in stale:
        logger.warning("%s is removed: the utterances written have no such entries", folder / name)


def _counted(lines: Iterator[bytes], steps: tqdm) -> Iterator[bytes]:
    """Pass on the lines of a table, and take a step at their end."""
    yield from lines
    steps.update()


def check_writable(utterances: Utterances, folder: Path) -> None:
    """Raise DataDirError where tables in `folder` cannot hold the utterances: before anything is overwritten."""
    _check_ids(utterances, folder)
    for row, raw in enumerate(utterances.texts.raws()):
        if raw is not None and (fault := _line_fault(raw)):
            raise DataDirError(f"{folder}: the text of {utterances.ids[row]!r} cannot be written: {fault}")
    for key, value in _recordings(utterances, folder):
        fault = _line_fault(value)
        if fault is None and (value != value.strip(b" \t") or not value):
            fault = f"{value.decode()!r} is empty, or begins or ends with a blank"
        if fault:
            raise DataDirError(f"{folder}: the recording of {key.decode()!r} cannot be written: {fault}")


def _check_ids(utterances: Utterances, folder: Path) -> None:
    if not len(utterances):
        raise DataDirError(f"{folder}: no utterances to write")
    keys = utterances.ids.padded()
    twice = np.unique(keys[1:][keys[1:] == keys[:-1]])
    if len(twice):
        shown = ", ".join(key.decode("utf-8", "replace") for key in twice[:5])
        raise DataDirError(f"{folder}: {len(twice)} utterance ids occur more than once: {shown}")
    names = [name.encode("utf-8", "surrogateescape") for name in utterances.names]
    for raw in chain(utterances.ids.raws(), names, utterances.recording_ids.raws()):
        if raw is not None and not _PLAIN.fullmatch(raw) and (fault := key_fault(raw) or _line_fault(raw)):
            raise DataDirError(f"{folder}: cannot be written: {fault}")


def _line_fault(raw: bytes) -> str | None:
    """Say why a table cannot hold this on one line; None where it can."""
    if b"\n" in raw or b"\r" in raw:
        return f"{raw.decode('utf-8', 'replace')!r} has a line break"
    if not raw.isascii():
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            return f"{raw!r} is not UTF-8"
    return None


def _has_segments(utterances: Utterances) -> bool:
    return bool((utterances.recording_ids.lengths[utterances.recording_of] != ABSENT).any())


def _recordings(utterances: Utterances, folder: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values as wav.scp shall hold them."""
    root = os.fsencode(os.path.abspath(folder)) + b"/"
    recordings = _cut_recordings(utterances) if _has_segments(utterances) else _whole_recordings(utterances)
    return ((key, _portable(recording, root)) for key, recording in recordings)


def _whole_recordings(utterances: Utterances) -> Iterator[tuple[bytes, bytes]]:
    return zip(utterances.ids.raws(), utterances.recordings.take(utterances.recording_of).raws(), strict=True)


def _cut_recordings(utterances: Utterances) -> list[tuple[bytes, bytes]]:
    """Return the recordings that segments are cut from, and the files among them, by key."""
    recordings: dict[bytes, bytes] = {}
    for row, index in zip(*np.unique(utterances.recording_of, return_index=True), strict=True):
        key, value = utterances.recording_ids.raw(row) or utterances.ids.raw(index), utterances.recordings.raw(row)
        if recordings.setdefault(key, value) != value:
            one, other = recordings[key].decode(), value.decode()
            raise DataDirError(f"recording id {key.decode()!r} means {one!r} and {other!r}")
    return sorted(recordings.items())


def _portable(recording: bytes, root: bytes) -> bytes:
    """Return a recording as wav.scp shall hold it: relative inside the folder, otherwise absolute."""
    if b"|" in recording and is_pipe(recording.decode("utf-8", "surrogateescape")):
        return recording
    return (recording if is_absolute(recording) else os.path.abspath(recording)).removeprefix(root)


def _utt2spk(utterances: Utterances) -> Iterator[bytes]:
    names = [name.encode("utf-8") for name in utterances.names]
    pairs = zip(utterances.ids.raws(), utterances.speakers, strict=True)
    return (b"%s %s\n" % (id, names[speaker]) for id, speaker in pairs)


def _spk2utt(utterances: Utterances) -> Iterator[bytes]:
    """Yield the lines of spk2utt, sorted by speaker, the utterances of each in their order."""
    names = sorted(enumerate(utterances.names), key=lambda pair: pair[1])
    rank = np.empty(len(names), dtype=np.int64)
    rank[[number for number, _ in names]] = np.arange(len(names))
    rank_of = rank[utterances.speakers]
    ids = utterances.ids.take(np.argsort(rank_of, kind="stable")).raws()
    for (_, name), count in zip(names, np.bincount(rank_of, minlength=len(names)).tolist(), strict=True):
        if count:
            yield b"%s %s\n" % (name.encode("utf-8"), b" ".join(islice(ids, count)))


def _text(utterances: Utterances) -> Iterator[bytes]:
    pairs = zip(utterances.ids.raws(), utterances.texts.raws(), strict=True)
    return ((b"%s %s" % pair).rstrip() + b"\n" for pair in pairs)


def _segments(utterances: Utterances) -> Iterator[bytes]:
    recording_ids = utterances.recording_ids.take(utterances.recording_of).raws()
    rows = zip(utterances.ids.raws(), recording_ids, utterances.starts, utterances.ends, strict=True)
    for id, recording, start, end in rows:
        begin = 0.0 if np.isnan(start) else start + 0.0  # + 0.0: no negative zero
        first, last = b"%.6f" % begin, b"-1" if np.isnan(end) else b"%.6f" % end
        if first == last:  # a segment shorter than a microsecond is one still
            first, last = repr(float(begin)).encode(), repr(float(end)).encode()
        yield b"%s %s %s %s\n" % (id, recording or id, first, last)


def _durations(ids: Strings, seconds: np.ndarray) -> Iterator[bytes]:
    for id, value in zip(ids.raws(), seconds.tolist(), strict=True):
        text = b"%.6f" % value
        yield b"%s %s\n" % (id, repr(value).encode() if text == b"0.000000" else text)


def _samples(ids: Strings, samples: np.ndarray) -> Iterator[bytes]:
    return (b"%s %d\n" % pair for pair in zip(ids.raws(), samples, strict=True))


def _optional(name: str, present: np.ndarray, lines: Iterator[bytes]) -> Iterator[bytes] | None:
    """Return the lines of an optional table; None, with a warning, where only some utterances have an entry."""
    missing = int(np.count_nonzero(~present))
    if 0 < missing < len(present):
        logger.warning("%s is not written: %d of %d utterances have no entry", name, missing, len(present))
    return None if missing else lines
