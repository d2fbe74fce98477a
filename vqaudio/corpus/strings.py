"""Strings by the million: one run of bytes, and where each string lies in it.

    data       ann-1 wavs/ann-1.wav␊ann-2 wavs/ann-2.wav␊ …
    starts     0    6               22   28
    lengths    5    15              5    15               here keys and values are two `Strings` over the same bytes

A string costs its bytes and 8 more; as an object of Python it would cost some 60 more. It becomes one when asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

BLOCK = 1 << 14
"""Strings that are worked on at a time, so that what is made on the way stays small."""
_WIDEST = 256
_COMPARED = 2000  # names that a mistaken one is compared with: each takes some microseconds
ABSENT = -1
"""The length of a string that is not there, which reads as None."""


@dataclass(frozen=True, eq=False)
class Strings(Sequence):
    """A sequence of strings (or None) over the UTF-8 bytes `data`.

    starts    uint32 or int64 (n,): first byte of each
    lengths   int32 (n,): bytes of each, ABSENT for None
    """

    data: bytes
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, items: Iterable[str | None]) -> Strings:
        """Return `items` as Strings."""
        data, lengths = bytearray(), []
        for item in items:
            raw = b"" if item is None else item.encode("utf-8", "surrogateescape")
            lengths.append(ABSENT if item is None else len(raw))
            data += raw
        sizes = np.array(lengths, dtype=np.int32)
        ends = np.cumsum(np.maximum(sizes, 0), dtype=np.int64)
        return cls(bytes(data), offsets(ends - np.maximum(sizes, 0), len(data)), sizes)

    @classmethod
    def absent(cls, count: int) -> Strings:
        """Return `count` times None, which takes no memory."""
        return cls(b"", np.broadcast_to(np.uint32(0), count), np.broadcast_to(np.int32(ABSENT), count))

    @classmethod
    def join(cls, parts: Sequence[Strings]) -> Strings:
        """Return the strings of all parts, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        places = np.cumsum([0, *(len(part.data) for part in parts)])
        starts = [part.starts.astype(np.int64) + place for part, place in zip(parts, places, strict=False)]
        return cls(
            b"".join(part.data for part in parts),
            offsets(np.concatenate(starts), int(places[-1])),
            np.concatenate([part.lengths for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> str | None:
        raw = self.raw(index)
        return None if raw is None else _decode(raw)

    def __iter__(self) -> Iterator[str | None]:
        return (None if raw is None else _decode(raw) for raw in self.raws())

    def raw(self, index: int) -> bytes | None:
        """Return one string as UTF-8."""
        start, length = int(self.starts[index]), int(self.lengths[index])
        return None if length == ABSENT else self.data[start : start + length]

    def raws(self) -> Iterator[bytes | None]:
        """Yield the strings as UTF-8."""
        data = self.data
        for block in blocks(len(self)):
            for start, length in zip(self.starts[block].tolist(), self.lengths[block].tolist(), strict=True):
                yield None if length == ABSENT else data[start : start + length]

    def take(self, rows: np.ndarray) -> Strings:
        """Return some of the strings, over the same bytes."""
        return Strings(self.data, self.starts[rows], self.lengths[rows])

    def padded(self) -> np.ndarray:
        """Return the strings as an array of bytes (n,), which compares as `LC_ALL=C sort` does.

        None counts as empty.
        """
        width = max(1, int(self.lengths.max(initial=1)))
        # One wide string must not make all the others as wide; and zero bytes would not count at a string's end.
        if width > _WIDEST or b"\0" in self.data:
            return np.fromiter((raw or b"" for raw in self.raws()), dtype=object, count=len(self))
        wide = np.zeros((len(self), width), dtype=np.uint8)
        source, column = np.frombuffer(self.data, dtype=np.uint8), np.arange(width)
        for block in blocks(len(self)):
            inside = column < self.lengths[block, None]
            wide[block][inside] = source[(self.starts[block, None].astype(np.int64) + column)[inside]]
        return wide.view(f"S{width}")[:, 0]


def blocks(count: int) -> Iterator[slice]:
    """Yield slices of at most BLOCK that together cover `count` rows."""
    return (slice(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK))


def offsets(places: np.ndarray, size: int) -> np.ndarray:
    """Return places in `size` bytes in the narrowest type that holds them."""
    return places.astype(np.uint32 if size < 1 << 32 else np.int64, copy=False)


def as_keys(items: Sequence[bytes]) -> np.ndarray:
    """Return byte strings as an array (n,) to look up, or to look up in."""
    special = max(map(len, items), default=0) > _WIDEST or any(b"\0" in item for item in items)
    return np.array(items, dtype=object if special else "S")


class Index:
    """Finds keys, given as `Strings.padded` returns them, among others."""

    def __init__(self, keys: np.ndarray) -> None:
        self.keys = keys
        self._order = None if np.all(keys[1:] >= keys[:-1]) else np.argsort(keys, kind="stable")

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """Return where each of `wanted` (m,) stands among the keys: int64 (m,), -1 for nowhere."""
        if len(self.keys) == len(wanted) and np.array_equal(self.keys, wanted):
            return np.arange(len(wanted))
        if not len(self.keys) or not len(wanted):
            return np.full(len(wanted), -1)
        places = np.minimum(np.searchsorted(self.keys, wanted, sorter=self._order), len(self.keys) - 1)
        places = places if self._order is None else self._order[places]
        return np.where(self.keys[places] == wanted, places, -1)


def likely(name: str, strings: Strings) -> Sequence[str]:
    """Return those of many sorted strings that a mistaken `name` may mean: its neighbours, or all if they are few."""
    if len(strings) <= _COMPARED:
        return strings
    place = int(np.searchsorted(strings.padded(), name.encode("utf-8", "surrogateescape")))
    first = min(max(0, place - _COMPARED // 2), len(strings) - _COMPARED)
    return strings.take(np.arange(first, first + _COMPARED))


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
