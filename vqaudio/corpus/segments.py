"""The lines of `segments`: which stretch of which recording each utterance is."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from vqaudio.corpus.tables import Table

_DECIMAL = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
SEGMENT_SLACK = 0.01  # seconds: segment ends are often rounded to centiseconds


@dataclass(frozen=True)
class Segments:
    """What the rows of `segments` say, in their order.

    recordings    int64 (n,): row of wav.scp; -1 where it is not there
    starts, ends  float64 (n,): in seconds; an end of infinity is the recording's; NaN where the times are no times
    """

    recordings: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def parse_segments(segments: Table, wav_scp: Table) -> Segments:
    """Read all lines of `segments`."""
    row_of = {key: row for row, key in enumerate(wav_scp.keys.raws())}
    parsed = Segments(np.empty(len(segments), np.int64), np.empty(len(segments)), np.empty(len(segments)))
    for row, raw in enumerate(segments.values.raws()):
        recording, start, end = raw.split(b" ")
        parsed.recordings[row] = row_of.get(recording, -1)
        parsed.starts[row], parsed.ends[row] = _times(start, end)
    return parsed


def decimal(text: bytes) -> float:
    """Parse a number as all tools read it: float() also takes underscores, and blanks of all kinds around it."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _times(start: bytes, end: bytes) -> tuple[float, float]:
    """Return start and end in seconds; NaN where they are no finite numbers or not 0 <= start < end."""
    try:
        first, last = decimal(start), decimal(end)
    except ValueError:
        return math.nan, math.nan
    if last == -1 and 0 <= first < math.inf:
        return first, math.inf
    return (first, last) if 0 <= first < last < math.inf else (math.nan, math.nan)
