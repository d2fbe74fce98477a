"""From the tables of a valid data directory to its utterances."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vqaudio.corpus.presence import is_absolute, resolve
from vqaudio.corpus.rules import Inspection, samples, seconds, speaker_numbers
from vqaudio.corpus.segments import parse_segments
from vqaudio.corpus.strings import Index, Strings
from vqaudio.corpus.tables import Table
from vqaudio.corpus.utterances import Utterances


def build_utterances(inspection: Inspection, folder: Path) -> Utterances:
    """Turn the tables of a valid data directory into utterances, sorted by id."""
    utt2spk, wav_scp, segments = (inspection.tables.get(name) for name in ("utt2spk", "wav.scp", "segments"))
    keys = utt2spk.keys.padded()
    numbers, speakers = speaker_numbers(utt2spk)
    source = wav_scp if segments is None else segments
    places = Index(source.keys.padded()).find(keys)  # row of each utterance's recording, or segment
    times = None if segments is None else parse_segments(segments, wav_scp)
    unknown = np.broadcast_to(np.nan, len(utt2spk))
    text = _rows(inspection, "text", keys)
    utterances = Utterances(
        ids=utt2spk.keys,
        names=[name.decode("utf-8") for name in numbers],
        speakers=speakers,
        recordings=_resolved(wav_scp.values, folder),
        recording_ids=Strings.absent(len(wav_scp)) if segments is None else wav_scp.keys,
        recording_of=places if segments is None else times.recordings[places],
        starts=unknown if segments is None else times.starts[places],
        ends=unknown if segments is None else np.where(np.isinf(times.ends), np.nan, times.ends)[places],
        texts=Strings.absent(len(utt2spk)) if text is None else inspection.tables["text"].values.take(text),
        durations=_numbers(inspection, "utt2dur", keys, seconds, np.float64, unknown),
        num_samples=_numbers(inspection, "utt2num_samples", keys, samples, np.int64, np.zeros(len(keys), np.int64)),
    )
    return utterances.sorted()


def _rows(inspection: Inspection, name: str, keys: np.ndarray) -> np.ndarray | None:
    """Return the rows of a table in the order of `keys`; None where there is no such table."""
    table = inspection.tables.get(name)
    return None if table is None else Index(table.keys.padded()).find(keys)


def _numbers(
    inspection: Inspection, name: str, keys: np.ndarray, parse: Callable[[bytes], float], kind: type, absent: np.ndarray
) -> np.ndarray:
    """Return the numbers of a table in the order of `keys`; `absent` where there is no such table."""
    rows = _rows(inspection, name, keys)
    if rows is None:
        return absent
    table: Table = inspection.tables[name]
    return np.fromiter(map(parse, table.values.raws()), dtype=kind, count=len(table))[rows]


def _resolved(recordings: Strings, folder: Path) -> Strings:
    """Return the entries of wav.scp as absolute paths (or commands); where all of them are, they are left alone."""
    if all(map(is_absolute, recordings.raws())):
        return recordings
    root = Path(os.path.abspath(folder))
    return Strings.of(resolve(recording, root) for recording in recordings)
