"""Praat's TextGrid, in which aligners say who says what when: its tiers of intervals, in the long and the short form.

The format: https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html. By its rules a reader heeds texts in
double quotes (`""` within is one), free-standing numbers and flags such as <exists>; all else is for human eyes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vqaudio.errors import VQAudioError

_TOKEN = re.compile(r'"(?P<text>(?:[^"]|"")*)"|(?<!\S)(?P<number>[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(?!\S)')


class Interval(NamedTuple):
    """A stretch [start, end) of a recording, in seconds, and its text."""

    start: float
    end: float
    text: str


def read_textgrid(path: str | Path) -> dict[str, list[Interval]]:
    """Return the interval tiers of a file by name, blank intervals included; tiers of points are passed over.

    Raises:
        VQAudioError: no such file, or none of this format.
    """
    try:
        return _tiers(_tokens(_text(Path(path))))
    except OSError as error:
        raise VQAudioError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, StopIteration) as error:  # UnicodeDecodeError is a ValueError
        raise VQAudioError(f"{path}: not a TextGrid of Praat's, or cut off") from error


def ctm_values(intervals: Sequence[Interval], blank: str | None = None) -> list[str]:
    """Return the lines of an utterance in a CTM file, without its id: channel, start, duration, label.

    Blank intervals are labelled `blank`, or left out; blanks within a label become '_'.
    """
    labelled = [(i.start, i.end, "_".join(i.text.split()) or blank) for i in intervals if i.end > i.start]
    return [f"1 {start:.6f} {end - start:.6f} {label}" for start, end, label in labelled if label]


def _text(path: Path) -> str:
    data = path.read_bytes()
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _tokens(text: str) -> Iterator[str | float]:
    for match in _TOKEN.finditer(text):
        if match["text"] is not None:
            yield match["text"].replace('""', '"')
        elif match["number"] is not None:
            yield float(match["number"])


def _tiers(tokens: Iterator[str | float]) -> dict[str, list[Interval]]:
    if next(tokens) != "ooTextFile" or next(tokens) != "TextGrid":
        raise ValueError("not a TextGrid")
    found = {}
    _, _, tiers = _numbers(tokens, 3)
    for _ in range(int(tiers)):
        kind, name = next(tokens), str(next(tokens))
        _, _, size = _numbers(tokens, 3)
        per_item = 2 if kind == "IntervalTier" else 1  # times; a point has one
        items = [(*_numbers(tokens, per_item), str(next(tokens))) for _ in range(int(size))]
        if kind == "IntervalTier":
            found[name] = [Interval(*item) for item in items]
    return found


def _numbers(tokens: Iterator[str | float], count: int) -> list[float]:
    return [float(next(tokens)) for _ in range(count)]
