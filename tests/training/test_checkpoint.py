"""Checkpoints: newest valid one, whole or not at all, nothing executed."""

import errno
import io
import os
import pickle

import numpy as np
import pytest
import torch

from vqaudio.errors import TrainingError, VQAudioError
from vqaudio.training.checkpoint import FORMAT_VERSION, Damaged, load_checkpoint, load_newest, save_checkpoint
from vqaudio.training.checkpoint_names import checkpoint_paths
from vqaudio.training.digest import digest


def test_the_newest_comes_back_and_old_ones_go(tmp_path):
    for step in (1, 2, 10):
        save_checkpoint(tmp_path, step, {"w": torch.full((3,), float(step))}, keep=2)
    assert [p.name for p in checkpoint_paths(tmp_path)] == ["step-000000010.pt", "step-000000002.pt"]
    path, state = load_newest(tmp_path)
    assert path.name == "step-000000010.pt" and state["step"] == 10 and state["w"].tolist() == [10, 10, 10]


def test_an_empty_folder_has_none(tmp_path):
    assert load_newest(tmp_path) is None
    assert load_newest(tmp_path / "absent") is None


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\0" * len(b)])
def test_a_damaged_one_is_passed_over(tmp_path, damage, caplog):
    save_checkpoint(tmp_path, 1, {"w": torch.ones(3)}, keep=5)
    newest = save_checkpoint(tmp_path, 2, {"w": torch.ones(3)}, keep=5)
    newest.write_bytes(damage(newest.read_bytes()))
    assert load_newest(tmp_path)[1]["step"] == 1
    assert "step-000000002.pt" in caplog.text


def test_all_damaged_is_an_error(tmp_path):
    save_checkpoint(tmp_path, 1, {}, keep=5).write_bytes(b"x")
    with pytest.raises(TrainingError, match="none of the 1 checkpoints"):
        load_newest(tmp_path)


def test_a_checkpoint_that_would_execute_something_is_not_loaded(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"format_version": 1, "step": 3, "x": Evil()}, tmp_path / "step-000000003.pt")
    (tmp_path / "step-000000004.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(TrainingError, match="none of the 2"):
        load_newest(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_another_format_version_is_refused(tmp_path):
    torch.save({"format_version": 99}, tmp_path / "step-000000001.pt")
    with pytest.raises(TrainingError, match="format version 99"):
        load_newest(tmp_path)


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, {"w": torch.ones(3)}, keep=1)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VQAudioError, match=r"step-000000002\.pt.*No space left"):
        save_checkpoint(tmp_path, 2, {"w": torch.ones(3)}, keep=1)
    assert load_newest(tmp_path)[1]["step"] == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_no_flipped_bit_is_resumed_from(tmp_path):
    """torch.load itself takes a flipped bit of a tensor for another value."""
    state = {"w": torch.arange(1000.0), "plain": {"step": 7, "names": ["a", "b"], "rate": 0.1}}
    path = save_checkpoint(tmp_path, 1, state, keep=1)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    noticed = 0
    for place in random.integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            found = load_checkpoint(path)
        except Damaged:
            noticed += 1
        else:  # a bit between the records, which stands for nothing
            assert digest(found) == digest({"format_version": FORMAT_VERSION, "step": 1, **state})
    assert noticed > 200


def test_without_the_digest_a_flipped_value_would_be_taken(tmp_path):
    """What the digest is for."""
    path = save_checkpoint(tmp_path, 1, {"w": torch.full((100,), 1.5)}, keep=1)
    damaged = path.read_bytes().replace(torch.tensor(1.5).numpy().tobytes(), torch.tensor(2.5).numpy().tobytes(), 1)
    path.write_bytes(damaged)
    assert 2.5 in torch.load(path, weights_only=True)["w"]
    with pytest.raises(Damaged, match="the digest differs"):
        load_checkpoint(path)


def test_a_digest_tells_types_shapes_orders_and_signs_apart():
    states = [
        {"a": torch.zeros(2)}, {"a": torch.zeros(2, 1)}, {"a": torch.zeros(2, dtype=torch.int32)},
        {"b": torch.zeros(2)}, {"a": -torch.zeros(2)}, {"a": [0.0, 0.0]}, {"a": (0.0, 0.0)}, {"a": [[0.0], 0.0]},
        {"a": None}, {"a": "None"},
        {"a": 1}, {"a": 1.0}, {"a": True}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, [], {}, [[]],
    ]  # fmt: skip
    assert len({digest(state) for state in states}) == len(states)
    assert digest(torch.arange(6).view(2, 3).t()) == digest(torch.arange(6).view(2, 3).t().contiguous())
    nan = torch.tensor([torch.nan]).bfloat16()
    assert digest(nan) == digest(nan.clone())


def test_a_later_one_that_is_damaged_does_not_push_out_the_one_just_written(tmp_path):
    save_checkpoint(tmp_path, 5, {"w": torch.ones(1)}, keep=1)
    (tmp_path / "step-000000010.pt").write_bytes(b"damaged")
    save_checkpoint(tmp_path, 7, {"w": torch.ones(1)}, keep=1)
    assert load_newest(tmp_path)[1]["step"] == 7


def test_a_full_disk_says_so_and_not_what_torch_made_of_it(tmp_path, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdopen", lambda descriptor, mode: Full(descriptor, mode))
    with pytest.raises(VQAudioError, match=r"cannot write .*step-000000001\.pt: No space left on device"):
        save_checkpoint(tmp_path, 1, {"w": torch.ones(3)}, keep=1)
    assert not list(tmp_path.iterdir())
