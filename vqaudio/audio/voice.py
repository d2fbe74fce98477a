"""Another voice saying the same at the same time: pitch and formants moved together, as of a larger or smaller speaker.

    output grains     ╱╲╱╲╱╲╱╲     windows of 40 ms every 20 ms, which add up to 1
    input             │ │ │ │      each grain is taken around the same place, and read `factor` times as fast

Reading faster raises every frequency; that grains stay where they were keeps the time. Each grain is moved by up to
half a period of the lowest pitch to where it continues the one before best: waveform similarity overlap-add (Verhelst
and Roelands 1993, *An overlap-add technique based on waveform similarity (WSOLA) for high quality time-scale
modification of speech*), with the change of rate done within the grain.
"""

from __future__ import annotations

import math

import numba
import numpy as np

GRAIN_SECONDS = 0.02
"""Between grains; each is twice as long."""
LOWEST_PITCH = 45.0
"""Hz: of whose period a grain may be moved by half, to either side."""
SEARCH_RATE = 4000
"""Places a second that are tried."""


def shift_voice(waveform: np.ndarray, factor: float, sample_rate: int) -> np.ndarray:
    """Return a waveform, float32 (T,), with all frequencies times `factor` (in 0.5 to 2) and the time as it was.

    What would lie above half of the sample rate is not filtered out: it folds back, faintly, as speech has little
    there.
    """
    if factor == 1.0:
        return waveform.astype(np.float32)
    hop = max(1, round(GRAIN_SECONDS * sample_rate))
    reach, step = round(sample_rate / LOWEST_PITCH / 2), max(1, sample_rate // SEARCH_RATE)
    return _overlap_add(np.ascontiguousarray(waveform, dtype=np.float32), float(factor), hop, reach, step)


@numba.njit(nogil=True, cache=True)
def _overlap_add(x: np.ndarray, factor: float, hop: int, reach: int, step: int) -> np.ndarray:  # pragma: no cover
    out = np.zeros(len(x), np.float32)
    before = 0  # where the last grain's centre was read
    for grain in range(len(x) // hop + 2):
        centre = grain * hop
        source = centre
        if grain:
            best = -np.inf
            for candidate in range(centre - reach, centre + reach + 1, step):
                product, energy = 0.0, 1e-9
                for t in range(-hop, 0, 2):  # where both grains lie, in the time of the output
                    one, other = int(before + factor * (hop + t)), int(candidate + factor * t)
                    if 0 <= one < len(x) and 0 <= other < len(x):
                        product += x[one] * x[other]
                        energy += x[other] * x[other]
                likeness = product / math.sqrt(energy)
                if likeness > best:
                    best, source = likeness, candidate
        for t in range(-hop, hop):
            place, position = centre + t, source + factor * t
            left = math.floor(position)
            if 0 <= place < len(x) and 0 <= left < len(x) - 1:
                part = position - left
                weight = 0.5 + 0.5 * math.cos(math.pi * t / hop)
                out[place] += weight * ((1 - part) * x[left] + part * x[left + 1])
        before = source
    return out
