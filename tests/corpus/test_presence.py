"""Which audio files are there is said as `os.path.isfile` would say it of each, however the folders lie."""

from __future__ import annotations

import os

import pytest

from vqaudio.corpus import presence
from vqaudio.corpus.presence import is_absolute, resolve, rows_without_file
from vqaudio.corpus.strings import Strings


@pytest.fixture
def audio(tmp_path):
    """Two folders with 40 files each, some of them links, and a folder that looks like a file."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for i in range(40):
            (tmp_path / folder / f"{i:02d}.wav").touch()
    (tmp_path / "a/40.wav").symlink_to("00.wav")
    (tmp_path / "a/41.wav").symlink_to("nowhere.wav")
    (tmp_path / "a/42.wav").mkdir()
    return tmp_path


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """What `isfile` was asked for."""
    paths, isfile = [], os.path.isfile
    monkeypatch.setattr(presence.os.path, "isfile", lambda path: paths.append(str(path)) or isfile(path))
    return paths


@pytest.mark.parametrize("listed", [1, 16, 10**6])  # always, for folders with many files, never
def test_it_says_what_asking_for_each_would(audio, monkeypatch, listed):
    monkeypatch.setattr(presence, "_LISTED", listed)
    names = [f"a/{i:02d}.wav" for i in range(45)] + [f"b/{i:02d}.wav" for i in range(38, 45)]
    entries = [
        *names,
        *(f"{audio}/{name}" for name in names),
        "b/../a/03.wav", "./b//05.wav", "a/", "a", "c/01.wav", "/", "", "no.wav", "cat a/99.wav |", *["a/01.wav"] * 3,
    ]  # fmt: skip
    expected = [row for row, entry in enumerate(entries) if not entry.endswith("|") and not (audio / entry).is_file()]
    assert rows_without_file(Strings.of(entries), audio) == expected
    assert len(expected) > 20


def test_a_folder_is_listed_once_and_its_files_not_asked_for(audio, asked):
    entries = Strings.of(f"{folder}/{i:02d}.wav" for i in range(40) for folder in "ab")
    assert rows_without_file(entries, audio) == [] and asked == []
    assert rows_without_file(Strings.of([f"a/{i:02d}.wav" for i in range(44)]), audio) == [41, 42, 43]
    assert [os.path.basename(path) for path in asked] == ["41.wav", "42.wav", "43.wav"]


def test_of_a_large_folder_no_more_is_listed_than_pays(audio, asked, monkeypatch):
    monkeypatch.setattr(presence, "_SURPLUS", 1)
    assert rows_without_file(Strings.of(f"a/{i:02d}.wav" for i in range(20)), audio) == []
    assert len(asked) <= 20


def test_a_folder_that_cannot_be_listed_is_asked_file_by_file(audio, asked, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(presence.os, "scandir", refuse)
    assert rows_without_file(Strings.of(f"a/{i:02d}.wav" for i in range(42)), audio) == [41]
    assert len(asked) == 42


@pytest.mark.parametrize(
    "path", ["/a/b.wav", "/a/b.c/d", "/a/../b", "/a/./b", "/a//b", "/a/b/", "/.a/b", "a/b", "/", ""]
)
def test_a_path_that_is_left_alone_is_one_that_abspath_leaves(tmp_path, path):
    if is_absolute(path.encode()):
        assert resolve(path, tmp_path) == path
    assert not is_absolute(f"{path} |".encode())
