"""Mutants of whole files: bytes changed anywhere, and values, keys and places changed where the format has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.reliability.hostile_case import AS_WRITTEN, SAME, Case
from tests.reliability.hostile_records import CHECKPOINT, PART
from tests.reliability.hostile_weights import join_weights, split_weights

ODD: list[Any] = [
    0, 1, -1, 2, 3, 17, 255, 2**31, 2**32, 2**53 + 1, 2**63, 10**18, 10**400, 0.0, -0.0, 0.5, 1.5, 1e-300, 1e300,
    float("inf"), float("-inf"), float("nan"), "", "0", "1e-4", "x", "mulaw", "F32", "\0", "é" * 40, True, False, None,
    [], {}, [1], [[]], {"a": 1}, [0] * 50, "x" * 3000,
]  # fmt: skip
TREES = (
    # action, file, whether it is YAML, and what is lawful
    ("read_vqvae", "config.yaml", True, AS_WRITTEN),
    ("read_prior", "config.yaml", True, AS_WRITTEN),
    ("read_config", "train.yaml", True, AS_WRITTEN),
    ("read_units", "units.json", False, AS_WRITTEN),
    ("read_scores", "results.json", False, AS_WRITTEN),
    ("read_part", PART, False, AS_WRITTEN),
)
BYTES = (
    ("read_vqvae", "model.safetensors", SAME),
    ("read_vqvae", "speakers.txt", AS_WRITTEN),
    ("read_checkpoint", CHECKPOINT, SAME),
    ("read_units", "units.txt", AS_WRITTEN),
    ("read_units", "durations.txt", AS_WRITTEN),
    *((action, name, lawful) for action, name, _, lawful in TREES),
)


def mutants(random: np.random.Generator) -> Iterator[Case]:
    """Yield mutants without end: of every file in turn, by bytes, by values and, of weights, by the header."""
    number = 0
    while True:
        for action, name, lawful in BYTES:
            number += 1
            yield Case(f"{name}, bytes, mutant {number}", action, _bytes(name, _fork(random)), lawful)
        for action, name, is_yaml, lawful in TREES:
            number += 1
            yield Case(f"{name}, values, mutant {number}", action, _values(name, is_yaml, _fork(random)), lawful)
        for action in ("read_vqvae", "read_prior"):
            number += 1
            yield Case(f"header of weights, mutant {number}", action, _header(_fork(random)), SAME)


def _fork(random: np.random.Generator) -> np.random.Generator:
    return np.random.default_rng(random.integers(2**63))


def _bytes(name: str, random: np.random.Generator) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / name
        data = bytearray(path.read_bytes())
        for _ in range(random.choice([1, 1, 1, 2, 5, 20])):
            data = _mutated(data, random)
        path.write_bytes(data)

    return write


def _mutated(data: bytearray, random: np.random.Generator) -> bytearray:
    """Return bytes with one change: a bit, a byte, a stretch lost, doubled, moved or of noise, or the end cut off."""
    if not data:
        return bytearray(random.bytes(4))
    # As often in the first kilobyte, where formats have their lengths and names, as in all the rest.
    reach = min(len(data), 1024) if random.random() < 0.5 else len(data)
    at, width = int(random.integers(reach)), int(random.integers(1, 33))
    piece = data[at : at + width]
    match random.integers(7):
        case 0:
            data[at] ^= 1 << random.integers(8)
        case 1:
            data[at] = random.choice([0, 9, 10, 32, 34, 42, 45, 48, 57, 58, 91, 123, 127, 128, 255])
        case 2:
            del data[at : at + width]
        case 3:
            data[at:at] = piece
        case 4:
            other = int(random.integers(len(data)))
            data[other:other] = piece
        case 5:
            data[at : at + width] = random.bytes(width)
        case 6:
            del data[at:]
    return data


def _values(name: str, is_yaml: bool, random: np.random.Generator) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / name
        tree = yaml.safe_load(path.read_text()) if is_yaml else json.loads(path.read_text())
        for _ in range(random.choice([1, 1, 1, 2, 4])):
            tree = change_tree(tree, random)
        path.write_text(yaml.safe_dump(tree) if is_yaml else json.dumps(tree))

    return write


def _header(random: np.random.Generator) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / "model.safetensors"
        header, data = split_weights(path)
        if random.random() < 0.5:
            header.pop("__metadata__", None)  # then nothing but the format itself can tell
            names = list(header)
            name = names[random.integers(len(names))]
            header[name] = change_tree(header[name], random)  # shapes of zero and one element apart, never the same
        else:
            header = change_tree(header, random)
        join_weights(path, header if isinstance(header, dict) else json.dumps(header), data)

    return write


def change_tree(tree: Any, random: np.random.Generator) -> Any:
    """Return nested mappings and lists with one thing changed, somewhere: a value, a key, or what holds it."""
    if not isinstance(tree, (dict, list)) or not tree or random.random() < 0.1:
        return ODD[random.integers(len(ODD))]
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = keys[random.integers(len(keys))]
    changed = dict(tree) if isinstance(tree, dict) else list(tree)
    match random.integers(6):
        case 0:
            del changed[key]
        case 1 if isinstance(tree, dict):
            changed[str(ODD[random.integers(len(ODD))])] = changed.pop(key)
        case 2:
            other = keys[random.integers(len(keys))]
            changed[key], changed[other] = changed[other], changed[key]
        case _:
            changed[key] = change_tree(tree[key], random)
    return changed
