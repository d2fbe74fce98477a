"""YAML that harms, sizes beyond all bounds, and files laid over each other without end: each must be refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.reliability.hostile_case import CANARY, Case

LAUGHS = "\n".join(["a0: &a0 [lol, lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)])
MERGED = "\n".join(
    ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
)
YAML = {
    "billion laughs": f"{LAUGHS}\nmodel: *a11\n",
    "billion laughs as a value": f"{LAUGHS}\nmodel: {{encoder: {{channels: *a11}}}}\n",
    "billion merge keys": f"{MERGED}\nmodel: *a11\n",
    "itself": "model: &a {encoder: *a}\n",
    "python/object/apply": "model: !!python/object/apply:os.system ['touch CANARY']\n",
    "python/object/new": "model: !!python/object/new:subprocess.Popen [['touch', 'CANARY']]\n",
    "python/module": "model: !!python/module:antigravity\n",
    "python/name": "model: !!python/name:os.system\n",
    "python/object": "model: !!python/object:tests.reliability.hostile_case.Payload {command: x}\n",
    "deep lists": "model: " + "[" * 30000,
    "deep mappings": "model: " + "{a: " * 10000,
    "deep blocks": "".join(" " * n + "a:\n" for n in range(300)) * 1,
    "a key twice": "seed: 1\nseed: 2\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "a list": "- 1\n",
    "a number": "7\n",
    "a huge whole number": f"seed: {'9' * 5000}\n",
    "a huge hexadecimal": f"seed: 0x{'f' * 9000}\n",
    "a date that is none": "seed: 2001-99-99\n",
    "a bool that is none": "seed: !!bool x\n",
    "a time stamp that is none": "seed: !!timestamp x\n",
    "an int that is none": "seed: !!int ''\n",
    "a key that is a list": "? [a]\n: 1\n",
    "a key that is a number": "7: 1\n",
    "a key that is nothing": "~: 1\n",
    "a key with control characters": '"\\e[2Jcls\\a": 1\n',
    "a long key": f"? {'k' * 60000}\n: 1\n",
    "a long value": f"model: {'v' * 60000}\n",
    "a megabyte": "# " + "x" * 2**20 + "\n",
    "a NUL": "seed: 1\0\n",
}
VALUES: dict[str, Any] = {
    "encoder.channels": [
        10**9,
        10**30,
        0,
        -1,
        1.5,
        float("nan"),
        float("inf"),
        True,
        None,
        "x",
        [],
        {},
        "0x" + "f" * 99,
    ],
    "encoder.strides": [[], [0], [10**9], [1024] * 20, [2] * 10**4, 4, "4", [[4]], [None], {"a": 1}],
    "encoder.residual_blocks": [10**9, -1],
    "encoder.input_gain": [float("inf"), 10**400, 0, -1.0],
    "quantizer.codebook_size": [10**18, 10**9, 1, 0, -512, 1.5],
    "quantizer.code_dim": [10**9, 0],
    "quantizer.update": ["EMA", [], {}, None, 1],
    "decoder.stack.layers": [10**9, 10**6, 1000, 0, -1],
    "decoder.stack.stacks": [10**9, 0],
    "decoder.stack.gate_channels": [10**9, 7],
    "decoder.classes": [10**9, 0],
    "decoder.condition_kernel": [10**9 + 1, 4, -1],
    "decoder.condition_blocks": [10**9],
    "decoder.speaker_channels": [10**9],
    "sample_rate": [10**18, 0, "8k", 2**31],
}


def configurations() -> Iterator[Case]:
    """Yield: YAML that harms, in a model folder and as a training's configuration; sizes beyond all bounds; `base`."""
    for name, text in YAML.items():
        for action, file in (("read_vqvae", "config.yaml"), ("read_config", "train.yaml")):
            yield Case(f"{file}: {name}", action, _yaml(file, text))
    for key, values in VALUES.items():
        for value in values:
            yield Case(f"config.yaml: {key} = {str(value)[:30]}", "read_vqvae", _with_value(key, value))
    for name in ("model", "kind", "format_version"):
        for value in (None, [], {}, "x", 10**9, [["vqvae"]]):
            yield Case(f"config.yaml: {name} = {value}", "read_vqvae", _with_value(name, value, top=True))
    for value in (None, [], "x", {"a": 1}, {"sample_rate": -1}, 7):
        yield Case(f"config.yaml of a prior: units = {value}", "read_prior", _with_value("units", value, top=True))
    yield from _bases()
    for name in ("billion laughs", "python/object/apply", "deep lists", "a huge hexadecimal", "a megabyte"):
        yield Case(f"vqaudio train: {name}", "train", _yaml("train.yaml", YAML[name]))
        yield Case(f"vqaudio info: {name}", "inform", _yaml("config.yaml", YAML[name]))


def _yaml(name: str, text: str) -> Callable[[Path], object]:
    # What the tags would execute; and the kind of a model, so that the rest is looked at.
    def write(folder: Path) -> None:
        head = "kind: vqvae\nformat_version: 1\n" if name == "config.yaml" else ""
        (folder / name).write_text(head + text.replace("CANARY", str(folder.parent / CANARY)), encoding="utf-8")

    return write


def _with_value(key: str, value: Any, top: bool = False) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / "config.yaml"
        config = yaml.safe_load(path.read_text())
        *parents, last = key.split(".") if top else ["model", *key.split(".")]
        inner = config
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
        path.write_text(yaml.safe_dump(config))

    return write


def _bases() -> Iterator[Case]:
    for name, base in {
        "itself": "train.yaml", "nothing": "none.yaml", "a folder": ".", "a device": "/dev/zero", "a pipe": "pipe",
        "in turn": "other.yaml", "a list": "[]", "a NUL": '"a\\0b"', "a link to itself": "loop",
        "a long name": "x" * 5000,
    }.items():  # fmt: skip
        yield Case(f"base: {name}", "read_config", _base(base))
    yield Case("base: a chain of a thousand", "read_config", _chain)


def _base(base: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        os.mkfifo(folder / "pipe")
        (folder / "loop").symlink_to("loop")
        (folder / "other.yaml").write_text("base: ./train.yaml\n")
        (folder / "train.yaml").write_text(f"base: {base}\n")

    return write


def _chain(folder: Path) -> None:
    for number in range(1000):
        (folder / f"{number}.yaml").write_text(f"base: {number + 1}.yaml\n")
    (folder / "1000.yaml").write_text("seed: 1\n")
    (folder / "train.yaml").write_text("base: 0.yaml\n")
