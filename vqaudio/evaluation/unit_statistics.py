"""How much of a codebook is used, and what its units cost: usage, perplexity, bitrates, unigram model.

Measures of single units take counts (K,): how often each of the K codes occurs (`unit_counts`). Those of runs take
the sequences, one per utterance, with one unit per 1 / unit_rate seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.errors import UnitsError
from vqaudio.units.runs import collapse


def unit_counts(sequences: Iterable[ArrayLike], codebook_size: int) -> np.ndarray:
    """Count the units of all `sequences`, each (N,) integers in [0, K), K = codebook_size: int64 (K,)."""
    counts = np.zeros(codebook_size, dtype=np.int64)
    for number, sequence in enumerate(sequences):
        units = np.asarray(sequence, dtype=np.int64)
        if units.ndim != 1:
            raise UnitsError(f"sequence {number} has the shape {units.shape}, expected (N,)")
        if units.size and (units.min() < 0 or units.max() >= codebook_size):
            wrong = int(units.min() if units.min() < 0 else units.max())
            raise UnitsError(f"sequence {number} holds {wrong}, expected units from 0 to {codebook_size - 1}")
        counts += np.bincount(units, minlength=codebook_size)
    return counts


def code_usage(counts: ArrayLike) -> float:
    """Share of the codes that occur at least once, in (0, 1]; a codebook without dead codes has 1."""
    counts = _checked(counts)
    return float(np.mean(counts > 0))


def entropy_bits(counts: ArrayLike) -> float:
    """Entropy of the distribution of units, -Σ p log2 p, in bits per unit; in [0, log2 K]."""
    counts = _checked(counts)
    p = counts[counts > 0] / counts.sum()
    return float(-np.sum(p * np.log2(p))) + 0.0  # + 0.0: a single code gives 0, not -0


def code_perplexity(counts: ArrayLike) -> float:
    """2^entropy: the number of equally frequent codes that would be as hard to guess; in [1, K]."""
    return 2.0 ** entropy_bits(counts)


def nominal_bitrate(unit_rate: float, codebook_size: int) -> float:
    """Bits per second when each unit is sent with a fixed length: unit rate (Hz) · log2 K."""
    _check_positive("unit_rate", unit_rate)
    _check_positive("codebook_size", codebook_size)
    return unit_rate * math.log2(codebook_size)


def entropy_bitrate(counts: ArrayLike, unit_rate: float) -> float:
    """Bits per second by the entropy of single units: unit rate (Hz) · entropy; at most the nominal bitrate.

    The measure of the ZeroSpeech challenges (Dunbar et al. 2019, *The Zero Resource Speech Challenge 2019:
    TTS without T*), with `unit_rate` symbols per second. For collapsed units that rate is the number of
    values divided by the seconds of audio.
    """
    _check_positive("unit_rate", unit_rate)
    return unit_rate * entropy_bits(counts)


def collapsed_bitrate(sequences: Iterable[ArrayLike], codebook_size: int, unit_rate: float) -> float:
    """Bits per second of the units with runs collapsed, durations not sent: M / D · entropy, in [0, entropy bitrate].

    The measure of the ZeroSpeech challenges, B = (M / D) · Σ -p log2 p for M symbols in D seconds (Dunbar et al. 2019,
    *The Zero Resource Speech Challenge 2019: TTS without T*, and 2020, *The Zero Resource Speech Challenge 2020:
    Discovering discrete subword and word units*), where the symbols are runs. What is sent restores no time: it is
    the cost of what is said, not of how fast.

    Args:
        sequences: one per utterance, (N,) integers in [0, K) each; runs end with their utterance.
        codebook_size: K.
        unit_rate: units per second before collapsing, in Hz.

    Raises:
        UnitsError: no units, units outside the codebook, or a rate that is not above 0.
    """
    values, _, seconds = _runs(sequences, codebook_size, unit_rate)
    return len(values) / seconds * entropy_bits(np.bincount(values))


def collapsed_bitrate_with_durations(sequences: Iterable[ArrayLike], codebook_size: int, unit_rate: float) -> float:
    """Bits per second of runs with their durations, from which the units can be restored: M / D · H(unit, duration).

    H(unit, duration) = H(unit) + H(duration | unit), the entropy of the pairs that the M runs are: lossless
    run-length encoding (Harwath, Hsu and Glass 2020, *Learning Hierarchical Discrete Linguistic Units from
    Visually-Grounded Speech*). At least `collapsed_bitrate`, and equal to the entropy bitrate where no unit repeats;
    commonly below the entropy bitrate where units last, though above it where their lengths are hard to guess.

    Shares in the sample stand for probabilities, which makes entropies too low where runs are few: by about
    (P - 1) / (2 M ln 2) bits per run for P different pairs (Miller 1955). For P as large as M / 10, that is 0.07 bits.

    Arguments and errors are those of `collapsed_bitrate`.
    """
    values, durations, seconds = _runs(sequences, codebook_size, unit_rate)
    _, counts = np.unique(np.stack([values, durations]), axis=1, return_counts=True)  # (P,)
    return len(values) / seconds * entropy_bits(counts)


def prior_bitrate(bits_per_unit: float, unit_rate: float) -> float:
    """Bits per second when units are sent by an entropy coder under a prior: unit rate (Hz) · bits per unit, above 0.

    `bits_per_unit` is the cross-entropy of held-out units, as `prior_bits_per_unit` measures it, so that unlike the
    entropy bitrates it owes nothing to the units that are sent; the entropy coder reaches it within a few bits per
    utterance (Shannon 1948).
    """
    _check_positive("bits_per_unit", bits_per_unit)
    _check_positive("unit_rate", unit_rate)
    return unit_rate * bits_per_unit


def unigram_bits_per_unit(train_counts: ArrayLike, heldout_counts: ArrayLike) -> float:
    """Cross-entropy, in bits per held-out unit, of the unigram model of the training units.

    The model is (n_k + 1/2) / (n + K/2), after Krichevsky and Trofimov (1981), so that a code that was never
    seen in training costs much but not infinity. It is what a prior without any context would reach: the
    yardstick for the learned prior. Units alone are counted, no end symbol, as in `prior_bits_per_unit`.
    """
    train, heldout = _checked(train_counts, may_be_empty=True), _checked(heldout_counts)
    if len(train) != len(heldout):
        raise UnitsError(f"counts of {len(train)} training and {len(heldout)} held-out codes: two codebooks?")
    p = (train + 0.5) / (train.sum() + 0.5 * len(train))  # (K,)
    return float(-np.sum(heldout * np.log2(p)) / heldout.sum())


def _runs(sequences: Iterable[ArrayLike], codebook_size: int, unit_rate: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return values and durations of all runs, int64 (M,) each, and the seconds that they last in all."""
    _check_positive("unit_rate", unit_rate)
    sequences = list(sequences)
    units = _checked(unit_counts(sequences, codebook_size)).sum()
    values, durations = map(np.concatenate, zip(*map(collapse, sequences), strict=True))
    return values, durations, float(units) / unit_rate


def _checked(counts: ArrayLike, may_be_empty: bool = False) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.ndim != 1 or counts.size == 0 or not np.issubdtype(counts.dtype, np.integer):
        raise UnitsError(f"counts of shape {counts.shape} and type {counts.dtype}, expected integers (K,)")
    if counts.min() < 0:
        raise UnitsError(f"a count of {counts.min()}, expected 0 or more")
    if counts.sum() == 0 and not may_be_empty:
        raise UnitsError("no units to score: all counts are 0")
    return counts


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise UnitsError(f"{name} is {value!r}, expected a number above 0")
