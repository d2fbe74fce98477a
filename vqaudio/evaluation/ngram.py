"""N-gram models of units, smoothed after Kneser and Ney: what a learned prior must beat to be worth its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.errors import UnitsError
from vqaudio.evaluation.unit_statistics import unit_counts

NO_SINGLETONS_DISCOUNT = 0.5
"""Discount where no n-gram has the count 1 and D has no estimate: above 0, so that what was not seen is possible."""


class KneserNey:
    """Interpolated Kneser-Ney model of units: p(u_n | the order - 1 units before it).

    Kneser and Ney 1995, *Improved backing-off for m-gram language modeling*; in the interpolated form of Chen and
    Goodman 1999, *An empirical study of smoothing techniques for language modeling*, section 2.7. For a context h,
    h' the same without its first symbol, and N1+(x) the number of distinct symbols that can fill the • in x:

        p(u | h) = max(c(h u) - D, 0) / c(h •) + D · N1+(h •) / c(h •) · p(u | h'),   p(u | h') where h is unseen

    c are counts at the highest order and N1+(• h u) below it. Under the lowest order lies 1 / K, so that nothing
    has probability 0. Each order has one discount, D = n1 / (n1 + 2 n2), n1 and n2 being how many of its n-grams
    have the count 1 and 2 (`NO_SINGLETONS_DISCOUNT` where n1 is 0). Utterances begin with order - 1 begin symbols,
    which are contexts like any other and are never predicted; there is no end symbol, as in `prior_bits_per_unit`.

    Args:
        order: units in an n-gram: 2 for a bigram, 3 for a trigram.
        codebook_size: K; units are integers in [0, K).

    Raises:
        UnitsError: an order below 1, or n-grams too many for 64 bits.
    """

    def __init__(self, order: int, codebook_size: int) -> None:
        if order < 1 or codebook_size < 1 or (codebook_size + 1) ** order >= 2**63:
            raise UnitsError(
                f"n-grams of order {order} over {codebook_size} codes: expected an order of 1 or more, and 63 bits"
            )
        self.order, self.codebook_size = order, codebook_size
        self._base = codebook_size + 1  # the begin symbol is K
        self._levels: list[_Level] = []

    def fit(self, sequences: Sequence[ArrayLike]) -> KneserNey:
        """Count the n-grams of training utterances, each (N,) units. Raises UnitsError where there are no units."""
        if not unit_counts(sequences, self.codebook_size).sum():
            raise UnitsError("no units to learn n-grams from")
        keys, counts = np.unique(np.concatenate([self._ngrams(units) for units in sequences]), return_counts=True)
        self._levels = [_Level.of(keys, counts, self._base)]
        for length in range(self.order - 1, 0, -1):  # distinct n-grams, counted by what follows their first symbol
            keys, counts = np.unique(keys % self._base**length, return_counts=True)
            self._levels.insert(0, _Level.of(keys, counts, self._base))
        return self

    def bits(self, units: ArrayLike) -> np.ndarray:
        """Return -log2 p of each unit of an utterance (N,), in bits: float64 (N,)."""
        unit_counts([units], self.codebook_size)  # refuses what are not its units
        return -np.log2(self._probabilities(self._ngrams(units)))

    def utterance_bits(self, sequences: Sequence[ArrayLike]) -> np.ndarray:
        """Return the bits of each utterance, float64 (U,); with their lengths, what `ratio_interval` takes."""
        return np.array([self.bits(units).sum() for units in sequences])

    def probabilities(self, context: ArrayLike = ()) -> np.ndarray:
        """Return p of each unit at the place after the units `context` (N,) of an utterance: float64 (K,)."""
        unit_counts([context], self.codebook_size)
        after_any = self._ngrams(np.append(np.asarray(context, dtype=np.int64), 0))[-1]
        return self._probabilities(after_any + np.arange(self.codebook_size))

    def _ngrams(self, units: ArrayLike) -> np.ndarray:
        """Return the n-gram that ends with each unit (N,), as a number in base K + 1, the last symbol lowest: (N,)."""
        units = np.asarray(units, dtype=np.int64)
        symbols = np.concatenate([np.full(self.order - 1, self.codebook_size), units])
        keys = np.zeros(len(units), dtype=np.int64)
        for place in range(self.order):
            keys = keys * self._base + symbols[place : place + len(units)]
        return keys

    def _probabilities(self, ngrams: np.ndarray) -> np.ndarray:
        if not self._levels:
            raise UnitsError("n-grams that nothing was counted for: fit the model first")
        p = np.full(len(ngrams), 1 / self.codebook_size)
        for length, level in enumerate(self._levels, start=1):
            p = level.interpolate(ngrams % self._base**length, p)
        return p


def ngram_bits_per_unit(
    train: Sequence[ArrayLike], heldout: Sequence[ArrayLike], codebook_size: int, order: int
) -> float:
    """Cross-entropy, in bits per held-out unit, of the Kneser-Ney model of the training units; in (0, ∞).

    What units tell of the next one over `order` - 1 of them. A prior that is no better has learned nothing beyond;
    log2 K is what units without any structure cost. Units alone are counted, no end symbol, as in
    `prior_bits_per_unit` and `unigram_bits_per_unit`. For an interval use `KneserNey.utterance_bits`.

    Raises:
        UnitsError: no training or held-out units, or units outside [0, K).
    """
    count = int(unit_counts(heldout, codebook_size).sum())
    if not count:
        raise UnitsError("no held-out units to score")
    return float(KneserNey(order, codebook_size).fit(train).utterance_bits(heldout).sum() / count)


@dataclass(frozen=True)
class _Level:
    """The n-grams of one length: keys (G,), sorted, with counts (G,); contexts (C,) with totals and mass left (C,)."""

    base: int
    discount: float
    keys: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    left: np.ndarray
    """Share of each context's mass that the lower order has to give: D · N1+(h •) / c(h •)."""

    @classmethod
    def of(cls, keys: np.ndarray, counts: np.ndarray, base: int) -> _Level:
        once, twice = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
        discount = once / (once + 2 * twice) if once else NO_SINGLETONS_DISCOUNT
        contexts, starts, types = np.unique(keys // base, return_index=True, return_counts=True)
        totals = np.add.reduceat(counts, starts)
        return cls(base, discount, keys, counts, contexts, totals, discount * types / totals)

    def interpolate(self, ngrams: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """Return p of the last symbol of each n-gram (N,); `lower` (N,) is the same with one symbol of context less."""
        counts = _look_up(self.keys, self.counts, ngrams, absent=0)
        contexts = ngrams // self.base
        totals = _look_up(self.contexts, self.totals, contexts, absent=1)
        left = _look_up(self.contexts, self.left, contexts, absent=1.0)  # all of it where the context is unseen
        return np.maximum(counts - self.discount, 0) / totals + left * lower


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray, absent: float) -> np.ndarray:
    """Return the value of each of `wanted` (N,) among sorted `keys` (G,), G ≥ 1, or `absent`."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], absent)
