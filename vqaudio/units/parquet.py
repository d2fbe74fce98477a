"""Unit sequences as Parquet: columns `id`, `units` and, of collapsed ones, `durations`; whose they are in the metadata.

A folder of them, `OUT/parts/part-000000.parquet` and so on beside `OUT/units.json`, is read like any folder of units.
Datasets, pandas, polars and Spark read the files, too. The extra [ray] brings pyarrow, which this needs.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqaudio.audio.atomic import write_whole
from vqaudio.errors import UnitsError, VQAudioError
from vqaudio.units.sequence import check_units
from vqaudio.units.spec import UnitSpec

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PARTS_FOLDER = "parts"
SPEC_KEY = b"vqaudio.units"
"""Of the file's metadata: the text of `units.json`."""


def part_path(folder: Path, number: int) -> Path:
    """Return the file of part `number`, from 0 on, of the units in `folder`."""
    return folder / PARTS_FOLDER / f"part-{number:06d}.parquet"


def part_paths(folder: Path) -> list[Path]:
    """Return the files of the parts in `folder`, in order."""
    return sorted((folder / PARTS_FOLDER).glob("part-*.parquet"))


def write_part(
    path: Path,
    sequences: Mapping[str, np.ndarray],
    spec: UnitSpec,
    durations: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write unit sequences (id to integers (N,)), in their order, whole or not at all."""
    pa, pq = _pyarrow()
    units = np.uint16 if spec.codebook_size <= 1 << 16 else np.uint32
    columns = {"id": pa.array(list(sequences), pa.string()), "units": _lists(list(sequences.values()), units)}
    if durations is not None:
        columns["durations"] = _lists([durations[name] for name in sequences], np.uint32)
    table = pa.table(columns).replace_schema_metadata({SPEC_KEY: spec.to_json().encode()})
    buffer = io.BytesIO()  # pyarrow's own errors of a full disk name no path
    pq.write_table(table, buffer, compression="zstd")
    with write_whole(path) as file:
        file.write(buffer.getbuffer())


def read_parts(folder: Path, spec: UnitSpec) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """Return the sequences of all parts in `folder`, id to int64 (N,), sorted, and the durations of collapsed ones.

    Raises UnitsError for a part that cannot be read, is of other units than `spec`, or holds what cannot be units.
    """
    sequences: dict[str, np.ndarray] = {}
    durations: dict[str, np.ndarray] = {}
    for path in part_paths(folder):
        for name, units, lengths in _rows(path, spec):
            if name in sequences:
                raise UnitsError(f"{path}: utterance {name!r} was given before")
            sequences[name] = check_units(name, units, 0, spec.codebook_size)
            if spec.collapsed:
                durations[name] = check_units(name, lengths, 1, None)
    if not sequences:
        raise UnitsError(f"{folder / PARTS_FOLDER}: no units")
    return dict(sorted(sequences.items())), dict(sorted(durations.items())) if spec.collapsed else None


def count_rows(path: Path, spec: UnitSpec) -> int:
    """Return how many utterances a part holds, from its metadata; raises UnitsError as `read_parts`."""
    file = open_parquet(path)
    _check_spec(file, path, spec)
    return file.metadata.num_rows


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file; raises UnitsError where it is none."""
    pa, pq = _pyarrow()
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise UnitsError(f"{path}: not a Parquet file that can be read: {error}") from error


def _rows(path: Path, spec: UnitSpec):
    pa, _ = _pyarrow()
    file = open_parquet(path)
    _check_spec(file, path, spec)
    wanted = ["id", "units", *(["durations"] if spec.collapsed else [])]
    try:
        for batch in file.iter_batches(columns=wanted):
            columns = [batch.column(name) for name in wanted]
            for row in range(batch.num_rows):
                values = [column[row] for column in columns]
                arrays = [np.asarray(value.values) for value in values[1:]]
                yield values[0].as_py(), arrays[0], arrays[-1]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UnitsError(f"{path}: cannot be read: {error}") from error


def _check_spec(file: pq.ParquetFile, path: Path, spec: UnitSpec) -> None:
    if (file.schema_arrow.metadata or {}).get(SPEC_KEY) != spec.to_json().encode():
        raise UnitsError(f"{path}: not of the units that units.json in {path.parents[1]} describes ({spec.describe()})")


def _lists(sequences: Sequence[np.ndarray], dtype: type) -> pa.ListArray:
    pa, _ = _pyarrow()
    ends = np.cumsum([0, *map(len, sequences)])
    values = np.concatenate(sequences).astype(dtype) if len(sequences) else np.empty(0, dtype)
    return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), pa.array(values))


def _pyarrow():
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise VQAudioError(f"Parquet needs pyarrow, which the extra [ray] brings: {error}") from error
    return pa, pq
