"""Training data of the prior: rows of symbols, as a pure function of seed and step.

Each speaker's utterances, shuffled anew each epoch, are joined with the boundary symbol K between them and cut into
rows of equal length; a row is of one speaker. The prior thus meets utterances' beginnings and ends as often as they
occur, and wastes nothing on padding. Ranks take their rows of each step in turn, as crops are taken (corpus/crops.py).

    K u u u u K u u K u u u u u K …     ─▶  rows of T + 1 symbols: inputs are the first T, targets the last T
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from vqaudio.errors import UnitsError


@dataclass(frozen=True)
class RowBatch:
    """Symbols (B, T + 1), LongTensor, and the speaker of each row (B,)."""

    symbols: Tensor
    speakers: Tensor


class UnitRows:
    """Batches of rows, for rank `rank` of `world_size`; `batch_size` counts the rows of one rank.

    `units`: (N_i,) arrays, `speakers`: their indices; `boundary`: the symbol between utterances.
    """

    def __init__(
        self,
        units: Sequence[np.ndarray],
        speakers: Sequence[int],
        boundary: int,
        length: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not units:
            raise UnitsError("no unit sequences to learn from")
        self.boundary, self.length, self.batch_size, self.seed = boundary, length, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self._of_speaker = {s: [u for u, of in zip(units, speakers) if of == s] for s in sorted(set(speakers))}
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)
        self.rows_per_epoch = len(self._draw_epoch(0)[1])

    def batch(self, step: int) -> RowBatch:
        """Return this rank's batch of a step (0, 1, …)."""
        rows, speakers = [], []
        first = (step * self.world_size + self.rank) * self.batch_size
        for position in range(first, first + self.batch_size):
            epoch, index = divmod(position, self.rows_per_epoch)
            symbols, of = self._epoch(epoch)
            rows.append(symbols[index])
            speakers.append(of[index])
        return RowBatch(torch.from_numpy(np.stack(rows)), torch.tensor(speakers))

    def _draw_epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return all rows (M, T + 1) of an epoch in random order, and their speakers (M,)."""
        random = np.random.default_rng([self.seed, epoch])
        rows, speakers = [], []
        for speaker, sequences in self._of_speaker.items():
            stream = self._join([sequences[i] for i in random.permutation(len(sequences))])
            # Start at a random place, so that a stream's rows are not cut at the same distances every epoch.
            stream = np.roll(stream, -int(random.integers(len(stream))))
            count = -(-(len(stream) - 1) // self.length)
            # The last row is filled up from the stream's beginning. Rows overlap by one symbol.
            filled = np.resize(stream, count * self.length + 1)
            starts = np.arange(count)[:, None] * self.length
            rows.append(filled[starts + np.arange(self.length + 1)])
            speakers.append(np.full(count, speaker))
        order = random.permutation(sum(map(len, rows)))
        return np.concatenate(rows)[order], np.concatenate(speakers)[order]

    def _join(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        parts = [part for sequence in sequences for part in ([self.boundary], sequence)]
        return np.concatenate(parts).astype(np.int64)
