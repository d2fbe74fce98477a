"""Held-out utterances as the measures take them: a waveform and the speaker's index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from vqaudio.corpus import Utterance, read_utterance
from vqaudio.corpus.reading import utterance_seconds
from vqaudio.models.folder import speaker_index
from vqaudio.units.extract import require_rate

T = TypeVar("T")


def choose_evenly(utterances: Sequence[Utterance], max_seconds: float) -> list[Utterance]:
    """Return utterances of about `max_seconds` in all, evenly over the list; all of them where they last less."""
    total = sum(map(utterance_seconds, utterances))
    return spread_evenly(
        utterances, len(utterances) if total <= max_seconds else int(len(utterances) * max_seconds / total)
    )


def spread_evenly(items: Sequence[T], count: int) -> list[T]:
    """Return `count` of `items`, at least one and at most all, evenly over the list."""
    count = min(max(1, count), len(items))
    return [items[i * len(items) // count] for i in range(count)]


def read_waveforms(utterances: Iterable[Utterance], sample_rate: int) -> Iterator[np.ndarray]:
    """Yield the waveform, float32 (T,) at `sample_rate` Hz, of each utterance.

    Raises:
        AudioError: audio that cannot be read.
        VQAudioError: audio of another rate.
    """
    for utterance in utterances:
        waveform, rate = read_utterance(utterance)
        require_rate(utterance, rate, sample_rate)
        yield waveform


def read_heldout(
    utterances: Iterable[Utterance], speakers: Sequence[str], sample_rate: int
) -> Iterator[tuple[Tensor, int]]:
    """Yield the waveform, float32 (T,), and the index in `speakers` of each utterance.

    Raises:
        ModelError: a speaker whom the model does not know.
        AudioError, VQAudioError: as `read_waveforms`.
    """
    for utterance in utterances:
        index = speaker_index(speakers, utterance.speaker)
        for waveform in read_waveforms([utterance], sample_rate):
            yield torch.from_numpy(waveform), index
