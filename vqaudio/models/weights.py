"""Weights in a `.safetensors` file, compared with what is expected of them before memory is taken for any.

    8 bytes        length of the header, little-endian
    header         JSON: name to {"dtype", "shape", "data_offsets": [begin, end]}, and "__metadata__", text by text
    data           the tensors, one directly after the other, in the order of their offsets

The format is https://github.com/huggingface/safetensors#format. Read here, where each claim of the header is checked
against the size of the file: a file never has more memory taken than it has bytes.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from vqaudio.errors import ModelError
from vqaudio.untrusted import MIB, open_regular, parse_json, shown

CHECKSUM = "sha256"
"""Key of the metadata: SHA-256 of names, types, shapes and bytes of all tensors."""
LARGEST_HEADER = 4 * MIB
_LENGTH = 8
_DTYPES = {torch.float32: ("F32", "<f4"), torch.int64: ("I64", "<i8"), torch.bool: ("BOOL", "u1")}
"""What models are made of: names in the header, and types of the bytes."""
_HALF = "BF16"
"""Name of bfloat16: the upper half of a float32. A file may hold it where a model has float32, at half the size."""
_SHOWN = 5


@dataclass(frozen=True)
class Entry:
    """What a header says of one tensor: dtype, as text; shape; and where it lies in the data, in bytes."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def pack_weights(tensors: Mapping[str, Tensor], halved: Collection[str] = ()) -> bytes:
    """Return the content of a file of tensors of float32, int64 and bool, with their checksum.

    Those of float32 that are named in `halved` are written rounded to bfloat16; the checksum is of what is read back.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    plain |= {name: plain[name].bfloat16() for name in halved if plain[name].dtype == torch.float32}
    arrays = {
        name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy() for name, tensor in plain.items()
    }
    return save(plain, metadata={CHECKSUM: _checksum(arrays)})


def read_weights(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors in a file, which have the names, shapes and dtypes of `expected` (may be on `meta`).

    Raises ModelError, naming the file, for one that is damaged or has other tensors, and for weights that are not
    finite.
    """
    try:
        with open_regular(path) as file:
            entries, metadata = _read_header(file)
            _require_fit(path, entries, expected)
            data = file.read()
        arrays = {name: _array(entries[name], data, expected[name].dtype) for name in expected}
        _require_whole(arrays, metadata)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a file, by their names. Raises ModelError for a damaged one."""
    try:
        with open_regular(path) as file:
            return {name: entry.shape for name, entry in _read_header(file)[0].items()}
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def read_floats(path: Path, name: str) -> np.ndarray | None:
    """Return one tensor of float32, or bfloat16, as float64; None where the file has none of that name.

    Raises as `read_shapes`.
    """
    try:
        with open_regular(path) as file:
            entry = _read_header(file)[0].get(name)
            if entry is None:
                return None
            if entry.dtype not in ("F32", _HALF):
                raise ValueError(f"{name} is of type {shown(entry.dtype)[1:-1]}, expected F32")
            file.seek(entry.begin, os.SEEK_CUR)
            data = file.read(entry.end - entry.begin)
        floats = _of_halves(np.frombuffer(data, "<u2")) if entry.dtype == _HALF else np.frombuffer(data, "<f4")
        return floats.reshape(entry.shape).astype(np.float64)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | ValueError) -> ModelError:
    reason = error.strerror if isinstance(error, OSError) else error
    return ModelError(f"{path} cannot be read as weights: {reason}")


def _read_header(file: BinaryIO) -> tuple[dict[str, Entry], dict[str, Any]]:
    """Return the entries and the metadata, and leave the file where its data begins."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(_LENGTH)
    length = int.from_bytes(start, "little")
    if len(start) < _LENGTH or length > min(size - _LENGTH, LARGEST_HEADER):
        raise ValueError(f"its header claims {length:,} bytes, which a file of {size:,} cannot have")
    header = parse_json(file.read(length).decode("utf-8"))
    if not isinstance(header, dict):
        raise ValueError(f"its header is {shown(header)}, expected an object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ValueError(f"its metadata are {shown(metadata)}, expected an object")
    entries = {name: _entry(name, claim) for name, claim in header.items()}
    _require_seamless(entries, size - _LENGTH - length)
    return entries, metadata


def _entry(name: str, claim: Any) -> Entry:
    try:
        dtype, shape, (begin, end) = claim["dtype"], claim["shape"], claim["data_offsets"]
        numbers = [*shape, begin, end]
    except (TypeError, KeyError, ValueError):
        raise ValueError(f"its header says {shown(claim)} of {shown(name)}, expected dtype, shape, offsets") from None
    if len(claim) > 3 or not isinstance(dtype, str) or not isinstance(shape, list):
        raise ValueError(f"its header says {shown(claim)} of {shown(name)}, expected dtype, shape, offsets")
    if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise ValueError(f"shape {shown(shape)} or offsets {shown([begin, end])} of {shown(name)} are no sizes")
    return Entry(dtype, tuple(shape), begin, end)


def _require_seamless(entries: Mapping[str, Entry], size: int) -> None:
    """Raise ValueError unless the tensors follow each other, without gap or overlap, over all of the data."""
    position = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position or entry.end < entry.begin:
            raise ValueError(f"{shown(name)} is at bytes {entry.begin} to {entry.end}, expected to begin at {position}")
        position = entry.end
    if position != size:
        raise ValueError(f"it has {size:,} bytes of tensors, its header claims {position:,}: cut short, or damaged")


def _require_fit(path: Path, entries: Mapping[str, Entry], expected: Mapping[str, Tensor]) -> None:
    problems = [f"lacks {name}" for name in expected if name not in entries]
    problems += [f"has the unknown tensor {shown(name)[1:-1]}" for name in entries if name not in expected]
    for name in (name for name in expected if name in entries):
        problems += _misfits(name, entries[name], expected[name])
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise ModelError(f"{path} does not fit its config.yaml: {'; '.join(problems[:_SHOWN])}{more}")


def _misfits(name: str, entry: Entry, expected: Tensor) -> list[str]:
    dtype, kind = _DTYPES[expected.dtype]
    if entry.dtype == _HALF and dtype == "F32":
        dtype, kind = _HALF, "<u2"
    if entry.dtype != dtype:
        return [f"{name} is of type {shown(entry.dtype)[1:-1]}, expected {dtype}"]
    if entry.shape != tuple(expected.shape):
        return [f"{name} has shape {shown(entry.shape)}, expected {tuple(expected.shape)}"]
    size = math.prod(entry.shape) * np.dtype(kind).itemsize
    return [] if entry.end - entry.begin == size else [f"{name} takes {entry.end - entry.begin} bytes, expected {size}"]


def _array(entry: Entry, data: bytes, dtype: torch.dtype) -> np.ndarray:
    halved = entry.dtype == _HALF
    stored = "<u2" if halved else _DTYPES[dtype][1]
    array = np.frombuffer(data, stored, math.prod(entry.shape), entry.begin).reshape(entry.shape)
    if halved:
        return _of_halves(array)
    kind = bool if dtype == torch.bool else array.dtype.newbyteorder("=")
    return array.astype(kind)  # a copy: aligned, and nobody else's


def _of_halves(halves: np.ndarray) -> np.ndarray:
    """Return numbers in bfloat16, given as the upper halves (uint16) of float32, as float32."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def _require_whole(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Raise ValueError for weights that are not those that were written, as far as the file says what those were."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    if CHECKSUM in metadata and metadata[CHECKSUM] != _checksum(arrays):
        raise ValueError("its tensors are not those of its checksum: damaged, or changed since they were written")


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(repr((name, plain.dtype.str, array.shape)).encode())
        digest.update(plain.tobytes())
    return digest.hexdigest()
