"""Where lines and their keys lie in the bytes of a table, and which lines need a closer look: in bulk, with NumPy.

A line that is plain needs none: it begins with a fit id of printable ASCII, one blank follows, then the value, with as
many fields as the table's form asks for, no tab and no blank at the end. Whatever is not plain may still be right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vqaudio.corpus.strings import BLOCK, offsets

ID_BYTES = 200
"""The longest id: it becomes a file name, of which most file systems take 255 bytes."""
_BLANK, _TAB, _NEWLINE = b" \t\n"
_SCANNED = 1 << 22  # bytes searched at a time: where all are blanks, their places take 32 MB
_UNFIT = np.ones(256, dtype=bool)  # bytes in a key that need a closer look
_UNFIT[0x21:0x7F] = False
_UNFIT[list(rb"/\ ")] = True, True, False
_UNFIT[_NEWLINE] = False
_UNFIT_FIRST = _UNFIT.copy()
_UNFIT_FIRST[list(b".- \n")] = True


@dataclass(frozen=True)
class Form:
    """What the lines of a table look like, as '<utterance> <recording> <start> <end>'.

    One that ends in '...' takes any number of further fields; '[...]' allows their absence.
    """

    text: str

    @property
    def values(self) -> int:
        """Fields after the key: exactly so many, or at least so many where the form is open."""
        return 0 if self.text.endswith("[...]") else self.text.count("<") - 1

    @property
    def is_open(self) -> bool:
        """Whether further fields may follow."""
        return self.text.endswith(("...", "[...]"))

    def fits(self, values: int) -> bool:
        """Tell whether a line with this many fields after its key has the form."""
        return values >= self.values if self.is_open else values == self.values


@dataclass(frozen=True)
class Lines:
    """The n lines of a table: first byte, bytes of the key and bytes in all (without the line feed) of each."""

    starts: np.ndarray
    key_lengths: np.ndarray
    lengths: np.ndarray


def find_lines(data: bytes) -> Lines:
    """Return where the lines of `data`, which ends in a line feed, lie and how long their keys are."""
    ends = _line_ends(data)
    starts = np.concatenate([[0], ends[:-1] + 1])
    keys = np.empty(len(ends), dtype=np.int32)
    for block in _blocks(ends):
        if _is_long(block, starts, ends):
            keys[block] = _first_blank(data, int(starts[block][0]), int(ends[block][0]))
        else:
            text = _Text(data, starts[block], ends[block])
            keys[block] = text.key_ends - text.starts
    return Lines(offsets(starts, len(data)), keys, (ends - starts).astype(np.int32))


def find_odd(data: bytes, lines: Lines, form: Form) -> np.ndarray:
    """Return the numbers (counted from 0) of the lines that are not plain, in order."""
    odd = np.ones(len(lines.starts), dtype=bool)
    has_tabs = b"\t" in data
    all_starts = lines.starts.astype(np.int64)
    ends = all_starts + lines.lengths
    for block in _blocks(ends):
        if _is_long(block, all_starts, ends):
            continue  # it is looked at by itself
        text = _Text(data, all_starts[block], ends[block])
        odd[block] = text.has_odd_key() | text.has_odd_blanks() | text.has_odd_count(form)
        if has_tabs:
            odd[block] |= text.count(text.bytes == _TAB) > 0
    return np.flatnonzero(odd)


def _blocks(ends: np.ndarray) -> Iterator[slice]:
    """Yield slices of lines that together cover all: few enough, of few enough bytes, or one long line alone."""
    first = place = 0
    while first < len(ends):
        last = max(first + 1, min(first + BLOCK, int(np.searchsorted(ends, place + _SCANNED))))
        yield slice(first, last)
        first, place = last, int(ends[last - 1]) + 1


def _is_long(block: slice, starts: np.ndarray, ends: np.ndarray) -> bool:
    return block.stop - block.start == 1 and ends[block.start] - starts[block.start] >= _SCANNED


def _first_blank(data: bytes, start: int, end: int) -> int:
    found = data.find(b" ", start, end)
    return (end if found < 0 else found) - start


class _Text:
    """Some lines that follow each other; places are counted from the first byte of the first."""

    def __init__(self, data: bytes, starts: np.ndarray, ends: np.ndarray) -> None:
        first, last = int(starts[0]), int(ends[-1])
        self.bytes = np.frombuffer(data, dtype=np.uint8, count=last + 1 - first, offset=first)
        self.starts, self.ends = starts - first, ends - first
        self.blanks = np.append(np.flatnonzero(self.bytes == _BLANK), len(self.bytes))
        self.key_ends = np.minimum(self.blanks[np.searchsorted(self.blanks, self.starts)], self.ends)

    def has_odd_key(self) -> np.ndarray:
        unfit = np.append(np.flatnonzero(_UNFIT[self.bytes]), len(self.bytes))
        first_unfit = unfit[np.searchsorted(unfit, self.starts)]
        too_long = self.key_ends - self.starts > ID_BYTES
        return _UNFIT_FIRST[self.bytes[self.starts]] | (first_unfit < self.key_ends) | too_long

    def has_odd_blanks(self) -> np.ndarray:
        after_key = self.bytes[np.minimum(self.key_ends + 1, self.ends)]
        return (self.bytes[self.ends - 1] == _BLANK) | (after_key == _BLANK)

    def has_odd_count(self, form: Form) -> np.ndarray:
        if form.is_open:
            return (self.key_ends == self.ends) & (form.values > 0)
        places = self.blanks[:-1]
        doubled = np.zeros(len(self.bytes), dtype=bool)
        doubled[places[1:][np.diff(places) == 1]] = True
        count = np.searchsorted(places, self.ends) - np.searchsorted(places, self.starts)
        return (count != form.values) | (self.count(doubled) > 0)

    def count(self, marked: np.ndarray) -> np.ndarray:
        """Return how many bytes of each line are marked."""
        places = np.flatnonzero(marked)
        return np.searchsorted(places, self.ends) - np.searchsorted(places, self.starts)


def _line_ends(data: bytes) -> np.ndarray:
    found = []
    for first in range(0, len(data), _SCANNED):
        part = np.frombuffer(data, dtype=np.uint8, count=min(_SCANNED, len(data) - first), offset=first)
        found.append(np.flatnonzero(part == _NEWLINE) + first)
    return np.concatenate(found)
