"""Which phone is spoken when: alignments from `phones.ctm`, and the label of each unit.

`phones.ctm` lies in a data directory, in the form of Kaldi and NIST, times in seconds from the utterance's start:

    utterance channel start duration phone [confidence]

Lines that begin with ';;' are comments. Such files round start and duration apart; so segments that lie apart or
overlap by a millisecond or less count as touching, and the first is made to end where the second begins.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vqaudio.errors import VQAudioError

ALIGNMENT_FILE = "phones.ctm"
_ROUNDING = 1e-3 + 1e-6  # seconds; the millionth lets pass what is 1 ms but for the last bit of a float


class Segment(NamedTuple):
    """A labelled stretch of an utterance, [start, end), in seconds."""

    start: float
    end: float
    label: str


def read_alignments(data_dir: str | Path) -> dict[str, list[Segment]]:
    """Read `phones.ctm` of a data directory: utterance to its segments, in order of time; {} where there is no file.

    Raises:
        VQAudioError: a file that is not text, a line that breaks the form, or segments of an utterance that overlap by
            more than 1 ms: file, line and what was expected.
    """
    path = Path(data_dir) / ALIGNMENT_FILE
    if not path.is_file():
        return {}
    found: dict[str, list[Segment]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VQAudioError(f"{path}: the alignments cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.startswith(";;"):
            utterance, segment = _parsed(line, f"{path}:{number}")
            found.setdefault(utterance, []).append(segment)
    return {utterance: _in_order(segments, f"{path}: {utterance}") for utterance, segments in found.items()}


def unit_labels(segments: Sequence[Segment], units: int, unit_rate: float) -> list[str | None]:
    """Return the label at the centre of each of `units` units, (n + 1/2) / unit_rate seconds; None outside segments."""
    labels: list[str | None] = [None] * units
    for segment in segments:
        first = max(0, math.ceil(segment.start * unit_rate - 0.5))
        after = min(units, math.ceil(segment.end * unit_rate - 0.5))
        labels[first:after] = [segment.label] * max(0, after - first)
    return labels


def _parsed(line: str, where: str) -> tuple[str, Segment]:
    try:
        utterance, _, start, duration, phone, *confidence = line.split()
        begin, length, _ = float(start), float(duration), float(*confidence)
    except (ValueError, TypeError):  # the latter for more than one confidence
        raise VQAudioError(
            f"{where}: {line!r}, expected 'utterance channel start duration phone [confidence]'"
        ) from None
    if not (begin >= 0 and length >= 0 and math.isfinite(begin + length)):
        raise VQAudioError(f"{where}: start {start} and duration {duration}, expected seconds, 0 or more")
    return utterance, Segment(begin, begin + length, phone)


def _in_order(segments: list[Segment], where: str) -> list[Segment]:
    segments = sorted(segments)
    for number, (before, after) in enumerate(itertools.pairwise(segments)):
        if after.start < before.end - _ROUNDING:
            raise VQAudioError(f"{where}: {before} and {after} overlap, expected one phone at a time")
        if after.start < before.end + _ROUNDING:
            segments[number] = before._replace(end=after.start)
    return segments
