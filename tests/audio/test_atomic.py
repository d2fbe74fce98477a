"""Files appear whole or not at all."""

from __future__ import annotations

import os

import pytest

from vqaudio.audio.atomic import write_text_whole, write_whole
from vqaudio.errors import VQAudioError


def test_nothing_is_seen_before_the_end(tmp_path):
    with write_whole(tmp_path / "a") as file:
        file.write(b"half")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"half"
    assert os.listdir(tmp_path) == ["a"]


def test_an_exception_leaves_the_old_file(tmp_path):
    write_text_whole(tmp_path / "a", "old")
    with pytest.raises(RuntimeError, match="midway"), write_whole(tmp_path / "a") as file:
        file.write(b"new")
        raise RuntimeError("midway")
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_text_is_utf8(tmp_path):
    write_text_whole(tmp_path / "a", "früh\n")
    assert (tmp_path / "a").read_bytes() == b"fr\xc3\xbch\n"


def test_permissions_follow_the_umask(tmp_path):
    mask = os.umask(0o027)
    try:
        write_text_whole(tmp_path / "a", "")
    finally:
        os.umask(mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_directory_in_the_way_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(VQAudioError, match=r"cannot write .*/a: Is a directory"):
        write_text_whole(tmp_path / "a", "text")
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(VQAudioError, match="Permission denied"):
        write_text_whole(tmp_path / "a", "text")
