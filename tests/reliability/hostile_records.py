"""Cases of units, checkpoints, results and what shards have left: each must be refused, or change nothing."""

from __future__ import annotations

import collections
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from tests.reliability.hostile_case import AS_WRITTEN, SAME, Case, Payload, not_a_file, pickle_into, replaced, text_into
from tests.reliability.hostile_weights import zip_bomb

CHECKPOINT = "step-000000010.pt"
PART = "shards/1-of-2/units.json"
ODD_JSON = ("[]", "1", "{", "[" * 50000, '{"a":' * 12000, "9" * 9999, '{"a": 1, "a": 2}')
NUMBERS: list[Any] = [
    10**18, 2**63, 10**400, 0, -1, -(10**18), 1.5, 1e999, float("nan"), -float("inf"), "8000", True, None, [], {}, [1],
]  # fmt: skip


def units() -> Iterator[Case]:
    """Yield: units.json, units.txt and durations.txt that lie, and units of another model."""
    for name in ("units.json", "units.txt", "durations.txt"):
        for how, _ in not_a_file(Path("x")):
            yield Case(f"{name}: {how}", "read_units", replaced(name, how))
    for key in ("sample_rate", "hop_length", "codebook_size", "format_version", "model_hash", "collapsed"):
        for value in NUMBERS + ["x" * 10**5, "\x1b[2J", "\ud800", ""]:
            if not _is_lawful(key, value):
                yield Case(f"units.json: {key} = {str(value)[:20]!r}", "read_units", _specified(key, value))
        yield Case(f"units.json: without {key}", "read_units", _specified(key, ...))
    for text in (
        "[]",
        "1",
        "{",
        '"x"',
        "null",
        "[" * 99999,
        '{"a":' * 99999,
        "9" * 9999,
        '{"a": 1, "a": 2}',
        " " * 10**6,
    ):
        yield Case(f"units.json: {text[:12]}", "read_units", text_into("units.json", text))
    for name, line in LINES.items():
        for file in ("units.txt", "durations.txt"):
            yield Case(f"{file}: {name}", "read_units", _with_line(file, line))
    for number in (10**12, 10**17, 999_999_999_999_999_999):
        yield Case(f"durations.txt: {number}", "read_units", _durations(number))
    yield Case("durations.txt: of others", "read_units", lambda f: _swap(f, "anna-0", "clara-0"))
    yield Case("durations.txt: one less", "read_units", lambda f: _cut_line(f / "durations.txt"))
    yield Case("units.txt: a unit beyond the codebook", "read_units", _with_line("units.txt", "zoe 16\n"))
    yield Case("units.txt: a line of 100 MB", "read_units", _with_line("units.txt", "zoe " + "15 " * 33_000_000 + "\n"))
    for key, value in {"model_hash": "0" * 16, "sample_rate": 16000, "hop_length": 32, "codebook_size": 512}.items():
        yield Case(f"another model's units: {key}", "decode_units", _specified(key, value, "units"))
    for key, value in (("codebook_size", 10**18), ("sample_rate", -1), ("model_hash", "\x1b[2J")):
        yield Case(f"vqaudio decode: {key} = {value!r}", "decode_units", _specified(key, value, "units"))
    yield Case("vqaudio decode: durations of 10^12", "decode_units", _durations(10**12, "units"))
    yield Case("vqaudio decode: units beyond the codebook", "decode_units", _with_line("units/units.txt", "zoe 99\n"))


def _is_lawful(key: str, value: Any) -> bool:
    if key == "model_hash":
        return value == "8000"
    return key == "collapsed" and value is True


LINES = {
    "blank": "\n", "no units": "zoe\n", "no newline": "zoe 1 2", "twice": "anna-0 1\n", "unsorted": "aaa 1\n",
    "negative": "zoe -1\n", "a fraction": "zoe 1.5\n", "NaN": "zoe nan\n", "an exponent": "zoe 1e3\n",
    "hexadecimal": "zoe 0x1\n",
    "2^63": f"zoe {2**63}\n", "2^64": f"zoe {2**64}\n", "a number of 10,000 digits": f"zoe {'9' * 10000}\n",
    "an underscore": "zoe 1_0\n", "other digits": "zoe ١٢\n", "a plus": "zoe +1\n", "a comma": "zoe 1,2\n",
    "a NUL": "zoe 1\0 2\n",
    "NULs": "\0" * 1000 + "\n", "a form feed": "zoe 1\f2\n", "a million letters": "z" * 10**6 + "\n",
    "text": "zoe one two\n",
}  # fmt: skip


