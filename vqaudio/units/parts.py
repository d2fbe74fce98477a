"""Units of a corpus of any size: cut into parts of about an hour, each encoded by whoever is free, and written once.

    manifest ──▶ OUT/manifest.jsonl ──┬─ part 0 ─▶ OUT/parts/part-000000.parquet ─┐
                 OUT/manifest.json    ├─ part 1 ─▶ OUT/parts/part-000001.parquet ─┼─▶ OUT/units.json, OUT/rejected.tsv
                                      └─ …                                        ┘

`Plan.encode` does one part, on whatever machine sees the files; a part that is there is done. Who does which is for
launchers to say (`vqaudio.units.launchers`): they may die, be many, and do a part twice: nothing is lost or doubled.
"""

from __future__ import annotations

import hashlib
import json
import logging
from array import array
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vqaudio.audio.atomic import write_text_whole, write_whole
from vqaudio.audio.space import require_space
from vqaudio.corpus.rejected import Rejection, check_share, read_rejected, write_rejected
from vqaudio.errors import UnitsError
from vqaudio.models.vqvae import VQVAE
from vqaudio.units.extract import REJECTED_FILE, encode_each
from vqaudio.units.manifest import Row, read_manifest
from vqaudio.units.parquet import count_rows, part_path, write_part
from vqaudio.units.runs import collapse
from vqaudio.units.sharding import remove_shards
from vqaudio.units.spec import SPEC_FILE, UnitSpec, check_compatible

logger = logging.getLogger(__name__)

MANIFEST_FILE, PLAN_FILE = "manifest.jsonl", "manifest.json"
PART_ROWS, PART_SECONDS = 512, 3600.0
"""A part ends at so many utterances, or so much audio, whichever comes first: minutes of work to lose or to repeat."""


@dataclass(frozen=True)
class Part:
    """Lines of OUT/manifest.jsonl: `rows` of them, from byte `start` on, `seconds` of audio where that is known."""

    number: int
    start: int
    rows: int
    seconds: float


@dataclass(frozen=True)
class Done:
    """What became of a part."""

    part: int
    utterances: int
    rejected: int
    units: int
    seconds: float
    """Of the audio encoded; 0 where the part was there already."""


