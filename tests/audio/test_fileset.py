"""A set of files appears whole or not at all, whatever fails on the way."""

from __future__ import annotations

import errno
import os

import pytest

from vqaudio.audio.fileset import replace_files
from vqaudio.errors import VQAudioError


def contents_of(folder) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path):
    replace_files(tmp_path, {"data.txt": ["old\n"], "mark.json": ["old\n"]})
    return tmp_path


def test_writes_every_file_and_deletes_the_stale(folder):
    (folder / "extra.txt").write_text("stale")
    replace_files(folder, {"data.txt": ["a\n", "é\n"], "mark.json": ["b\n"]}, stale=["extra.txt", "absent"])
    assert contents_of(folder) == {"data.txt": "a\né\n", "mark.json": "b\n"}


def test_full_disk_leaves_all_that_was_there(folder, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VQAudioError, match=r"cannot write .*data\.txt: No space left on device"):
        replace_files(folder, {"data.txt": ["new\n"], "mark.json": ["new\n"]})
    assert contents_of(folder) == {"data.txt": "old\n", "mark.json": "old\n"}


def test_failure_while_lines_are_made_leaves_all_that_was_there(folder):
    def lines():
        yield "new\n"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        replace_files(folder, {"data.txt": lines(), "mark.json": ["new\n"]})
    assert contents_of(folder) == {"data.txt": "old\n", "mark.json": "old\n"}


def test_bytes_are_written_as_they_are(folder):
    replace_files(folder, {"data.txt": [b"a \xc3\xa9\n"], "mark.json": ["new\n"]})
    assert contents_of(folder) == {"data.txt": "a é\n", "mark.json": "new\n"}


def fails_at(monkeypatch, name: str) -> None:
    rename = os.replace

    def replace(source, target):
        if str(target).endswith(name):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.parametrize("name", ["data.txt", "more.txt", "mark.json"])
def test_failure_between_the_renames_gives_all_names_back(folder, monkeypatch, name):
    (folder / "extra.txt").write_text("not yet stale\n")
    before = contents_of(folder)
    fails_at(monkeypatch, name)
    with pytest.raises(VQAudioError, match=f"cannot write .*{name}: Input/output error"):
        replace_files(
            folder, {"data.txt": ["new\n"], "more.txt": ["new\n"], "mark.json": ["new\n"]}, stale=["extra.txt"]
        )
    assert contents_of(folder) == before  # and no temporary file


def test_without_hard_links_such_a_failure_leaves_no_mark(folder, monkeypatch):
    def none(source, target):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", none)
    fails_at(monkeypatch, "mark.json")
    with pytest.raises(VQAudioError, match=r"mark\.json"):
        replace_files(folder, {"data.txt": ["new\n"], "mark.json": ["new\n"]})
    assert contents_of(folder) == {"data.txt": "new\n"}  # new data never stand beside an old mark


def test_read_only_folder_is_named(tmp_path, monkeypatch):
    def read_only(*_, **__):  # a folder's mode would not stop root, who runs the tests in containers
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(VQAudioError, match=f"cannot write {tmp_path}/data.txt: Read-only file system"):
        replace_files(tmp_path, {"data.txt": ["new\n"]})


def test_folder_below_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VQAudioError, match="cannot write"):
        replace_files(tmp_path / "file" / "folder", {"data.txt": ["new\n"]})


def test_files_are_readable_by_others(tmp_path):
    umask = os.umask(0o022)
    try:
        replace_files(tmp_path, {"data.txt": ["new\n"]})
    finally:
        os.umask(umask)
    assert (tmp_path / "data.txt").stat().st_mode & 0o777 == 0o644
