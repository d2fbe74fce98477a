"""The tables of a data directory, written from utterances: line by line, so that no table is ever in memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from vqaudio.audio.atomic import write_whole
from vqaudio.corpus.presence import is_absolute, is_pipe
from vqaudio.corpus.progress import bar
from vqaudio.corpus.strings import ABSENT, Strings
from vqaudio.corpus.utterances import Utterances
from vqaudio.errors import DataDirError, VQAudioError

logger = logging.getLogger(__name__)


def write_tables(utterances: Utterances, folder: Path, progress: bool = True) -> None:
    """Write the tables of `utterances`, which are sorted, to `folder`; what `DataDir.write` says holds of them."""
    _check_ids(utterances, folder)
    segmented = bool((utterances.recording_ids.lengths[utterances.recording_of] != ABSENT).any())
    recordings = _cut_recordings(utterances) if segmented else _whole_recordings(utterances)
    seconds, samples = utterances.durations, utterances.num_samples
    tables: dict[str, Iterator[bytes] | None] = {
        "wav.scp": _wav_scp(recordings, folder),
        "utt2spk": _utt2spk(utterances),
        "spk2utt": _spk2utt(utterances),
        "text": _optional("text", utterances.texts.lengths != ABSENT, _text(utterances)),
        "segments": _segments(utterances) if segmented else None,
        "utt2dur": _optional("utt2dur", seconds > 0, _numbers(utterances.ids, seconds, b"%.6f")),
        "utt2num_samples": _optional("utt2num_samples", samples > 0, _numbers(utterances.ids, samples, b"%d")),
    }
    with bar(f"{folder.name or folder}: tables", len(tables), progress) as steps:
        for name, lines in tables.items():
            if lines is None:
                _remove_stale(folder / name)
            else:
                with write_whole(folder / name) as file:
                    file.writelines(lines)
            steps.update()


def _check_ids(utterances: Utterances, folder: Path) -> None:
    if not len(utterances):
        raise DataDirError(f"{folder}: no utterances to write")
    keys = utterances.ids.padded()
    twice = np.unique(keys[1:][keys[1:] == keys[:-1]])
    if len(twice):
        shown = ", ".join(key.decode("utf-8", "replace") for key in twice[:5])
        raise DataDirError(f"{folder}: {len(twice)} utterance ids occur more than once: {shown}")


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


def _wav_scp(recordings: Iterable[tuple[bytes, bytes]], folder: Path) -> Iterator[bytes]:
    root = os.fsencode(os.path.abspath(folder)) + b"/"
    return (b"%s %s\n" % (key, _portable(recording, root)) for key, recording in recordings)


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
        stop = b"-1" if np.isnan(end) else b"%.6f" % end
        yield b"%s %s %.6f %s\n" % (id, recording or id, 0.0 if np.isnan(start) else start, stop)


def _numbers(ids: Strings, values: np.ndarray, form: bytes) -> Iterator[bytes]:
    line = b"%s " + form + b"\n"
    return (line % pair for pair in zip(ids.raws(), values, strict=True))


def _optional(name: str, present: np.ndarray, lines: Iterator[bytes]) -> Iterator[bytes] | None:
    """Return the lines of an optional table; None, with a warning, where only some utterances have an entry."""
    missing = int(np.count_nonzero(~present))
    if 0 < missing < len(present):
        logger.warning("%s is not written: %d of %d utterances have no entry", name, missing, len(present))
    return None if missing else lines


def _remove_stale(path: Path) -> None:
    if not path.exists():
        return
    try:
        path.unlink()
    except OSError as error:
        raise VQAudioError(f"cannot remove {path}: {error.strerror}") from error
    logger.warning("%s is removed: the utterances written have no such entries", path)
