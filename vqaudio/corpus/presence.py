"""Which audio files are there: a folder with many of them is listed once, rather than asked for each.

On a local disk a listing costs a fifth of asking; on a file server, each question asked takes a round trip.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from itertools import islice
from pathlib import Path

import numpy as np

from vqaudio.corpus.progress import bar
from vqaudio.corpus.strings import Strings

_LISTED = 16  # files wanted of a folder from which on it is listed
_SURPLUS = 16  # entries listed for each file wanted, at most: most of a folder may be of no interest


def is_pipe(recording: str) -> bool:
    """Tell whether a wav.scp entry is a shell command whose output is the audio."""
    return recording.rstrip().endswith("|")


def resolve(recording: str, folder: Path) -> str:
    """Return the absolute path of a wav.scp entry, relative ones taken from wav.scp's own folder."""
    return recording if is_pipe(recording) else os.path.abspath(os.path.join(folder, recording))


def is_absolute(path: bytes) -> bool:
    """Tell whether os.path.abspath would leave a path as it is, without asking it, which takes ten times as long."""
    return path.startswith(b"/") and b"/." not in path and b"//" not in path and not path.endswith((b"/", b"|"))


def rows_without_file(recordings: Strings, folder: Path, progress: bool = False) -> list[int]:
    """Return which of the entries of a wav.scp in `folder` are no files, in order; commands are let pass."""
    missing: list[int] = []
    with bar("audio files", len(recordings), progress) as steps:
        for directory, rows in _by_directory(recordings):
            listed = _listed_files(directory, folder, len(rows)) if len(rows) >= _LISTED else frozenset()
            for row in rows.tolist():
                raw = recordings.raw(row)
                if raw[len(directory) :] not in listed and not _is_file(raw, folder):
                    missing.append(row)
            steps.update(len(rows))
    return sorted(missing)


def _by_directory(recordings: Strings) -> Iterator[tuple[bytes, np.ndarray]]:
    """Yield the directories of `recordings`, with the slash, each with the rows of its entries in order."""
    numbers: dict[bytes, int] = {}
    number_of = np.empty(len(recordings), dtype=np.int32)
    for row, raw in enumerate(recordings.raws()):
        number_of[row] = numbers.setdefault(raw[: raw.rfind(b"/") + 1], len(numbers))
    order = np.argsort(number_of, kind="stable")
    first = 0
    for directory, count in zip(numbers, np.bincount(number_of).tolist(), strict=True):
        yield directory, order[first : first + count]
        first += count


def _listed_files(directory: bytes, folder: Path, wanted: int) -> Set[bytes]:
    """Return the names of files in a directory, perhaps not of all: whoever is not among them is asked for itself."""
    path = os.path.abspath(os.path.join(os.fsencode(folder), directory))
    try:
        with os.scandir(path) as entries:
            return {entry.name for entry in islice(entries, wanted * _SURPLUS) if entry.is_file()}
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        return frozenset()


def _is_file(raw: bytes, folder: Path) -> bool:
    recording = raw.decode("utf-8", "surrogateescape")
    return is_pipe(recording) or os.path.isfile(resolve(recording, folder))
