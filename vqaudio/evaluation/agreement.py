"""Whether an utterance has the same units however it is encoded: alone, in a padded batch, in chunks.

Share of units that are equal, in [0, 1], over all waveforms. The encoder sees a fixed window around each unit and
computes it in the same shape, so that on a CPU in float32 both must be exactly 1.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.windows import evaluating
from vqaudio.models.vqvae import VQVAE

CHUNK_SECONDS = 1.0
"""Longest chunk."""


def batch_agreement(model: VQVAE, waveforms: Sequence[Tensor], batch_size: int = 8) -> float:
    """Share of units that are the same in a batch, padded to its longest waveform, as alone.

    `waveforms`: float (T_i,) at the model's rate, on the model's device. The padding is noise at full scale and not
    zeros, which an encoder that looked at it could take for silence.
    """
    generator = torch.Generator().manual_seed(0)
    pairs = []
    with evaluating(model):
        for first in range(0, len(waveforms), batch_size):
            members = waveforms[first : first + batch_size]
            lengths = torch.tensor([len(waveform) for waveform in members])
            batch = pad_sequence(list(members), batch_first=True)
            outside = torch.arange(batch.shape[1]) >= lengths[:, None]  # (B, T)
            noise = torch.rand(batch.shape, generator=generator) * 2 - 1
            batch = torch.where(outside.to(batch.device), noise.to(batch.device), batch)
            rows = model.encode(batch, lengths)
            pairs += [(model.encode(waveform), row) for waveform, row in zip(members, rows, strict=True)]
    return _share(pairs)


def chunk_agreement(model: VQVAE, waveforms: Sequence[Tensor], seed: int = 0) -> float:
    """Share of units that are the same when the waveform comes in chunks of random lengths as in one piece.

    `waveforms`: float (T_i,) at the model's rate, on the model's device. Chunks have from one sample to a second, or to
    half of a shorter waveform: as they might come from a microphone or a network, and at least two.
    """
    generator = random.Random(seed)
    second = round(CHUNK_SECONDS * model.config.sample_rate)
    with evaluating(model):
        pairs = [
            (model.encode(waveform), torch.cat(list(model.encode_stream(_chunks(waveform, second, generator)))))
            for waveform in waveforms
        ]
    return _share(pairs)


def _chunks(waveform: Tensor, longest: int, generator: random.Random) -> Iterator[Tensor]:
    longest = max(1, min(longest, len(waveform) // 2))
    start = 0
    while start < len(waveform):
        length = generator.randint(1, longest)
        yield waveform[start : start + length]
        start += length


def _share(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Return the share of equal units; `other` may be longer than `alone`, by the units of its padding."""
    equal = total = 0
    for alone, other in pairs:
        equal += int((other[: len(alone)] == alone).sum())
        total += len(alone)
    if not total:
        raise VQAudioError("no units to compare: no waveforms, or empty ones")
    return equal / total
