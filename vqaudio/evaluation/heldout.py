"""Held-out utterances as the measures take them: a waveform and the speaker's index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from vqaudio.corpus import Utterance, read_utterance
from vqaudio.models.folder import speaker_index
from vqaudio.units.extract import require_rate


def read_heldout(
    utterances: Iterable[Utterance], speakers: Sequence[str], sample_rate: int
) -> Iterator[tuple[Tensor, int]]:
    """Yield the waveform, float32 (T,) at `sample_rate` Hz, and the index in `speakers` of each utterance.

    Raises:
        ModelError: a speaker whom the model does not know.
        AudioError: audio that cannot be read.
        VQAudioError: audio of another rate.
    """
    for utterance in utterances:
        index = speaker_index(speakers, utterance.speaker)
        waveform, rate = read_utterance(utterance)
        require_rate(utterance, rate, sample_rate)
        yield torch.from_numpy(waveform), index
