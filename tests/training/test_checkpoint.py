"""Checkpoints: newest valid one, whole or not at all, nothing executed."""

import os
import pickle

import pytest
import torch

from vqaudio.errors import TrainingError, VQAudioError
from vqaudio.training.checkpoint import checkpoint_paths, load_newest, save_checkpoint


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
