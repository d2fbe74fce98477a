"""What a sample took over: from the training utterances, which a prior may know by heart, and from itself, in loops.

All take units as they are given. With runs collapsed first they ask about what is said and not about how long each
unit lasts; `describe_samples` does so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.errors import UnitsError
from vqaudio.evaluation.diversity import as_integers

LEAST_COPIED = 10
"""Units in a row that count as copied; without runs, natural utterances rarely share so many with others."""
LONGEST_PERIOD = 64
"""Units of the longest cycle looked for, a word's worth."""
LEAST_REPETITIONS = 3
"""Turns of a cycle that make a loop: units of natural speech often go to and fro once or twice."""


class TrainingIndex:
    """The training utterances, sorted so that the longest run of units shared with them is found quickly.

    A suffix array (Manber and Myers 1993), built by doubling the length that suffixes are sorted by. Building takes
    O(M log M) for each doubling up to the longest utterance, M being all units; a search takes O(log M) for each
    unit of a match. Runs never cross the border between utterances.

    Args:
        train: utterances, each (N,) units, 0 or more.

    Raises:
        UnitsError: no units, or ones that are not integers (N,) of 0 or more.
    """

    def __init__(self, train: Sequence[ArrayLike]) -> None:
        arrays = [as_integers(units) for units in train]
        if not sum(map(len, arrays)):
            raise UnitsError("no training units to compare with")
        self._text = _joined(arrays, border=0)
        self._suffixes = _suffix_array(self._text, longest=max(map(len, arrays)))

    def match_lengths(self, samples: Sequence[ArrayLike]) -> list[np.ndarray]:
        """Return, for each unit of each sample (N,), how many units from there on are also a run in training.

        int64 (N,) each: 0 where the unit itself does not occur, and at most what is left of the sample.
        """
        arrays = [as_integers(units) for units in samples]
        wanted = _joined(arrays, border=-1)  # which training does not hold
        lengths = np.zeros(len(wanted), dtype=np.int64)
        active = np.arange(len(wanted))
        low, high = np.zeros_like(active), np.full_like(active, len(self._suffixes))  # suffixes that match so far
        depth = 0
        while len(active):
            symbols = wanted[active + depth]
            low = self._first_reaching(symbols, low, high, depth)
            high = self._first_reaching(symbols + 1, low, high, depth)
            found = low < high
            active, low, high = active[found], low[found], high[found]
            depth += 1
            lengths[active] = depth
        ends = np.cumsum([len(a) + 1 for a in arrays])
        return [lengths[end - len(a) - 1 : end - 1] for a, end in zip(arrays, ends, strict=True)]

    def _first_reaching(self, symbols: np.ndarray, low: np.ndarray, high: np.ndarray, depth: int) -> np.ndarray:
        """Return the first of the suffixes [low, high) whose symbol at `depth` is at least `symbols`; high if none."""
        low, high = low.copy(), high.copy()
        for _ in range(int((high - low).max(initial=0)).bit_length()):
            middle = (low + high) // 2
            open_ = low < high
            places = self._suffixes[np.minimum(middle, len(self._suffixes) - 1)] + depth
            below = open_ & (self._text[np.minimum(places, len(self._text) - 1)] < symbols)
            low = np.where(below, middle + 1, low)
            high = np.where(open_ & ~below, middle, high)
        return low


def copied_units(match_lengths: ArrayLike, at_least: int = LEAST_COPIED) -> np.ndarray:
    """Say of each unit of a sample whether it lies in a run of `at_least` units or more that training holds: bool (N,).

    `match_lengths` (N,) are those of `TrainingIndex.match_lengths`.
    """
    if at_least < 1:
        raise UnitsError(f"runs of at least {at_least} units, expected 1 or more")
    lengths = np.asarray(match_lengths, dtype=np.int64)
    starts = np.flatnonzero(lengths >= at_least)
    return _covered(starts, starts + lengths[starts], len(lengths))