def _specified(key: str, value: Any, inside: str = "") -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / inside / "units.json"
        spec = json.loads(path.read_text())
        spec.pop(key) if value is ... else spec.update({key: value})
        path.write_text(json.dumps(spec))

    return write


def _with_line(name: str, line: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        with open(folder / name, "a", encoding="utf-8") as file:
            file.write(line)

    return write


def _durations(number: int, inside: str = "") -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / inside / "durations.txt"
        path.write_text(path.read_text().replace(" 2", f" {number}"))

    return write


def _swap(folder: Path, old: str, new: str) -> None:
    path = folder / "durations.txt"
    lines = sorted(path.read_text().replace(old, new).splitlines(keepends=True))
    path.write_text("".join(lines))


def _cut_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


# ------------------------------------------------------------------------------------------------- checkpoints


def checkpoints() -> Iterator[Case]:
    """Yield: checkpoints that execute, unpack to more than they are, or claim tensors that they have no bytes for."""
    for how, _ in not_a_file(Path("x")):
        if how != "missing":  # then there is none
            yield Case(f"checkpoint: {how}", "read_checkpoint", replaced(CHECKPOINT, how))
    for protocol in range(6):
        yield Case(f"checkpoint: a pickle, protocol {protocol}", "read_checkpoint", _pickled(protocol))
    for name, state in STATES.items():
        yield Case(f"checkpoint: {name}", "read_checkpoint", _saved(state))
    yield Case("checkpoint: torch's old format", "read_checkpoint", _saved(lambda f: {"a": 1}, old=True))
    yield Case("checkpoint: torch's old format, executing", "read_checkpoint", _saved(Payload, old=True))
    yield Case("checkpoint: a zip bomb", "read_checkpoint", lambda f: zip_bomb(f / CHECKPOINT))
    yield Case("checkpoint: compressed", "read_checkpoint", _compressed)
    yield Case("checkpoint: executing, in TorchScript's place", "read_checkpoint", _script)
    yield Case("checkpoint: an older whole one beside it", "read_checkpoint", _newer_pickle, SAME)


class Asking:
    """Calls something when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.asked = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.asked


def _claiming(size: tuple[int, ...], stride: tuple[int, ...]) -> Asking:
    three = torch.zeros(3)
    storage = torch.storage.TypedStorage(wrap_storage=three.untyped_storage(), dtype=three.dtype, _internal=True)
    return Asking(torch._utils._rebuild_tensor_v2, storage, 0, size, stride, False, collections.OrderedDict())


def _holding_itself(folder: Path) -> list[Any]:
    held: list[Any] = []
    held.append(held)
    return held


def _laughing(folder: Path) -> list[Any]:
    held: list[Any] = [0]
    for _ in range(60):
        held = [held, held]
    return held


STATES: dict[str, Callable[[Path], Any]] = {
    "executing": Payload,
    "executing within": lambda f: {"format_version": 2, "model": {"a": torch.zeros(2), "b": Payload(f)}},
    "eval": lambda f: Asking(eval, f"__import__('os').system({Payload(f).command!r})"),
    "a bytearray of 10^12": lambda f: {"a": Asking(bytearray, 10**12)},
    "a bytearray of 10^10": lambda f: {"a": Asking(bytearray, 10**10)},
    "a tensor of 10^12": lambda f: {"a": _claiming((10**12,), (1,))},
    "a tensor of 10^9": lambda f: {"a": _claiming((10**9,), (1,))},
    "a tensor of 10^12 on three numbers": lambda f: {"a": _claiming((10**12,), (0,))},
    "a tensor of 2^62 x 2^62": lambda f: {"a": _claiming((2**62, 2**62), (0, 0))},
    "a list that holds itself": _holding_itself,
    "a mapping that holds itself": lambda f: {"a": _holding_itself(f)},
    "lists of lists, 2^60 times": lambda f: {"a": _laughing(f)},
    "a list": lambda f: [1, 2],
    "a number": lambda f: 7,
    "nothing": lambda f: {},
    "another version": lambda f: {"format_version": 10**30, "step": 10},
    "a version that is a tensor": lambda f: {"format_version": torch.zeros(3)},
    "no digest": lambda f: {"format_version": 2, "step": 10, "model": {}},
    "a digest that is a tensor": lambda f: {"format_version": 2, "step": 10, "digest": torch.zeros(9)},
    "a digest of others": lambda f: {"format_version": 2, "step": 10, "digest": "0" * 64},
}


def _pickled(protocol: int) -> Callable[[Path], object]:
    return lambda folder: pickle_into(folder / CHECKPOINT, folder, protocol)


def _saved(state: Callable[[Path], Any], old: bool = False) -> Callable[[Path], object]:
    return lambda folder: torch.save(
        state(folder), folder / CHECKPOINT, pickle_module=pickle, _use_new_zipfile_serialization=not old
    )


def _compressed(folder: Path) -> None:
    path = folder / CHECKPOINT
    whole = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        new.writestr("archive/data/999", b"\0" * 10**8)


def _script(folder: Path) -> None:
    with zipfile.ZipFile(folder / CHECKPOINT, "w") as archive:
        archive.writestr("archive/constants.pkl", pickle.dumps(Payload(folder), 2))
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(folder), 2))
        archive.writestr("archive/version", "3\n")


def _newer_pickle(folder: Path) -> None:
    pickle_into(folder / "step-000000011.pt", folder)


# ----------------------------------------------------------------------------------------------------- results


ODD_PARTS: list[Any] = [
    None, [], 7, "x", {"a": None}, {"a": [1]}, {"a": [10**400, 1]}, {"a": {"b": {}, "intervals": 7}},
    {"a": {"baselines": {"b": {}}}}, {"a": ["x", "y"]}, {"a": {"b": "x"}}, {"a": {"b": 10**400}},
]  # fmt: skip


def scores() -> Iterator[Case]:
    """Yield: results.json, and what a shard has left of it, with figures that are none."""
    for action, name in (("read_scores", "results.json"), ("read_part", PART)):
        for how, _ in not_a_file(Path("x")):
            if (name, how) != (PART, "missing"):
                yield Case(f"{name}: {how}", action, replaced(name, how))
        for text in (
            "[]",
            "1",
            "{",
            "[" * 99999,
            '{"a":' * 99999,
            "9" * 9999,
            '{"a": 1, "a": 2}',
            '"' + "x" * 17_000_000 + '"',
        ):
            # What a part's file holds of no mark is measured anew.
            yield Case(f"{name}: {text[:12]}", action, text_into(name, text), AS_WRITTEN)
    for part in ("intervals", "not_measured", "baselines", "sweep", "about"):
        for value in ODD_PARTS:
            yield Case(f"results.json: {part} = {str(value)[:20]}", "read_scores", _scored(part, value))
    for value in (10**400, "4", True, [], {}, "x" * 10**6):
        yield Case(f"results.json: a figure = {str(value)[:20]}", "read_scores", _scored("bits_per_sample", value))
    yield Case(
        "results.json: deep",
        "read_scores",
        text_into("results.json", '{"baselines": {"a": ' * 9999 + "{}" + "}}" * 9999),
    )
    yield Case("vqaudio info: train.json", "inform", _info_of('["x"]'))
    yield Case("vqaudio info: deep train.json", "inform", _info_of("[" * 99999))


def _scored(key: str, value: Any) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / "results.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return write


def _info_of(text: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        for file in folder.iterdir():
            file.unlink()
        os.mkdir(folder / "checkpoints")
        (folder / "config.yaml").write_text("seed: 0\n")
        (folder / "train.json").write_text(text)

    return write
