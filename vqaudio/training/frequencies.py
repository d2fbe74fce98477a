"""What a guess from frequencies alone would cost: the least that a network which has learned anything does better than.

It is measured on the very batches that the network learns from, so that the two figures can be compared step by step,
whether the batches are loud or quiet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vqaudio.audio.mulaw import mulaw_encode
from vqaudio.models.distributions import MuLawSoftmax, OutputDistribution
from vqaudio.models.ranks import sum_over_ranks

BINS = 256
"""Of samples whose distribution is not one of classes: companded levels."""


class Frequencies(nn.Module):
    """Counts of K symbols, in earlier steps and on all ranks; in checkpoints, for `counts` is a buffer.

    `widths` (K,): how many outcomes a symbol stands for, among which the guess is even; 1 where it is left out.
    """

    def __init__(self, symbols: int, widths: Tensor | None = None) -> None:
        super().__init__()
        self.symbols = symbols
        self.register_buffer("counts", torch.zeros(symbols, dtype=torch.long))
        bits = torch.zeros(symbols) if widths is None else widths.clamp_min(1).double().log2().float()
        self.register_buffer("bits_within", bits, persistent=False)

    @property
    def chance(self) -> float:
        """Bits of an even guess among all outcomes."""
        return float(self.bits_within.double().exp2().sum().log2())

    def count(self, symbols: Tensor) -> Tensor:
        """Return how often each occurs on all ranks (K,) in a step's `symbols`, LongTensor (…); K itself is nothing."""
        counts = torch.bincount(symbols.reshape(-1), minlength=self.symbols + 1)[: self.symbols]
        return sum_over_ranks(counts)

    def bits(self, counts: Tensor) -> Tensor:
        """Return the mean bits per symbol of a step's `counts` (K,), by what was counted before (Laplace's rule)."""
        share = (self.counts + 1).float() / (self.counts.sum() + self.symbols)
        return (counts * (self.bits_within - share.log2())).sum() / counts.sum().clamp_min(1)

    def take(self, counts: Tensor) -> None:
        """Count a step's symbols (K,)."""
        self.counts += counts


def sample_frequencies(distribution: OutputDistribution) -> Frequencies:
    """Return those of samples: of their classes, or of BINS companded levels with the 16-bit levels that each holds."""
    if isinstance(distribution, MuLawSoftmax):
        return Frequencies(distribution.classes)
    levels = torch.linspace(-1, 1, round(2 / distribution.step) + 1, dtype=torch.float64)
    return Frequencies(BINS, torch.bincount(mulaw_encode(levels, BINS), minlength=BINS))
