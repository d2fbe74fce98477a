"""How varied sequences are, within themselves and among each other: auto-BLEU, self-BLEU and VERT.

The measures of generated speech in GSLM (Lakhotia et al. 2021, *On Generative Spoken Language Modeling from Raw
Audio*, TACL 9, section on evaluation). There they are taken over the words of a recogniser's transcripts, in percent.
Here they are shares in [0, 1], over whatever integers are given: units, whose runs should be collapsed first, since
a unit that lasts repeats itself; or numbered words. Neither end is good: too high is monotony, too low is noise.
Natural sequences, as many and as long, are the yardstick, since auto-BLEU and self-BLEU grow with the length of
sequences, and self-BLEU with their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.errors import UnitsError

ORDER = 2
"""Longest n-grams compared: GSLM takes unigrams and bigrams, with equal weights."""


def auto_bleu(sequence: ArrayLike, n: int = ORDER) -> float:
    """Share of a sequence's n-grams that it holds more than once: geometric mean over lengths 1 to n, in [0, 1].

    Lakhotia et al. 2021: auto-BLEU(u, k) = Σ_s 1[s ∈ NG_k(u) \\ s] / |NG_k(u)|, where s runs over all k-grams
    NG_k(u) of the sequence u (N,), and the geometric mean over k = 1 … n. 0 where none occurs twice, 1 where all
    do. As in GSLM's evaluation code, a sequence too short for n-grams has 0. That code leaves out repetitions that
    overlap; for n = 2 this takes three equal symbols in a row, so that without runs it makes no difference.

    Raises:
        UnitsError: not integers (N,) of 0 or more, or n below 1.
    """
    return float(auto_bleus([sequence], n)[0])


def auto_bleus(sequences: Sequence[ArrayLike], n: int = ORDER) -> np.ndarray:
    """Return `auto_bleu` of each of S sequences, float64 (S,)."""
    shares = []
    for grams in _ngrams_up_to(n, sequences):
        repeated = np.bincount(grams.places, grams.counts * (grams.counts > 1), minlength=len(sequences))
        shares.append(repeated / np.maximum(grams.totals, 1))
    return _geometric_mean(shares)


def self_bleu(sequences: Sequence[ArrayLike], n: int = ORDER, brevity_penalty: bool = False) -> float:
    """Mean of the BLEU of each sequence with all others as its references, in [0, 1]; 1 where all are the same.

    Zhu et al. 2018, *Texygen: A Benchmarking Platform for Text Generation Models* (SIGIR), over BLEU (Papineni et
    al. 2002): geometric mean, over lengths 1 to n, of the share of a sequence's n-grams that are in the references,
    each counted at most as often as in the one that has it most often. Unsmoothed: one share of 0 makes the
    sequence's BLEU 0, and so does a sequence too short for n-grams. As in GSLM there is no brevity penalty, which
    has no meaning among equals; `brevity_penalty` adds it, against the reference whose length is nearest (the
    shorter of two), as in Texygen.

    Raises:
        UnitsError: fewer than 2 sequences, ones that are not integers (N,) of 0 or more, or n below 1.
    """
    return float(np.mean(self_bleus(sequences, n, brevity_penalty)))


def self_bleus(sequences: Sequence[ArrayLike], n: int = ORDER, brevity_penalty: bool = False) -> np.ndarray:
    """Return the BLEU of each of S sequences against the others, float64 (S,): see `self_bleu`."""
    if len(sequences) < 2:
        raise UnitsError(f"self-BLEU of {len(sequences)} sequences, expected 2 or more to compare")
    precisions = []
    for grams in _ngrams_up_to(n, sequences):
        clipped = np.minimum(grams.counts, _most_elsewhere(grams))
        matches = np.bincount(grams.places, clipped, minlength=len(sequences))
        precisions.append(matches / np.maximum(grams.totals, 1))
    bleu = _geometric_mean(precisions)
    return bleu * _brevity_penalties([len(np.asarray(s)) for s in sequences]) if brevity_penalty else bleu


def vert(sequences: Sequence[ArrayLike], n: int = ORDER) -> float:
    """VERT ("diVERsiTy", Lakhotia et al. 2021): geometric mean of self-BLEU and the mean auto-BLEU, in [0, 1].

    High where sequences repeat themselves or each other, low where they are diverse. `n` as in both; see
    `self_bleu` for what is raised.
    """
    return math.sqrt(self_bleu(sequences, n) * float(np.mean(auto_bleus(sequences, n))))


def as_integers(sequence: ArrayLike) -> np.ndarray:
    """Return a sequence as int64 (N,), N ≥ 0. Raises UnitsError unless it is one of integers, 0 or more."""
    array = np.asarray(sequence)
    if array.ndim != 1 or (array.size and (not np.issubdtype(array.dtype, np.integer) or array.min() < 0)):
        raise UnitsError(f"a sequence of shape {array.shape} and type {array.dtype}, expected integers (N,), 0 or more")
    return array.astype(np.int64)


class _Grams(NamedTuple):
    """The distinct n-grams of each of S sequences: P pairs of n-gram and sequence, sorted by n-gram."""

    grams: np.ndarray  # (P,) number of the n-gram
    places: np.ndarray  # (P,) number of the sequence that holds it
    counts: np.ndarray  # (P,) how often
    totals: np.ndarray  # (S,) n-grams of each sequence, max(0, N - n + 1)


def _ngrams_up_to(n: int, sequences: Sequence[ArrayLike]) -> list[_Grams]:
    """Count the n-grams of lengths 1 to `n`."""
    if n < 1:
        raise UnitsError(f"n-grams of length {n}, expected 1 or more")
    arrays = [as_integers(sequence) for sequence in sequences]
    lengths = np.array([len(a) for a in arrays], dtype=np.int64)
    symbols = np.unique(np.concatenate([np.empty(0, np.int64), *arrays]), return_inverse=True)[1]  # (T,) all joined
    owners = np.repeat(np.arange(len(arrays)), lengths)  # (T,) the sequence of each
    names = np.zeros(len(symbols), dtype=np.int64)  # (T,) number of the n-gram that begins there
    found = []
    for length in range(1, n + 1):
        inside = np.flatnonzero(
            owners[: max(0, len(owners) - length + 1)] == owners[length - 1 :]
        )  # begins of whole n-grams
        keys = names[inside] * (len(symbols) + 1) + symbols[inside + length - 1]
        names[inside] = np.unique(keys, return_inverse=True)[1]
        pairs, counts = np.unique(names[inside] * len(arrays) + owners[inside], return_counts=True)
        totals = np.maximum(lengths - length + 1, 0)
        found.append(_Grams(pairs // len(arrays), pairs % len(arrays), counts, totals))
    return found


def _most_elsewhere(grams: _Grams) -> np.ndarray:
    """Return, for each pair of n-gram and sequence, the most that any other sequence holds of the n-gram: (P,)."""
    order = np.lexsort((-grams.counts, grams.grams))  # each n-gram's sequences, the one with most first
    _, starts, groups = np.unique(grams.grams[order], return_index=True, return_inverse=True)
    counts = np.append(grams.counts[order], 0)
    ends = np.append(starts[1:], len(order))
    second = np.where(ends - starts > 1, counts[starts + 1], 0)
    elsewhere = np.empty(len(order), dtype=np.int64)
    elsewhere[order] = np.where(np.arange(len(order)) == starts[groups], second[groups], counts[starts[groups]])
    return elsewhere


def _geometric_mean(shares: Sequence[np.ndarray]) -> np.ndarray:
    """Return the geometric mean over n-gram lengths of shares (S,) each: float64 (S,)."""
    return np.prod(shares, axis=0) ** (1 / len(shares))


def _brevity_penalties(lengths: Sequence[int]) -> np.ndarray:
    """Return exp(1 - r / c) where a sequence (c) is shorter than the nearest other length r, else 1: (S,)."""
    penalties = []
    for place, length in enumerate(lengths):
        others = [other for i, other in enumerate(lengths) if i != place]
        nearest = min(others, key=lambda other: (abs(other - length), other))
        penalties.append(math.exp(1 - nearest / length) if 0 < length < nearest else 1.0)
    return np.array(penalties)
