"""A made-up corpus on disk, of any number of utterances, for measuring what its size costs.

    audio/<speaker>/<utterance>.wav    noise at 16 kHz; hard links to some tens of files, so that a million of them
                                       take the room of their names
    data/                              wav.scp, utt2spk, spk2utt, text, and utt2num_samples and utt2dur or segments

Nothing of `vqaudio.corpus` writes it: what is measured has not made its own input.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from vqaudio.audio.io import write_wav

RATE = 16_000
SPEAKER_UTTERANCES = 400
"""Utterances of a speaker."""
SECONDS = tuple(np.linspace(1.5, 15.0, 28))
"""Lengths of the utterances, 8.25 s in the mean: about those of read speech."""
SEGMENTS, SEGMENT_SECONDS = 20, 6.0
"""Segments of a recording, and how long each is."""
TEXT = "the quick brown fox jumps over a lazy dog and runs into dark green woods where nobody has seen it since"


@dataclass(frozen=True)
class Recording:
    """One file: its key in wav.scp, its speaker, its path and its length in samples."""

    id: str
    speaker: str
    path: str
    samples: int


def make(folder: Path, utterances: int, segmented: bool) -> Path:
    """Make a corpus of `utterances`, as files of their own or as segments; return its data directory."""
    data = folder / "data"
    data.mkdir(parents=True)
    recordings = list(_recordings(folder, utterances, segmented))
    _write(data / "wav.scp", (f"{r.id} {r.path}" for r in recordings))
    if segmented:
        lines = [(f"{r.id}-{i:02d}", r.speaker, r.id, i) for r in recordings for i in range(SEGMENTS)][:utterances]
        _write(data / "segments", (f"{u} {r} {i * SEGMENT_SECONDS:.2f} {(i + 1) * SEGMENT_SECONDS:.2f}"
                                   for u, _, r, i in lines))  # fmt: skip
    else:
        lines = [(r.id, r.speaker, r.id, 0) for r in recordings]
        _write(data / "utt2dur", (f"{r.id} {r.samples / RATE:.6f}" for r in recordings))
        _write(data / "utt2num_samples", (f"{r.id} {r.samples}" for r in recordings))
    by_speaker: dict[str, list[str]] = {}
    for utterance, speaker, _, _ in lines:
        by_speaker.setdefault(speaker, []).append(utterance)
    _write(data / "utt2spk", (f"{utterance} {speaker}" for utterance, speaker, _, _ in lines))
    _write(data / "spk2utt", (f"{speaker} {' '.join(ids)}" for speaker, ids in by_speaker.items()))
    _write(data / "text", (f"{utterance} {_words(i)}" for i, (utterance, _, _, _) in enumerate(lines)))
    return data


def _recordings(folder: Path, utterances: int, segmented: bool) -> Iterator[Recording]:
    """Make the files, and tell of each, in the order of their ids."""
    count = -(-utterances // SEGMENTS) if segmented else utterances
    a_speaker = SPEAKER_UTTERANCES // (SEGMENTS if segmented else 1)
    originals = _originals(folder / "originals", segmented)
    for number, (original, samples) in enumerate(islice(cycle(originals), count)):
        speaker = f"s{number // a_speaker:05d}"
        id = f"{speaker}-{number % a_speaker:04d}"
        path = folder / "audio" / speaker / f"{id}.wav"
        if number % a_speaker == 0:
            path.parent.mkdir(parents=True)
        os.link(original, path)
        yield Recording(id, speaker, str(path), samples)


def _originals(folder: Path, segmented: bool) -> list[tuple[Path, int]]:
    """Write the files that all others are links to: path and samples of each."""
    generator = np.random.default_rng(0)
    made = []
    for seconds in [SEGMENTS * SEGMENT_SECONDS] * 20 if segmented else SECONDS:
        path, samples = folder / f"{len(made)}.wav", round(seconds * RATE)
        write_wav(path, generator.uniform(-0.3, 0.3, samples).astype(np.float32), RATE)
        made.append((path, samples))
    return made


def _words(seed: int) -> str:
    """Return 12 words, another dozen for another utterance."""
    words = TEXT.split()
    return " ".join(words[(seed * (i + 7) + i * i) % len(words)] for i in range(12))


def _write(path: Path, lines: Iterator[str]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
