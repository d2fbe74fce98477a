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
