"""Runs of equal units: collapsed to one value and a duration each, and restored without loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.errors import UnitsError


def collapse(units: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return (values, durations) of the runs in `units` (N,), both int64 (R,); durations are in units, ≥ 1.

    `expand(*collapse(units))` is `units` again.
    """
    units = np.asarray(units, dtype=np.int64)
    if units.ndim != 1:
        raise UnitsError(f"units of shape {units.shape}, expected one sequence (N,)")
    starts = np.flatnonzero(np.diff(units, prepend=units[:1] - 1))  # (R,) where a run begins
    durations = np.diff(starts, append=len(units))  # (R,)
    return units[starts], durations


def expand(values: ArrayLike, durations: ArrayLike) -> np.ndarray:
    """Return the int64 units (N,) whose runs have these `values` and `durations` (R,); N = sum(durations)."""
    values = np.asarray(values, dtype=np.int64)
    durations = np.asarray(durations, dtype=np.int64)
    if values.ndim != 1 or values.shape != durations.shape:
        raise UnitsError(f"{values.shape} values and {durations.shape} durations, expected one duration per value")
    if durations.size and durations.min() < 1:
        raise UnitsError(f"a duration of {durations.min()}, expected 1 or more")
    return np.repeat(values, durations)
