"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from vqaudio.audio.atomic import remove_unfinished, write_text_whole, write_whole
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


def test_permissions_are_right_when_threads_write_at_once(tmp_path):
    """The umask is the whole process's: who sets it to read it opens the others' files to everybody."""
    mask = os.umask(0o022)
    try:
        work = [threading.Thread(target=write_text_whole, args=(tmp_path / str(n), "")) for n in range(64)]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}
    finally:
        assert os.umask(mask) == 0o022


@pytest.mark.parametrize("name", ["a" * 255, "ü" * 127, os.fsdecode(b"\xff" * 255)])
def test_names_may_be_as_long_as_the_disk_allows(tmp_path, name):
    write_text_whole(tmp_path / name, "text")
    assert os.listdir(tmp_path) == [name]


def test_a_temporary_file_tells_what_it_is_of(tmp_path):
    with write_whole(tmp_path / "weights.pt"):
        assert [name.startswith(".unfinished-weights.pt-") for name in os.listdir(tmp_path)] == [True]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    for name in (".unfinished-a-0123", "unfinished", "b"):
        (tmp_path / name).write_text("")
    (tmp_path / ".unfinished-folder").mkdir()
    remove_unfinished(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".unfinished-folder", "b", "unfinished"]
    remove_unfinished(tmp_path / "absent")


def test_a_temporary_file_that_cannot_be_removed_does_not_hide_the_reason(tmp_path, monkeypatch):
    def fails(number):
        def call(*_, **__):
            raise OSError(number, os.strerror(number))

        return call

    monkeypatch.setattr(os, "fsync", fails(errno.ENOSPC))
    monkeypatch.setattr(os, "unlink", fails(errno.EIO))
    with pytest.raises(VQAudioError, match=r"cannot write .*/a: No space left on device"):
        write_text_whole(tmp_path / "a", "text")


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
