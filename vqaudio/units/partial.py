"""Units extracted so far: what an interrupted extraction leaves, and the next one goes on from.

units.partial.json   the model's spec and a fingerprint of the data: what the lines below belong to
units.partial.txt    one line per finished utterance, in the format of units.txt, one unit per frame
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from vqaudio.audio.atomic import write_text_whole
from vqaudio.corpus import Utterance
from vqaudio.errors import UnitsError
from vqaudio.units.fileset import cannot_write
from vqaudio.units.spec import UnitSpec
from vqaudio.units.text import format_line, parse_line

logger = logging.getLogger(__name__)

PARTIAL_FILE = "units.partial.txt"
PARTIAL_SPEC_FILE = "units.partial.json"


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


def read_partial_units(folder: Path, spec: UnitSpec, data_fingerprint: str) -> dict[str, np.ndarray] | None:
    """Return utterance id to units (N,) of what is finished in `folder`; None where it is of another model or data."""
    if _read_owner(folder) != (spec, data_fingerprint):
        return None
    return _read_lines(folder / PARTIAL_FILE, spec.codebook_size)[0]


class PartialUnits:
    """The finished utterances of an extraction, on disk and in memory.

    Opening goes on with what a former run of the same model over the same data left, or else starts anew.
    `sequences` maps utterance ids to units (N,).
    """

    def __init__(self, folder: Path, spec: UnitSpec, data_fingerprint: str) -> None:
        self.path = folder / PARTIAL_FILE
        self.sequences: dict[str, np.ndarray] = {}
        owner = (spec, data_fingerprint)
        end = 0
        if _read_owner(folder) == owner:
            self.sequences, end = _read_lines(self.path, spec.codebook_size)
        else:
            self.delete()
            write_text_whole(folder / PARTIAL_SPEC_FILE, _owner_text(*owner))
        self._file = self._open(end)

    def append(self, utt: str, units: np.ndarray) -> None:
        """Add a finished utterance; it is on its way to the disk when this returns."""
        try:
            self._file.write(format_line(utt, units).encode("utf-8"))
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.sequences[utt] = units

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


def _read_lines(path: Path, codebook_size: int) -> tuple[dict[str, np.ndarray], int]:
    """Return what the whole lines hold, and where they end; what a kill left of a line is done again."""
    sequences: dict[str, np.ndarray] = {}
    end = 0
    if not path.exists():
        return sequences, end
    with open(path, "rb") as file:
        for line in file:
            try:
                if not line.endswith(b"\n"):
                    raise UnitsError("cut short")
                utt, units = parse_line(line.decode("utf-8"), lowest=0, limit=codebook_size)
            except (UnitsError, UnicodeDecodeError) as error:
                logger.warning("%s: line %d: %s; going on from there", path, len(sequences) + 1, error)
                break
            sequences[utt] = units
            end += len(line)
    return sequences, end


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
