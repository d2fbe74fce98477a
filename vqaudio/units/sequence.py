"""What a sequence of units is: integers (N,), N ≥ 1, within the codebook."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.errors import UnitsError


def check_units(utt: str, units: ArrayLike, lowest: int, limit: int | None) -> np.ndarray:
    """Return `units` as int64 (N,), after checking shape and range; `utt` is what messages call them."""
    units = np.asarray(units)
    if units.ndim != 1 or units.size == 0 or not np.issubdtype(units.dtype, np.integer):
        raise UnitsError(f"{utt}: units of shape {units.shape} and type {units.dtype}, expected integers (N,), N ≥ 1")
    check_range(utt, units, lowest, limit)
    return units.astype(np.int64)


def check_range(utt: str, units: np.ndarray, lowest: int, limit: int | None) -> None:
    """Raise UnitsError, naming one, for units outside [lowest, limit); limit None is none."""
    low, high = int(units.min()), int(units.max())
    if low < lowest:
        raise UnitsError(f"{low} of {utt!r} is below {lowest}, the least that can stand here")
    if limit is not None and high >= limit:
        raise UnitsError(f"{high} of {utt!r} is outside the codebook: expected units from {lowest} to {limit - 1}")
