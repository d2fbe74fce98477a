"""Held-out recordings beside what the decoder made of their units."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqaudio.audio.io import read_audio
from vqaudio.audio.spectrogram import plot_reconstruction
from vqaudio.corpus import Utterance, read_utterance
from vqaudio.errors import AudioError, VQAudioError
from vqaudio.units.extract import require_rate

logger = logging.getLogger(__name__)

FIGURES = 4
FIGURE_SECONDS = 4.0
"""Longer recordings are drawn up to here: beyond, the runs of units are too narrow to be told apart."""


@dataclass(frozen=True)
class Pair:
    """One utterance's recording and its reconstruction, float32 (T,) each, at the model's rate."""

    id: str
    natural: np.ndarray
    reconstructed: np.ndarray


def read_pairs(
    utterances: Sequence[Utterance], folder: str | Path, sample_rate: int, max_seconds: float = 600.0
) -> list[Pair]:
    """Read the utterances of which there is a `<folder>/<id>.wav`, in order, until they last `max_seconds`.

    Reconstructions are trimmed to the length of the recording: the last unit covers more than what was there.
    Raises AudioError or VQAudioError for audio that cannot be read, or is of another rate than `sample_rate` Hz.
    """
    pairs: list[Pair] = []
    samples = 0
    for utterance in utterances:
        path = Path(folder) / f"{utterance.id}.wav"
        if not path.is_file():
            continue
        if samples >= max_seconds * sample_rate:
            logger.info("the first %d reconstructions in %s are compared (%g s)", len(pairs), folder, max_seconds)
            break
        pairs.append(_read_pair(utterance, path, sample_rate))
        samples += len(pairs[-1].natural)
    return pairs


def draw_pairs(
    folder: str | Path, pairs: Sequence[Pair], units: Mapping[str, np.ndarray], sample_rate: int, hop_length: int
) -> None:
    """Draw a few pairs, spread evenly, with the units (N,) between them, as `<folder>/<id>.png`."""
    count = min(FIGURES, len(pairs))
    for pair in (pairs[i * len(pairs) // count] for i in range(count)):
        shown = min(len(pair.natural), round(FIGURE_SECONDS * sample_rate))
        plot_reconstruction(
            Path(folder) / f"{pair.id}.png",
            pair.natural[:shown],
            pair.reconstructed[:shown],
            units[pair.id][: -(-shown // hop_length)],
            sample_rate,
            hop_length,
            title=pair.id,
        )


def _read_pair(utterance: Utterance, path: Path, sample_rate: int) -> Pair:
    natural, rate = read_utterance(utterance)
    require_rate(utterance, rate, sample_rate)
    reconstructed, rate = read_audio(path)
    if rate != sample_rate:
        raise VQAudioError(f"{path} has {rate} Hz, the model makes {sample_rate} Hz: was it made by another model?")
    if len(reconstructed) < len(natural):
        raise AudioError(path, f"{len(reconstructed)} samples, shorter than the recording's {len(natural)}")
    return Pair(utterance.id, natural, reconstructed[: len(natural)])
