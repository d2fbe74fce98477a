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
from vqaudio.corpus.reading import utterance_seconds
from vqaudio.errors import AudioError, VQAudioError
from vqaudio.evaluation.heldout import spread_evenly
from vqaudio.units.extract import require_rate

logger = logging.getLogger(__name__)

FIGURES = 4
FIGURE_SECONDS = 4.0
"""Longer recordings are drawn up to here: beyond, the runs of units are too narrow to be told apart."""


@dataclass(frozen=True)
class Pair:
    """One utterance's recording and what the decoder made of its units, float32 (T,) each, at the model's rate.

    `voice` is the speaker in whose voice it was decoded: the recording's own `speaker` in a reconstruction.
    """

    id: str
    speaker: str
    voice: str
    natural: np.ndarray
    made: np.ndarray


def read_pairs(
    utterances: Sequence[Utterance], folder: str | Path, sample_rate: int, max_seconds: float = 600.0
) -> list[Pair]:
    """Read the utterances of which there is a `<folder>/<id>.wav`, in order: about `max_seconds`, spread evenly.

    Reconstructions are trimmed to the length of the recording: the last unit covers more than what was there.
    Raises AudioError or VQAudioError for audio that cannot be read, or is of another rate than `sample_rate` Hz.
    """
    there = ((u, u.speaker, Path(folder) / f"{u.id}.wav") for u in utterances)
    return _read_all([(u, voice, path) for u, voice, path in there if path.is_file()], sample_rate, max_seconds)


def read_conversions(
    utterances: Sequence[Utterance], folder: str | Path, sample_rate: int, max_seconds: float = 600.0
) -> list[Pair]:
    """Read the `<folder>/<id>-to-<speaker>.wav` of the utterances: as `read_pairs`, in other voices."""
    files = sorted(Path(folder).glob("*-to-*.wav"))
    found = []
    for utterance in utterances:
        start = f"{utterance.id}-to-"
        found += [(utterance, path.stem[len(start) :], path) for path in files if path.name.startswith(start)]
    return _read_all(found, sample_rate, max_seconds)


def _read_all(found: Sequence[tuple[Utterance, str, Path]], sample_rate: int, max_seconds: float) -> list[Pair]:
    """Read all, or, where they last longer than `max_seconds`, some that are spread evenly."""
    total = sum(utterance_seconds(utterance) for utterance, _, _ in found)
    if total > max_seconds:
        found = spread_evenly(found, int(len(found) * max_seconds / total))
        logger.info("%d utterances of %.0f s, spread evenly, are compared", len(found), max_seconds)
    return [_read_pair(utterance, voice, path, sample_rate) for utterance, voice, path in found]


def draw_pairs(
    folder: str | Path, pairs: Sequence[Pair], units: Mapping[str, np.ndarray], sample_rate: int, hop_length: int
) -> None:
    """Draw a few pairs, spread evenly, with the units (N,) between them, as `<folder>/<id>.png`."""
    for pair in spread_evenly(pairs, FIGURES):
        shown = min(len(pair.natural), round(FIGURE_SECONDS * sample_rate))
        plot_reconstruction(
            Path(folder) / f"{pair.id}.png",
            pair.natural[:shown],
            pair.made[:shown],
            units[pair.id][: -(-shown // hop_length)],
            sample_rate,
            hop_length,
            title=pair.id,
        )


def _read_pair(utterance: Utterance, voice: str, path: Path, sample_rate: int) -> Pair:
    natural, rate = read_utterance(utterance)
    require_rate(utterance, rate, sample_rate)
    made, rate = read_audio(path)
    if rate != sample_rate:
        raise VQAudioError(f"{path} has {rate} Hz, the model makes {sample_rate} Hz: was it made by another model?")
    if len(made) < len(natural):
        raise AudioError(path, f"{len(made)} samples, shorter than the recording's {len(natural)}")
    return Pair(utterance.id, utterance.speaker, voice, natural, made[: len(natural)])
