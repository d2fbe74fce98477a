"""Weights in safetensors: read as the format's own library reads them, and refused where the header lies."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from vqaudio.errors import ModelError
from vqaudio.models.weights import pack_weights, read_floats, read_shapes, read_weights

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.arange(4), "c": torch.tensor(True), "d": torch.zeros(0, 3)}


@pytest.fixture
def path(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(pack_weights(TENSORS))
    return tmp_path / "w.safetensors"


def expected(tensors) -> dict:
    return {name: tensor.to("meta") for name, tensor in tensors.items()}


def same(found, tensors) -> bool:
    return found.keys() == tensors.keys() and all(
        torch.equal(tensor, tensors[name]) and tensor.dtype == tensors[name].dtype for name, tensor in found.items()
    )


def refused(path, tensors=TENSORS) -> str:
    with pytest.raises(ModelError) as error:
        read_weights(path, expected(tensors))
    assert str(error.value).startswith(str(path))
    return str(error.value)


def reheaded(path, change) -> None:
    """Change the header of a file: an oracle of the format, written plainly."""
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:end])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + whole[end:])


def test_what_is_written_is_read_here_and_by_the_formats_library(path):
    assert same(read_weights(path, expected(TENSORS)), TENSORS)
    assert same(load_file(path), TENSORS)
    assert read_shapes(path) == {name: tuple(tensor.shape) for name, tensor in TENSORS.items()}


def test_halves_are_read_as_the_nearest_bfloat16(tmp_path):
    tensors = {
        "a": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
        "b": torch.arange(4),
        "c": torch.tensor([math.pi, 1e-39, -3e38]),
    }
    path = tmp_path / "w.safetensors"
    path.write_bytes(pack_weights(tensors, halved=["a", "b"]))
    found = read_weights(path, expected(tensors))
    assert torch.equal(found["a"], tensors["a"].bfloat16().float()) and found["a"].dtype == torch.float32
    assert torch.equal(found["b"], tensors["b"]) and torch.equal(found["c"], tensors["c"])  # no floats; not asked for
    np.testing.assert_array_equal(read_floats(path, "a"), found["a"].double().numpy())
    assert load_file(path)["a"].dtype == torch.bfloat16
    assert read_shapes(path)["a"] == (3, 4)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "not those of its checksum" in refused(path, tensors)


def test_halves_stand_for_floats_alone(path):
    save_file({"a": torch.ones(2, dtype=torch.bfloat16)}, path)
    assert "a is of type BF16, expected I64" in refused(path, {"a": torch.ones(2, dtype=torch.int64)})
    save_file({"a": torch.full((2,), math.inf, dtype=torch.bfloat16)}, path)
    assert "not finite" in refused(path, {"a": torch.ones(2)})


@given(shapes=st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), min_size=1, max_size=4))
def test_what_the_formats_library_writes_is_read(shapes, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "theirs.safetensors"
    tensors = {f"t{n}": torch.randn(shape) for n, shape in enumerate(shapes)}
    save_file(tensors, path)
    assert same(read_weights(path, expected(tensors)), tensors)


def test_tensors_are_their_own_and_can_be_changed(path):
    tensors = read_weights(path, expected(TENSORS))
    tensors["a"] += 1
    assert same(read_weights(path, expected(TENSORS)), TENSORS)


def test_one_tensor_alone(path):
    np.testing.assert_array_equal(read_floats(path, "a"), TENSORS["a"].double().numpy())
    assert read_floats(path, "z") is None
    with pytest.raises(ModelError, match="b is of type I64, expected F32"):
        read_floats(path, "b")


def test_any_bit_of_the_data_is_guarded_by_the_checksum(path):
    whole = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(whole[:8], "little")
    for byte in range(start, len(whole)):
        for bit in (0, 7):
            damaged = whole.copy()
            damaged[byte] ^= 1 << bit
            path.write_bytes(damaged)
            if damaged[-1] in (0, 1) or byte < len(whole) - 1:  # any byte but 0 is a true one
                message = refused(path)
                assert "checksum" in message or "not finite" in message


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_a_file_that_is_cut_short(path, cut):
    path.write_bytes(path.read_bytes()[:-cut] if cut else path.read_bytes() + b"\0")
    assert "cannot be read as weights" in refused(path)


@pytest.mark.parametrize(("change", "words"), [
    (lambda h: h["a"].update(shape=[2**62, 2**62]), f"a has shape ({2**62}, {2**62}), expected (2, 3)"),
    (lambda h: h["a"].update(shape=[2, -3]), "are no sizes"),
    (lambda h: h["a"].update(shape=[2, 3.0]), "are no sizes"),
    (lambda h: h["a"].update(shape=[True, 6]), "are no sizes"),
    (lambda h: h["a"].update(data_offsets=[0, 10**12]), "expected to begin at"),
    (lambda h: h["a"].update(data_offsets=h["b"]["data_offsets"]), "expected to begin at"),
    (lambda h: h["a"].pop("shape"), "expected dtype, shape, offsets"),
    (lambda h: h.update(a=[]), "expected dtype, shape, offsets"),
    (lambda h: h["a"].update(dtype="F64"), "a is of type F64, expected F32"),
    (lambda h: h["a"].update(dtype=["F32"]), "expected dtype, shape, offsets"),
    (lambda h: h.pop("a"), "expected to begin at"),
])  # fmt: skip
def test_a_header_that_lies(path, change, words):
    reheaded(path, change)
    assert words in refused(path)


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 10**8])
def test_a_header_longer_than_the_file_is_not_asked_for(path, length):
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    assert f"its header claims {length:,} bytes" in refused(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite(tmp_path, value):
    tensors = {"a": torch.tensor([1.0, value])}
    save_file(tensors, tmp_path / "w.safetensors")
    assert "a holds numbers that are not finite" in refused(tmp_path / "w.safetensors", tensors)