@dataclass(frozen=True)
class Plan:
    """What is to be encoded into `folder`, by which model, in which parts."""

    folder: Path
    spec: UnitSpec
    digest: str
    parts: tuple[Part, ...]

    @classmethod
    def make(cls, folder: str | Path, source: str | Path, spec: UnitSpec) -> Plan:
        """Return the plan for a manifest, after writing it into `folder`, or finding it there, the same.

        Raises UnitsError where `folder` holds units of another manifest or model, and as `read_manifest`.
        """
        folder = Path(folder)
        if (folder / PLAN_FILE).exists():
            plan = cls.load(folder)
            check_compatible(plan.spec, spec, folder)
            if (plan.digest, plan.spec.collapsed) == (_digest(source), spec.collapsed):
                return plan
            raise UnitsError(
                f"{folder} holds units of another manifest, or of other options, than {source}: choose another folder, "
                "or delete this one"
            )
        if (folder / SPEC_FILE).exists():
            raise UnitsError(f"{folder} holds units that were not made in parts: choose another folder")
        return cls._written(folder, source, spec)

    @classmethod
    def _written(cls, folder: Path, source: str | Path, spec: UnitSpec) -> Plan:
        digest, ids = hashlib.sha256(), array("Q")
        parts, start, end, rows, seconds = [], 0, 0, 0, 0.0
        with write_whole(folder / MANIFEST_FILE) as file:
            for row in read_manifest(source):
                line = row.to_json().encode()
                file.write(line)
                digest.update(line)
                ids.append(_hash(row.id))
                end, rows, seconds = end + len(line), rows + 1, seconds + (row.duration or 0.0)
                if rows == PART_ROWS or seconds >= PART_SECONDS:
                    parts.append(Part(len(parts), start, rows, seconds))
                    start, rows, seconds = end, 0, 0.0
            if rows:
                parts.append(Part(len(parts), start, rows, seconds))
            if not parts:
                raise UnitsError(f"{source}: no utterances")
            _check_unique(ids, source)
        plan = cls(folder, spec, digest.hexdigest(), tuple(parts))
        plan._require_space()
        write_text_whole(folder / PLAN_FILE, plan._to_json())
        return plan

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """Return the plan in `folder`. Raises UnitsError where there is none that can be read."""
        path = folder / PLAN_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            parts = tuple(Part(number, *values) for number, values in enumerate(content["parts"]))
            return cls(folder, UnitSpec(**content["units"]), content["sha256"], parts)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UnitsError(f"{path}: not a plan that can be read: {error}; delete {folder} to begin anew") from error

    def missing(self) -> list[Part]:
        """Return the parts that are not there yet."""
        return [part for part in self.parts if not part_path(self.folder, part.number).exists()]

    def encode(self, model: VQVAE, part: Part) -> Done:
        """Encode one part with the model of `spec` and write it, whole or not at all.

        An utterance whose audio cannot be read is left out, and listed. Raises VQAudioError for audio of another rate
        than the model's, and for a folder that cannot be written.
        """
        path = part_path(self.folder, part.number)
        if path.exists():
            return Done(part.number, count_rows(path, self.spec), len(self._rejected(part)), 0, 0.0)
        sequences: dict[str, np.ndarray] = {}
        rejected, total = [], 0.0
        with closing(encode_each(model, [row.utterance() for row in self.rows(part)])) as encoded:
            for one in encoded:
                if isinstance(one, Rejection):
                    rejected.append(one)
                else:
                    sequences[one.id] = one.units
                    total += one.seconds
        self._write(part, sequences, rejected)
        return Done(part.number, len(sequences), len(rejected), sum(map(len, sequences.values())), total)

    def _write(self, part: Part, sequences: dict[str, np.ndarray], rejected: list[Rejection]) -> None:
        # The units come last: a part that is there has its rejections beside it.
        write_rejected(self._rejected_path(part), rejected)
        durations = None
        if self.spec.collapsed:
            runs = {name: collapse(units) for name, units in sequences.items()}
            sequences = {name: values for name, (values, _) in runs.items()}
            durations = {name: lengths for name, (_, lengths) in runs.items()}
        write_part(part_path(self.folder, part.number), sequences, self.spec, durations)

    def rows(self, part: Part) -> list[Row]:
        """Return the utterances of a part."""
        path = self.folder / MANIFEST_FILE
        try:
            with open(path, "rb") as file:
                file.seek(part.start)
                return [Row.from_json(file.readline()) for _ in range(part.rows)]
        except (OSError, ValueError, TypeError) as error:
            raise UnitsError(f"{path}: cannot be read from byte {part.start} on: {error}") from error

    def complete(self, max_rejected_share: float) -> None:
        """Write `rejected.tsv` and `units.json`, which say that all is there, after counting that it is.

        Raises UnitsError for parts that are missing or of another length than planned, DataDirError where more than the
        share of all utterances was rejected.
        """
        if missing := self.missing():
            raise UnitsError(f"{self.folder}: {len(missing)} of {len(self.parts)} parts are missing")
        rejected: list[Rejection] = []
        for part in self.parts:
            own = self._rejected(part)
            found = count_rows(part_path(self.folder, part.number), self.spec)
            if found + len(own) != part.rows:
                raise UnitsError(
                    f"{part_path(self.folder, part.number)}: {found} utterances and {len(own)} rejected, expected "
                    f"{part.rows}: delete it, and give the same command again"
                )
            rejected += own
        write_rejected(self.folder / REJECTED_FILE, rejected)
        total = sum(part.rows for part in self.parts)
        check_share(rejected, total, max_rejected_share, self.folder / REJECTED_FILE)
        write_text_whole(self.folder / SPEC_FILE, self.spec.to_json())
        logger.info("%s: units of %d utterances in %d parts, %d utterances rejected",
                    self.folder, total - len(rejected), len(self.parts), len(rejected))  # fmt: skip
        remove_shards(self.folder)

    def _rejected_path(self, part: Part) -> Path:
        return part_path(self.folder, part.number).with_suffix(".rejected.tsv")

    def _rejected(self, part: Part) -> list[Rejection]:
        path = self._rejected_path(part)
        try:
            return read_rejected(path)
        except (OSError, ValueError, TypeError) as error:
            raise UnitsError(f"{path}: cannot be read: {error}; delete the part beside it to encode it anew") from error

    def _require_space(self) -> None:
        # At most 2 or 4 bytes a unit: compression is a gain that need not come.
        width = 2 if self.spec.codebook_size <= 1 << 16 else 4
        seconds = sum(part.seconds for part in self.parts)
        require_space(self.folder, round(seconds * self.spec.unit_rate * width), "the units")

    def _to_json(self) -> str:
        parts = [[part.start, part.rows, round(part.seconds, 3)] for part in self.parts]
        content: dict[str, Any] = {"units": asdict(self.spec), "sha256": self.digest, "parts": parts}
        return json.dumps(content) + "\n"


def _digest(source: str | Path) -> str:
    digest = hashlib.sha256()
    for row in read_manifest(source):
        digest.update(row.to_json().encode())
    return digest.hexdigest()


def _check_unique(ids: array, source: str | Path) -> None:
    """Raise UnitsError, naming one, where an id was given twice; `ids` are hashes, 8 bytes an utterance."""
    values, counts = np.unique(np.frombuffer(ids, np.uint64), return_counts=True)
    if (counts > 1).any():
        twice = int(values[np.argmax(counts > 1)])
        name = next(row.id for row in read_manifest(source) if _hash(row.id) == twice)
        raise UnitsError(f"{source}: {int((counts > 1).sum())} ids are given more than once, such as {name!r}")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
