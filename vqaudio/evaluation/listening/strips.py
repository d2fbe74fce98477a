"""Unit sequences and phones as strips under a spectrogram: a block per run, true to time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from vqaudio.evaluation.alignments import Segment
from vqaudio.evaluation.listening.markup import escape


def runs(units: np.ndarray) -> list[tuple[int, int]]:
    """Return the runs of equal units as (unit, length), in order; the lengths sum to N."""
    return [(int(unit), sum(1 for _ in group)) for unit, group in groupby(units.tolist())]


def unit_strip(units: np.ndarray, unit_rate: float, seconds: float, colours: Sequence[str]) -> str:
    """Draw units (N,) over an axis of `seconds`, a rectangle a run; units past its end are cut off with it."""
    blocks, start = [], 0
    for unit, length in runs(units):
        blocks.append(f'<rect x="{start}" width="{length}" height="1" fill="{colours[unit]}"/>')
        start += length
    width = seconds * unit_rate
    return (
        f'<svg class="strip" viewBox="0 0 {width:g} 1" preserveAspectRatio="none" shape-rendering="crispEdges" '
        f'aria-hidden="true">{"".join(blocks)}</svg>'
    )


def phone_strip(phones: Sequence[Segment], seconds: float) -> str:
    """Return phones as boxes with their names over an axis of `seconds`."""
    boxes = []
    for phone in phones:
        begin, end = min(phone.start, seconds), min(phone.end, seconds)
        if end > begin:
            place = f"left:{100 * begin / seconds:.3f}%;width:{100 * (end - begin) / seconds:.3f}%"
            letters = min(len(phone.label), 3)  # the style sheet hides names that have no room
            boxes.append(f'<span style="{place}"><i class="n{letters}">{escape(phone.label)}</i></span>')
    return "".join(boxes)
