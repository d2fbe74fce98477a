"""A small data directory on disk, to be used whole or broken in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vqaudio.audio.io import write_wav

RATE = 8000
UTTERANCES = {"ann-1": "ann", "ann-2": "ann", "bob-1": "bob"}


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """White noise at -20 dB or so, shape (samples,)."""
    return np.random.default_rng(seed).uniform(-0.2, 0.2, samples).astype(np.float32)


@pytest.fixture
def data(tmp_path) -> Path:
    """A valid data directory of three utterances of 0.5, 0.6 and 0.7 s at 8 kHz by two speakers."""
    folder = tmp_path / "data"
    for index, utterance in enumerate(UTTERANCES):
        write_wav(folder / "wavs" / f"{utterance}.wav", noise(4000 + 800 * index, index), RATE)
    table(folder, "wav.scp", *(f"{utterance} wavs/{utterance}.wav" for utterance in UTTERANCES))
    table(folder, "utt2spk", *(f"{utterance} {speaker}" for utterance, speaker in UTTERANCES.items()))
    table(folder, "spk2utt", "ann ann-1 ann-2", "bob bob-1")
    table(folder, "text", "ann-1 good morning", "ann-2 good night", "bob-1 no")
    return folder


@pytest.fixture
def segmented(data) -> Path:
    """A valid data directory of three segments of two recordings."""
    for name in ("ann-1", "bob-1"):
        (data / "wavs" / f"{name}.wav").rename(data / "wavs" / f"rec-{name}.wav")
    table(data, "wav.scp", "rec-a wavs/rec-ann-1.wav", "rec-b wavs/rec-bob-1.wav")
    table(data, "segments", "ann-1 rec-a 0.0 0.2", "ann-2 rec-a 0.2 0.5", "bob-1 rec-b 0.1 -1")
    return data


def table(folder: Path, name: str, *lines: str) -> Path:
    """Write one table of a data directory."""
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Rewrite a text file."""
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
