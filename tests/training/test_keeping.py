"""The newest checkpoints and the best one; a disk without room."""

import errno
import os

import pytest
import torch

from vqaudio.audio import space
from vqaudio.errors import VQAudioError
from vqaudio.training.best import read_best
from vqaudio.training.checkpoint_names import checkpoint_paths
from vqaudio.training.keeping import PATIENCE, Checkpoints, tensor_bytes

STATE = {"w": torch.ones(3)}


def save(kept, *steps, **options):
    for step in steps:
        kept.save(step, STATE, needed=False, **options)


def steps_of(folder):
    return [int(path.stem.removeprefix("step-")) for path in checkpoint_paths(folder)]


@pytest.fixture
def full(monkeypatch):
    """A function that fills the disk, or not."""
    state = {"full": False}
    original = os.fsync

    def fsync(file):
        if state["full"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(file)

    monkeypatch.setattr(os, "fsync", fsync)
    return lambda value: state.update(full=value)


def scored(kept, scores):
    for step, value in scores.items():
        save(kept, step)
        kept.take_score(step, "dev/bits", {"dev/bits": value, "dev/other": -step})


def test_the_best_is_kept_beside_the_newest_and_known_to_who_resumes(tmp_path):
    scored(Checkpoints(tmp_path, 2), {1: 5.0, 2: 3.0, 3: 4.0, 4: 4.0, 5: float("nan"), 6: 3.0})
    assert steps_of(tmp_path) == [6, 5, 2]
    again = Checkpoints(tmp_path, 2)
    assert again.load_newest()[1]["step"] == 6
    assert (again.best.step, again.best.value, again.best.score) == (2, 3.0, "dev/bits")
    scored(again, {7: 3.5, 8: 2.5, 9: 2.75, 10: 2.75})
    assert steps_of(tmp_path) == [10, 9, 8] and read_best(tmp_path).checkpoint == "step-000000008.pt"


def test_evaluated_once_more_the_best_is_still_the_best(tmp_path):
    kept = Checkpoints(tmp_path, 1)
    scored(kept, {1: 5.0, 2: 3.0})
    kept.take_score(2, "dev/bits", {"dev/bits": 3.0})
    assert kept.best.step == 2


def test_a_score_without_a_whole_checkpoint_is_none(tmp_path):
    kept = Checkpoints(tmp_path, 1)
    save(kept, 1)
    kept.take_score(2, "dev/bits", {"dev/bits": 3.0})
    kept.take_score(1, "dev/bits", {"dev/another": 3.0})
    assert kept.best is None and not (tmp_path / "best.json").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"step": "x"}', '{"step": 1, "score": "dev/bits", "value": 2, "step": 3}'])
def test_a_damaged_record_of_the_best_is_told_and_passed_over(tmp_path, text, caplog):
    scored(Checkpoints(tmp_path, 1), {1: 5.0})
    (tmp_path / "best.json").write_text(text)
    assert Checkpoints(tmp_path, 1).best is None
    assert "best.json cannot be read" in caplog.text


def test_a_best_beyond_what_can_be_resumed_is_sought_anew(tmp_path):
    kept = Checkpoints(tmp_path, 3)
    scored(kept, {1: 5.0, 2: 3.0})
    (tmp_path / "step-000000002.pt").write_bytes(b"damaged")
    kept = Checkpoints(tmp_path, 3)
    assert kept.load_newest()[1]["step"] == 1 and kept.best is None


def test_a_full_disk_is_borne_as_long_as_an_older_checkpoint_is_whole(tmp_path, full, caplog):
    kept = Checkpoints(tmp_path, 2)
    save(kept, 1)
    full(True)
    save(kept, *range(2, 1 + PATIENCE))
    assert caplog.text.count("the training goes on") == PATIENCE - 1
    assert "step-000000002.pt: No space left" in caplog.text and "The last whole checkpoint is" in caplog.text
    full(False)
    save(kept, 5)
    full(True)
    save(kept, *range(6, 5 + PATIENCE))  # the count begins anew
    with pytest.raises(VQAudioError, match=r"step-000000009\.pt: No space left.*last whole checkpoint is .*000000005"):
        save(kept, 9)
    assert steps_of(tmp_path) == [5, 1] and not list(tmp_path.glob(".unfinished-*"))


def test_a_full_disk_ends_what_has_no_checkpoint_or_needs_one(tmp_path, full):
    kept = Checkpoints(tmp_path, 2)
    full(True)
    with pytest.raises(VQAudioError, match="No space left"):
        save(kept, 1)
    full(False)
    save(kept, 2)
    full(True)
    with pytest.raises(VQAudioError, match="last whole checkpoint"):
        kept.save(3, STATE, needed=True)


def test_room_is_asked_for_before_a_checkpoint_is_begun(tmp_path, monkeypatch, caplog):
    kept = Checkpoints(tmp_path, 2)
    save(kept, 1)
    monkeypatch.setattr(space, "free_bytes", lambda path: 11)
    save(kept, 2)
    assert "a checkpoint would take 12 bytes, 11 bytes are free" in caplog.text
    assert steps_of(tmp_path) == [1]


def test_room_for_all_that_are_kept_is_asked_for_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(space, "free_bytes", lambda path: 10_000)  # half of it is left to others
    kept = Checkpoints(tmp_path, 2)
    kept.require_room(1000)  # two, the best, the last good one, and one in the making
    with pytest.raises(VQAudioError, match=r"5 checkpoints \(training.keep_checkpoints: 2\) would take 5"):
        kept.require_room(1001)
    save(kept, 1, 2)
    kept.require_room(1600)
    with pytest.raises(VQAudioError, match="3 checkpoints"):
        kept.require_room(1700)


def test_what_cannot_be_deleted_takes_room_and_no_more(tmp_path, monkeypatch, caplog):
    kept = Checkpoints(tmp_path, 1)
    save(kept, 1)

    def unlink(*args, **options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        save(kept, 2)
    assert kept.is_saved(2) and steps_of(tmp_path) == [2, 1]
    assert "cannot delete the old checkpoint" in caplog.text


def test_bytes_are_those_of_all_tensors():
    state = {"a": torch.zeros(2, 3), "b": [torch.zeros(4, dtype=torch.uint8), {"c": torch.zeros(())}], "d": "text"}
    assert tensor_bytes(state) == 24 + 4 + 4


def test_an_evaluation_that_is_done_is_known_as_done(tmp_path):
    kept = Checkpoints(tmp_path, 1)
    assert not kept.is_evaluated(3)
    scored(kept, {3: 5.0})
    kept.take_score(4, "dev/bits", {})  # no score as yet
    assert not kept.is_evaluated(3) and kept.is_evaluated(4)
    assert Checkpoints(tmp_path, 1).evaluated == {"step": 4, "score": "dev/bits", "value": None}
