"""Units extracted so far: what an interrupted extraction leaves, and the next one goes on from.

units.partial.json   the model's spec and a fingerprint of the data: what the lines below belong to
units.partial.txt    one line per finished utterance, in the format of units.txt, one unit per frame
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vqaudio.audio.atomic import cannot_write, write_text_whole
from vqaudio.corpus import Utterance
from vqaudio.errors import UnitsError, VQAudioError
from vqaudio.units.spec import UnitSpec
from vqaudio.units.text import check_sequence, format_line

logger = logging.getLogger(__name__)

PARTIAL_FILE = "units.partial.txt"
PARTIAL_SPEC_FILE = "units.partial.json"

_LINE = re.compile(rb"(\S+)((?: (?:0|[1-9][0-9]{0,17}))+)\n")
_OPEN_FILES = 64


def fingerprint(utterances: Iterable[Utterance]) -> str:
    """Return a hash of which stretches of which files these are, of what size and time of change."""
    digest = hashlib.sha256()
    for u in utterances:
        try:
            status = os.stat(u.recording)
            version = (status.st_size, status.st_mtime_ns)
        except OSError:  # missing, or a command: reading it will say so
            version = None
        digest.update(repr((u.id, u.recording, u.start, u.end, version)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def read_partial_spec(folder: Path) -> UnitSpec | None:
    """Return the spec of the unfinished units in `folder`, or None where there are none of use."""
    owner = _read_owner(folder)
    return None if owner is None else owner[0]


class Finished:
    """Finished utterances in the files of one job or several: of each, where its line stands.

    The lines stay on the disk until they are wanted: a million utterances take 0.2 GB of memory, not the 3 GB of their
    units.
    """

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        """Of each utterance, how many bytes come before its line, if the files lay one behind the other."""
        self._paths: list[Path] = []
        self._starts: list[int] = []
        self._end = 0
        self._open: dict[Path, BinaryIO] = {}

    def __contains__(self, utt: str) -> bool:
        return utt in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        """Yield the utterances, sorted."""
        yield from sorted(self._places)  # Unicode order is the order of the UTF-8 bytes

    def read(self, path: Path, codebook_size: int) -> int:
        """Take in the whole lines of a file; return where they end. What a kill left of a line is to be done again.

        Raises VQAudioError where the file cannot be read.
        """
        self._paths.append(path)
        self._starts.append(self._end)
        begin = self._end
        try:
            with open(path, "rb") as file:
                for number, line in enumerate(file, start=1):
                    try:
                        utt = _checked(line, codebook_size)
                    except UnitsError as error:
                        logger.warning("%s: line %d: %s; going on from there", path, number, error)
                        break
                    self.add(utt, len(line))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _cannot_read(path, error) from error
        return self._end - begin

    def add(self, utt: str, size: int) -> None:
        """Note a line of so many bytes, which has been added to the file that was read last."""
        self._places[utt] = self._end
        self._end += size

    def line(self, utt: str) -> bytes:
        """Return the line of an utterance. Raises VQAudioError where the file cannot be read, or has changed."""
        place = self._places[utt]
        number = bisect_right(self._starts, place) - 1
        path = self._paths[number]
        try:
            file = self._opened(path)
            file.seek(place - self._starts[number])
            line = file.readline()
        except OSError as error:
            raise _cannot_read(path, error) from error
        if not line.startswith(utt.encode("utf-8") + b" ") or not line.endswith(b"\n"):
            raise UnitsError(f"{path} was changed while it was read: the line of {utt!r} is not where it was")
        return line

    def units(self, utt: str) -> np.ndarray:
        """Return the units (N,) int64 of an utterance; raises as `line`."""
        return np.fromstring(self.line(utt).partition(b" ")[2].decode("ascii"), np.int64, sep=" ")

    def close(self) -> None:
        """Close the files; what is known of them stays, and they are opened again where it is asked for."""
        while self._open:
            self._open.popitem()[1].close()

    def _opened(self, path: Path) -> BinaryIO:
        if path not in self._open:
            if len(self._open) >= _OPEN_FILES:
                self._open.pop(next(iter(self._open))).close()
            self._open[path] = open(path, "rb")  # noqa: SIM115 - closed by `close`
        return self._open[path]


def read_partial_units(folder: Path, spec: UnitSpec, data_fingerprint: str, into: Finished) -> bool:
    """Take in what is finished in `folder`; False, and nothing, where it is of another model or other data."""
    if _read_owner(folder) != (spec, data_fingerprint):
        return False
    into.read(folder / PARTIAL_FILE, spec.codebook_size)
    return True


class PartialUnits:
    """The finished utterances of an extraction: a file that grows, and a note in `finished` of each line.

    Opening goes on with what a former run of the same model over the same data left, or else starts anew.
    """

    def __init__(self, folder: Path, spec: UnitSpec, data_fingerprint: str, finished: Finished) -> None:
        self.path = folder / PARTIAL_FILE
        self._finished, self._spec = finished, spec
        owner = (spec, data_fingerprint)
        if _read_owner(folder) != owner:
            self.delete()
            write_text_whole(folder / PARTIAL_SPEC_FILE, _owner_text(*owner))
        self._file = self._open(finished.read(self.path, spec.codebook_size))

    def append(self, utt: str, units: np.ndarray) -> None:
        """Add a finished utterance; it is on its way to the disk when this returns."""
        check_sequence(utt, units, lowest=0, limit=self._spec.codebook_size)
        line = format_line(utt, units).encode("utf-8")
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._finished.add(utt, len(line))

    def close(self) -> None:
        """Close the file and leave it for a later run."""
        try:
            self._file.close()
        except OSError as error:  # what a full disk did not take; `append` has reported it
            logger.debug("closing %s: %s", self.path, error)

    def delete(self) -> None:
        """Remove the files: their content has been written elsewhere, or is not wanted."""
        for path in (self.path.with_name(PARTIAL_SPEC_FILE), self.path):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(path, error) from error

    def _open(self, end: int):
        try:
            file = open(self.path, "ab")  # noqa: SIM115 - closed by `close`
            file.truncate(end)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return file


def _checked(line: bytes, codebook_size: int) -> str:
    """Return the utterance of a line; a UnitsError says why it is not one that `append` has written whole."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise UnitsError("cut short or damaged")
    if np.fromstring(match[2].decode("ascii"), np.int64, sep=" ").max() >= codebook_size:
        raise UnitsError(f"a unit outside the codebook of {codebook_size}")
    try:
        return match[1].decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnitsError("not UTF-8") from error


def _cannot_read(path: Path, error: OSError) -> VQAudioError:
    return VQAudioError(f"cannot read {path}: {error.strerror or error}")


def _owner_text(spec: UnitSpec, data_fingerprint: str) -> str:
    return json.dumps({"spec": json.loads(spec.to_json()), "data": data_fingerprint}, indent=2) + "\n"


def _read_owner(folder: Path) -> tuple[UnitSpec, str] | None:
    try:
        content = json.loads((folder / PARTIAL_SPEC_FILE).read_text(encoding="utf-8"))
        return UnitSpec(**content["spec"]), content["data"]
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        UnitsError,
    ):  # none, or of no use: then there is no partial
        return None
