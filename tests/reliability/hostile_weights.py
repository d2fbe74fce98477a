"""Cases of model.safetensors: other tensors, lying headers, and formats that execute."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.reliability.hostile_case import SAME, Case, Payload


def weights() -> Iterator[Case]:
    """Yield: model.safetensors with other tensors, lying headers, and formats that execute."""
    for name, change in TENSORS.items():
        yield Case(f"tensors: {name}", "read_vqvae", _retensored(change))
    for name, length in {
        "2^63": 2**63, "2^64 - 1": 2**64 - 1, "2^40": 2**40, "0": 0, "one more": None, "100 MB": 10**8,
    }.items():  # fmt: skip
        yield Case(f"header of {name} bytes", "read_vqvae", _with_length(length))
    yield Case("header of 100 MB that is there", "read_vqvae", _huge_header)
    for name, change in HEADERS.items():
        yield Case(f"header: {name}", "read_vqvae", _reheaded(change))
    for name, text in {
        "no JSON": "{", "a list": "[]", "deep": "[" * 99999, "a key twice": '{"a": {}, "a": {}}', "blank": " " * 64,
        "a number": "9" * 5000, "empty": "{}", "not UTF-8": "\udcff",
    }.items():  # fmt: skip
        yield Case(f"header: {name}", "read_vqvae", _with_header(text))
    yield Case(
        "torch.save in its place", "read_vqvae", lambda f: torch.save({"a": Payload(f)}, f / "model.safetensors")
    )
    yield Case("a zip bomb in its place", "read_vqvae", lambda f: zip_bomb(f / "model.safetensors"))
    yield Case("the prior's in its place", "read_vqvae", _of_prior)
    yield Case("vqaudio info: header of 2^63 bytes", "inform", _with_length(2**63))
    for name in ("shape product overflows", "offsets outside", "dtype F64"):
        yield Case(f"listening page, header: {name}", "read_experiment", _reheaded(HEADERS[name], "model"), SAME)


TENSORS: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "one missing": lambda t: t.pop("encoder.output.bias"),
    "one more": lambda t: t.update(extra=torch.zeros(3)),
    "one renamed": lambda t: t.update(x=t.pop("encoder.output.bias")),
    "none": lambda t: t.clear(),
    "a name of 100,000 letters": lambda t: t.update({"n" * 100_000: torch.zeros(1)}),
    "a name with control characters": lambda t: t.update({"\x1b[2J\n": torch.zeros(1)}),
    "transposed": lambda t: t.update({"encoder.output.weight": t["encoder.output.weight"].t().contiguous()}),
    "flat": lambda t: t.update({"encoder.output.weight": t["encoder.output.weight"].flatten()}),
    "a scalar": lambda t: t.update({"quantizer.codebook": torch.zeros(())}),
    "empty": lambda t: t.update({"quantizer.codebook": torch.zeros(0, 4)}),
    "another codebook size": lambda t: t.update({"quantizer.codebook": torch.zeros(17, 4)}),
    **{
        f"of type {dtype}": lambda t, dtype=dtype: t.update({"quantizer.codebook": torch.ones(16, 4).to(dtype)})
        for dtype in (torch.float64, torch.float16, torch.int32, torch.int64, torch.uint8, torch.bool)
    },
    "initialised as float": lambda t: t.update({"quantizer.initialised": torch.tensor(1.0)}),
    "NaN": lambda t: t["encoder.output.bias"].fill_(float("nan")),
    "one NaN": lambda t: t["quantizer.codebook"][3, 2].fill_(float("nan")),
    "infinity": lambda t: t["decoder.project.weight"].fill_(float("inf")),
    "minus infinity in the statistics": lambda t: t["quantizer.sums"].fill_(-float("inf")),
}
Header = dict[str, Any]
CODEBOOK = "quantizer.codebook"
BLOCKS = ("decoder.blocks.0.narrow.weight", "decoder.blocks.1.narrow.weight")
HEADERS: dict[str, Callable[[Header], object]] = {
    "shape product overflows": lambda h: h[CODEBOOK].update(shape=[2**62, 2**62]),
    "shape product wraps to the right size": lambda h: h[CODEBOOK].update(shape=[2**32, 2**32, 16, 4]),
    "shape of many ones": lambda h: h[CODEBOOK].update(shape=[1] * 1000 + [16, 4]),
    "shape negative": lambda h: h[CODEBOOK].update(shape=[-16, -4]),
    "shape of floats": lambda h: h[CODEBOOK].update(shape=[16.0, 4.0]),
    "shape of text": lambda h: h[CODEBOOK].update(shape="16"),
    "shape of bools": lambda h: h[CODEBOOK].update(shape=[True, 64]),
    "shape of 10^100": lambda h: h[CODEBOOK].update(shape=[10**100]),
    "offsets outside": lambda h: h[CODEBOOK].update(data_offsets=[10**12, 10**12 + 256]),
    "offsets negative": lambda h: h[CODEBOOK].update(data_offsets=[-256, 0]),
    "offsets reversed": lambda h: h[CODEBOOK]["data_offsets"].reverse(),
    "offsets one": lambda h: h[CODEBOOK].update(data_offsets=[0]),
    "offsets of floats": lambda h: h[CODEBOOK].update(data_offsets=[0.0, 256.0]),
    "offsets overlap": lambda h: h[CODEBOOK].update(data_offsets=h["quantizer.sums"]["data_offsets"]),
    "offsets shifted": lambda h: h[CODEBOOK].update(data_offsets=[n + 1 for n in h[CODEBOOK]["data_offsets"]]),
    "dtype F64": lambda h: h[CODEBOOK].update(dtype="F64"),
    "dtype I32": lambda h: h[CODEBOOK].update(dtype="I32"),
    "dtype unknown": lambda h: h[CODEBOOK].update(dtype="Q7"),
    "dtype a list": lambda h: h[CODEBOOK].update(dtype=["F32"]),
    "an entry that is a list": lambda h: h.update({CODEBOOK: []}),
    "an entry that is nothing": lambda h: h.update({CODEBOOK: None}),
    "an entry without shape": lambda h: h[CODEBOOK].pop("shape"),
    "an entry with more": lambda h: h[CODEBOOK].update(code="import os"),
    "metadata a list": lambda h: h.update(__metadata__=[]),
    "checksum of others": lambda h: h.update(__metadata__={"sha256": "0" * 64}),
    "checksum a list": lambda h: h.update(__metadata__={"sha256": [1]}),
    "two swapped": lambda h: h.update({BLOCKS[0]: h[BLOCKS[1]], BLOCKS[1]: h[BLOCKS[0]]}),
}


def split_weights(path: Path) -> tuple[Header, bytes]:
    """Return header and data of a file of weights."""
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    return json.loads(whole[8 : 8 + length]), whole[8 + length :]


def join_weights(path: Path, header: str | Header, data: bytes) -> None:
    """Write a file of weights with any header."""
    text = header if isinstance(header, str) else json.dumps(header)
    head = text.encode("utf-8", "surrogateescape")
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)


def _retensored(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], object]:
    def write(folder: Path) -> None:  # without the checksum: nothing but the tensors themselves can tell
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return write


def _reheaded(change: Callable[[Header], object], inside: str = "") -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / inside / "model.safetensors"
        header, data = split_weights(path)
        change(header)
        join_weights(path, header, data)

    return write


def _with_header(text: str) -> Callable[[Path], object]:
    return lambda f: join_weights(f / "model.safetensors", text, split_weights(f / "model.safetensors")[1])


def _with_length(length: int | None) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / "model.safetensors"
        whole = path.read_bytes()
        claimed = int.from_bytes(whole[:8], "little") + 1 if length is None else length
        path.write_bytes(claimed.to_bytes(8, "little") + whole[8:])

    return write


def _huge_header(folder: Path) -> None:
    head = b"{" + b" " * (10**8 - 2) + b"}"
    (folder / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)


def zip_bomb(path: Path) -> None:
    """Write a zip archive of 100 kB that unpacks to 100 MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**8)


def _of_prior(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(
        (folder.parents[1] / "originals" / "prior" / "model.safetensors").read_bytes()
    )
