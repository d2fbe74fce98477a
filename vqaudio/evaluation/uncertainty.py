"""How far a figure might lie from what more data would give: bootstrap intervals over speakers or utterances."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.errors import VQAudioError

DRAWS = 1000
LEVEL = 0.95

Interval = tuple[float, float]


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float], items: int, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> Interval:
    """Percentile bootstrap interval (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13).

    Args:
        statistic: the figure of a sample, given the indices, int64 (items,), of the items that it is made of: some
            of them several times, some never. NaN where such a sample has no figure; those samples are left out.
        items: how many there are of what is resampled: speakers or utterances, whatever is independent.
        draws: samples drawn.
        seed: of the draws; the same seed gives the same interval.
        level: share of the samples' figures between its ends, in (0, 1).

    Raises:
        VQAudioError: fewer than 2 items, from which nothing is to be told, or no sample with a figure.
    """
    if items < 2:
        raise VQAudioError(f"an interval over {items} items: expected 2 or more")
    generator = np.random.default_rng(seed)
    figures = np.array([statistic(generator.integers(items, size=items)) for _ in range(draws)], dtype=float)
    figures = figures[np.isfinite(figures)]
    if not figures.size:
        raise VQAudioError(f"none of {draws} samples of the {items} items has a figure")
    low, high = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def ratio_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, Interval | None]:
    """Return Σ numerators / Σ denominators, and its bootstrap interval over items, or over `groups` of them.

    Error rates and weighted means are such ratios: errors over words, summed distances over frames. `groups` names
    the group (speaker) of each item; None as interval where there are fewer than 2 groups.

    Raises:
        VQAudioError: lengths that differ, or denominators that sum to 0.
    """
    tops, bottoms = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    if tops.ndim != 1 or tops.shape != bottoms.shape:
        raise VQAudioError(f"numerators {tops.shape} and denominators {bottoms.shape}, expected (items,) of both")
    pairs = np.stack([tops, bottoms])  # (2, items)
    if not pairs[1].sum() > 0:
        raise VQAudioError(f"denominators that sum to {pairs[1].sum():g}, expected more than 0")
    if groups is not None:
        if len(groups) != pairs.shape[1]:
            raise VQAudioError(f"{len(groups)} groups for {pairs.shape[1]} items, expected one each")
        names = {name: index for index, name in enumerate(dict.fromkeys(groups))}
        place = np.array([names[name] for name in groups])
        pairs = np.stack([np.bincount(place, weights=row, minlength=len(names)) for row in pairs])
    value = float(pairs[0].sum() / pairs[1].sum())

    def ratio(picks: np.ndarray) -> float:
        top, bottom = pairs[:, picks].sum(axis=1)
        return top / bottom if bottom > 0 else float("nan")

    count = pairs.shape[1]
    return value, bootstrap_interval(ratio, count, draws, seed) if count > 1 else None
