"""Unit sequences as text: `units.txt`, beside it `units.json`, and `durations.txt` where runs are collapsed.

    utt-id 12 12 7 …        a line per utterance, at least one unit; each id once, sorted by its bytes

`units.json` is put in place last: a folder without it holds no complete units.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.audio.fileset import replace_files
from vqaudio.audio.memory import require_memory
from vqaudio.errors import UnitsError
from vqaudio.units.parquet import PARTS_FOLDER, read_parts
from vqaudio.units.runs import collapse, expand
from vqaudio.units.sequence import check_range, check_units
from vqaudio.units.spec import SPEC_FILE, UnitSpec
from vqaudio.untrusted import MIB, open_regular, shown

__all__ = ["collapse", "expand", "format_line", "read_frame_units", "read_units", "write_units"]

UNITS_FILE = "units.txt"
DURATIONS_FILE = "durations.txt"

LONGEST_LINE = 64 * MIB
"""Bytes of an utterance: tens of millions of units, days of speech."""

_NOT_A_UNIT = re.compile(r"(?:^|(?<= ))(?![0-9]{1,18}(?: |$))[^ ]+")  # 18 digits fit in 64 bits
_SHOWN = 10  # problems that one message lists before it only counts


def write_units(
    folder: str | Path,
    items: Iterable[tuple[str, ArrayLike]],
    spec: UnitSpec,
    durations: Mapping[str, ArrayLike] | None = None,
) -> None:
    """Write unit sequences (utterance id, (N,) integers) and their spec into `folder`, whole or not at all.

    Args:
        folder: created where absent; units that it held before are replaced.
        items: in any order; they are written sorted.
        spec: says whether the sequences are collapsed; if they are, `durations` holds each one's run lengths.

    Raises:
        UnitsError: an id twice or unusable, an empty sequence, a unit outside [0, codebook_size), or
            durations that do not fit.
        VQAudioError: the folder cannot be written; the message names the path.
    """
    if spec.collapsed != (durations is not None):
        given = "absent" if durations is None else "given"
        raise UnitsError(
            f"the spec says collapsed = {spec.collapsed} but durations are {given}: "
            "durations go with collapsed units, and only with them"
        )
    sequences = _checked_and_sorted(items, lowest=0, limit=spec.codebook_size)
    contents = {UNITS_FILE: itertools.starmap(format_line, sequences.items())}
    if durations is not None:
        lengths = _checked_and_sorted(durations.items(), lowest=1, limit=None)
        _check_same_shape(sequences, lengths)
        contents[DURATIONS_FILE] = itertools.starmap(format_line, lengths.items())
    contents[SPEC_FILE] = iter([spec.to_json()])
    replace_files(folder, contents, stale=() if spec.collapsed else (DURATIONS_FILE,))


def read_units(path: str | Path) -> tuple[dict[str, np.ndarray], UnitSpec]:
    """Read the units of a folder (or of its `units.txt`) as they are stored, collapsed or not.

    Returns:
        Utterance id to int64 array (N,), in sorted order, and the spec.

    Raises:
        UnitsError: files missing, or lines that break the format: file, line and reason for each.
    """
    folder = units_folder(path)
    spec = UnitSpec.load(folder)
    if _is_in_parts(folder):
        return read_parts(folder, spec)[0], spec
    return _read_sequences(folder / UNITS_FILE, lowest=0, limit=spec.codebook_size), spec


def read_frame_units(path: str | Path) -> tuple[dict[str, np.ndarray], UnitSpec]:
    """Read units with one unit per `hop_length` samples: as `read_units`, but collapsed runs are restored."""
    sequences, spec = read_units(path)
    if not spec.collapsed:
        return sequences, spec
    folder = units_folder(path)
    file = folder / (PARTS_FOLDER if _is_in_parts(folder) else DURATIONS_FILE)
    durations = read_parts(folder, spec)[1] if file.is_dir() else _read_sequences(file, lowest=1, limit=None)
    _check_same_shape(sequences, durations, where=f"{file}: ")
    frames = sum(int(lengths.sum(dtype=object)) for lengths in durations.values())  # in Python's integers: no overflow
    require_memory(frames * sequences[next(iter(sequences))].itemsize, f"{file}: {frames:,} units, its runs restored,")
    return {utt: expand(values, durations[utt]) for utt, values in sequences.items()}, spec


def _is_in_parts(folder: Path) -> bool:
    return (folder / PARTS_FOLDER).is_dir() and not (folder / UNITS_FILE).exists()


def units_folder(path: str | Path) -> Path:
    """Return the folder of units that a user means by `path`: the folder itself, or a file in it."""
    path = Path(path)
    if path.name == UNITS_FILE and not path.is_dir():
        return path.parent
    if path.is_file():
        raise UnitsError(f"{path} is a file, expected a folder of units or its {UNITS_FILE}")
    return path


def read_plain_units(file: str | Path) -> dict[str, np.ndarray]:
    """Read a file in the form of `units.txt` that no `units.json` describes, such as the units of another system.

    Returns utterance id to int64 array (N,), in sorted order; raises a UnitsError as `read_units`.
    """
    return _read_sequences(Path(file), lowest=0, limit=None)


def format_line(utt: str, units: np.ndarray) -> str:
    """Return the line of one utterance, with its newline."""
    return f"{utt} {' '.join(map(str, units.tolist()))}\n"


def check_sequence(utt: str, units: ArrayLike, lowest: int, limit: int | None) -> np.ndarray:
    """Return `units` as int64 (N,), after checking that a file can hold them: id, shape, and range."""
    if not utt or any(c.isspace() or not c.isprintable() for c in utt):
        raise UnitsError(f"utterance id {shown(utt)}: expected text without spaces and control characters")
    return check_units(utt, units, lowest, limit)


def parse_line(line: str, lowest: int, limit: int | None) -> tuple[str, np.ndarray]:
    """Return (utterance id, int64 units (N,)) of one line, or raise a UnitsError that says what is wrong."""
    utt, _, rest = line.replace("\t", " ").strip(" \r\n").partition(" ")
    if not utt:
        raise UnitsError("the line is blank, expected 'utt-id 12 12 7 …'")
    if not rest:
        raise UnitsError(f"{shown(utt)} has no units")
    if wrong := _NOT_A_UNIT.search(rest):
        raise UnitsError(f"{shown(wrong[0])} of {shown(utt)} is not a unit, expected an integer of digits 0 to 9")
    units = np.fromstring(rest, dtype=np.int64, sep=" ")  # no object for each of the millions that a line may hold
    check_range(utt, units, lowest, limit)
    return utt, units


def _checked_and_sorted(
    items: Iterable[tuple[str, ArrayLike]], lowest: int, limit: int | None
) -> dict[str, np.ndarray]:
    sequences: dict[str, np.ndarray] = {}
    for utt, units in items:
        if utt in sequences:
            raise UnitsError(f"utterance {shown(utt)} is given twice")
        sequences[utt] = check_sequence(utt, units, lowest, limit)
    if not sequences:
        raise UnitsError("no utterances to write")
    return dict(sorted(sequences.items()))  # Unicode order is the order of the UTF-8 bytes


def _read_sequences(path: Path, lowest: int, limit: int | None) -> dict[str, np.ndarray]:
    sequences: dict[str, np.ndarray] = {}
    problems: list[str] = []
    count, previous = 0, ""
    for number, line in _numbered_lines(path):
        try:
            utt, units = parse_line(_decoded(line), lowest, limit)
            _check_place(utt, previous, sequences)
        except UnitsError as error:
            count += 1
            if count <= _SHOWN:
                problems.append(f"{path}:{number}: {error}")
        else:
            sequences[utt] = units
            previous = utt
    if not sequences and not problems:
        problems.append(f"{path}: empty, expected a line per utterance")
    if problems:
        raise UnitsError("\n".join(problems + ([f"… and {count - _SHOWN} more"] if count > _SHOWN else [])))
    return sequences


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with open_regular(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=1):
                if len(line) == LONGEST_LINE and not line.endswith(b"\n"):  # and no end of it to be seen
                    raise UnitsError(f"{path}:{number}: the line is longer than {LONGEST_LINE:,} bytes")
                yield number, line
    except FileNotFoundError as error:
        raise UnitsError(f"{path}: missing; {SPEC_FILE} beside it announces it") from error
    except OSError as error:
        raise UnitsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UnitsError(f"{path}: cannot be read: {error}") from error


def _decoded(line: bytes) -> str:
    if not line.endswith(b"\n"):  # '… 12 1' may be what is left of '… 12 17'
        raise UnitsError("the last line does not end in a newline: the file may be cut short")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnitsError(f"not UTF-8 (byte {error.start + 1} of the line)") from error


def _check_place(utt: str, previous: str, seen: Mapping[str, np.ndarray]) -> None:
    if utt in seen:
        raise UnitsError(f"utterance {shown(utt)} was given before")
    if utt < previous:
        raise UnitsError(f"{shown(utt)} comes after {shown(previous)}: not sorted (LC_ALL=C sort mends it)")


def _check_same_shape(units: Mapping[str, np.ndarray], durations: Mapping[str, np.ndarray], where: str = "") -> None:
    if units.keys() != durations.keys():
        odd = min(units.keys() ^ durations.keys())
        absent = "durations" if odd in units else "units"
        raise UnitsError(f"{where}{shown(odd)} has no {absent}: units and durations must be of the same utterances")
    for utt in units:
        runs, lengths = len(units[utt]), len(durations[utt])
        if runs != lengths:
            raise UnitsError(f"{where}{shown(utt)} has {runs} collapsed units but {lengths} durations")
