"""Room on the disk."""

import pytest

from vqaudio.audio import space
from vqaudio.audio.space import MARGIN, free_bytes, require_space
from vqaudio.errors import VQAudioError


def test_what_does_not_fit_is_refused_before_it_is_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(space, "free_bytes", lambda path: MARGIN + 1000)
    require_space(tmp_path, 1000, "the units")
    with pytest.raises(VQAudioError, match=r"exp: the units would take 5 GB, 67\.1 MB are free on that disk"):
        require_space(tmp_path / "exp", 5 * 10**9, "the units")


def test_a_folder_that_is_yet_to_be_made_is_on_the_disk_of_its_parents(tmp_path):
    assert free_bytes(tmp_path / "a" / "b") is not None


def test_a_disk_that_says_nothing_forbids_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(space, "free_bytes", lambda path: None)
    require_space(tmp_path, 10**18, "everything")


def test_little_may_be_written_on_a_small_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(space, "free_bytes", lambda path: 100_000)
    require_space(tmp_path, 50_000, "the units")
    with pytest.raises(VQAudioError, match=r"would take 60 kB, 100 kB are free on that disk, and 60 kB of it are left"):
        require_space(tmp_path, 60_000, "the units")
    with pytest.raises(VQAudioError, match=r"would take 200 kB, 100 kB are free on that disk$"):
        require_space(tmp_path, 200_000, "the units")
