"""How loud speech is, whatever pauses it has, and the gain that brings it to a level."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

FRAME_SECONDS = 0.02
LOUD_DB = 30.0
"""Frames down to so far below the loudest count as speech: in studio recordings, about those that are not pauses."""
PEAK = 0.89
"""The largest magnitude that a gain leads to: -1 dB re full scale."""


def level_gain(blocks: Iterable[np.ndarray], sample_rate: int, level_db: float) -> float:
    """Return the factor that brings a recording, in blocks (T_i,) of any lengths, to `level_db` dB re full scale.

    The level is the RMS of its frames of 20 ms within 30 dB of the loudest one. The factor is smaller where the peak
    would exceed -1 dB re full scale, and 1 for digital silence, and for recordings of less than a frame.
    """
    size = max(1, round(FRAME_SECONDS * sample_rate))
    powers, peak, rest = [], 0.0, np.zeros(0)
    for block in blocks:
        peak = max(peak, float(np.abs(block).max(initial=0.0)))
        rest = np.concatenate([rest, block])
        whole = len(rest) // size * size
        powers.append(np.square(rest[:whole].reshape(-1, size)).mean(axis=1))
        rest = rest[whole:]
    power = np.concatenate(powers) if powers else np.zeros(0)
    if not power.any():
        return 1.0
    loud = power[power >= power.max() * 10 ** (-LOUD_DB / 10)]
    return float(min(10 ** (level_db / 20) / np.sqrt(loud.mean()), PEAK / peak))