def copied_share(samples: Sequence[ArrayLike], training: TrainingIndex, at_least: int = LEAST_COPIED) -> float:
    """Share of all samples' units that lie in runs of `at_least` units or more that training holds, in [0, 1].

    0 for units that are nowhere in the training set in this order, 1 for a training utterance, or a join of long
    pieces of them. Natural speech shares stretches with other natural speech, silence above all: held-out
    utterances are the yardstick.

    Raises:
        UnitsError: samples without units, ones that are not integers (N,) of 0 or more, or `at_least` below 1.
    """
    copied = [copied_units(lengths, at_least) for lengths in training.match_lengths(samples)]
    if not sum(map(len, copied)):
        raise UnitsError("no units in the samples")
    return float(np.mean(np.concatenate(copied)))


def longest_copy(sample: ArrayLike, training: TrainingIndex) -> int:
    """Units of the longest run that sample (N,) and training share; 0 where they have no unit in common."""
    return int(training.match_lengths([sample])[0].max(initial=0))


def looped_units(
    sequence: ArrayLike, longest_period: int = LONGEST_PERIOD, repetitions: int = LEAST_REPETITIONS
) -> np.ndarray:
    """Say of each unit of a sequence (N,) whether it lies in a loop: bool (N,); see `loop_share`."""
    if longest_period < 1 or repetitions < 2:
        raise UnitsError(f"loops of up to {longest_period} units, {repetitions} times: expected 1 or more, 2 or more")
    units = as_integers(sequence)
    looped = np.zeros(len(units), dtype=bool)
    for period in range(1, min(longest_period, len(units) // repetitions) + 1):
        same = np.concatenate([[False], units[period:] == units[:-period], [False]]).astype(np.int8)
        starts, ends = np.flatnonzero(np.diff(same) == 1), np.flatnonzero(np.diff(same) == -1)  # of periodic stretches
        long = ends - starts >= (repetitions - 1) * period
        looped |= _covered(starts[long], ends[long] + period, len(units))
    return looped


def loop_share(
    sequences: Sequence[ArrayLike], longest_period: int = LONGEST_PERIOD, repetitions: int = LEAST_REPETITIONS
) -> float:
    """Share of all sequences' units that lie in a loop, in [0, 1]: a prior that is stuck says the same over and over.

    A loop is a stretch that repeats with a period of p units, u_n = u_(n+p), for some p up to `longest_period`, and
    is at least `repetitions` · p units long: the same cycle that many times on end, and what of the next belongs to
    it. A definition of this toolkit. Runs are loops of period 1, so collapse them first.

    Raises:
        UnitsError: no units, or ones that are not integers (N,) of 0 or more, or options out of range.
    """
    looped = [looped_units(units, longest_period, repetitions) for units in sequences]
    if not sum(map(len, looped)):
        raise UnitsError("no units to look for loops in")
    return float(np.mean(np.concatenate(looped)))


def _covered(starts: np.ndarray, ends: np.ndarray, length: int) -> np.ndarray:
    """Return which of `length` places lie in one of the stretches [start, end): bool (length,)."""
    steps = np.bincount(starts, minlength=length + 1) - np.bincount(ends, minlength=length + 1)
    return np.cumsum(steps)[:length] > 0


def _joined(arrays: Sequence[np.ndarray], border: int) -> np.ndarray:
    """Return all sequences, each plus 1 and followed by `border`, as one: int64."""
    parts = [part for units in arrays for part in (units + 1, [border])]
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, dtype=np.int64)


def _suffix_array(text: np.ndarray, longest: int) -> np.ndarray:
    """Sort the suffixes of `text` (M,) by their first `longest` symbols or more: their places, int64 (M,)."""
    ranks = text - text.min()
    length = 1
    while True:
        following = np.zeros_like(ranks)  # past the end: below every other rank
        following[:-length] = ranks[length:] + 1
        order = np.argsort(ranks * (following.max() + 1) + following)
        keys = (ranks * (following.max() + 1) + following)[order]
        ranks = np.empty_like(ranks)
        ranks[order] = np.cumsum(np.diff(keys, prepend=keys[:1]) != 0)
        length *= 2
        if length >= longest or ranks[order[-1]] == len(text) - 1:
            return order
