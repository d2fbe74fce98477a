"""A lock is held by living processes alone, and says by which."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import socket
import subprocess
import threading

import pytest

from vqaudio.audio import lock_file
from vqaudio.audio.lock_file import holder, locked
from vqaudio.errors import TrainingError, VQAudioError


def refuse(who: str) -> VQAudioError:
    return TrainingError(f"no: {who}")


def test_who_comes_second_is_told_who_and_since_when(tmp_path):
    note = rf"process {os.getpid()} on \S+, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d"
    with locked(tmp_path / "new/.lock", refuse):
        assert re.fullmatch(note, holder(tmp_path / "new/.lock"))
        with pytest.raises(TrainingError, match=f"^no: {note}$"), locked(tmp_path / "new/.lock", refuse):
            pass
    assert holder(tmp_path / "new/.lock") == ""  # the file is there, and holds nobody
    assert (tmp_path / "new/.lock").exists()


def test_the_shorter_note_of_a_later_holder_leaves_nothing_of_the_earlier(tmp_path):
    (tmp_path / ".lock").write_text("process 99999999 on a machine with a long name, since a long time ago\n" * 3)
    with locked(tmp_path / ".lock", refuse):
        assert (tmp_path / ".lock").read_text().count("process") == 1


def test_the_note_of_a_dead_process_is_not_taken_for_that_of_the_holder(tmp_path, monkeypatch):
    """A job was killed; the next one has the lock, and is about to leave its note when a third comes."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    path, leave = tmp_path / ".lock", lock_file._leave_note
    path.write_text(f"process {dead.pid} on {socket.gethostname()}, since 2026-01-01 00:00:00\n")
    monkeypatch.setattr(lock_file, "_leave_note", lambda file: threading.Timer(0.1, leave, [file]).start())
    second = locked(path, refuse)
    with locked(path, refuse), pytest.raises(TrainingError, match=f"process {os.getpid()} on"), second:
        pass


def test_shared_locks_exclude_only_those_who_want_to_be_alone(tmp_path):
    path = tmp_path / ".lock"
    alone = locked(path, refuse)
    refused = pytest.raises(TrainingError, match="process unknown")
    with locked(path, refuse, shared=True), locked(path, refuse, shared=True), refused, alone:
        pass
    with locked(path, refuse, remove=True):
        pass
    assert not path.exists()


def test_a_full_disk_holds_a_lock_without_a_note(tmp_path, monkeypatch):
    class Full:
        def truncate(self, size):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(lock_file, "_leave_note", lambda file, leave=lock_file._leave_note: leave(Full()))
    second = locked(tmp_path / ".lock", refuse)
    with locked(tmp_path / ".lock", refuse), pytest.raises(TrainingError, match="process unknown"), second:
        pass


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    """Between opening the file and locking it, the job that held it ends and removes it."""
    path, flock, before = tmp_path / ".lock", fcntl.flock, []

    def ends_just_before(file, kind):
        if not before:
            before.append(os.unlink(path))
        flock(file, kind)

    monkeypatch.setattr(fcntl, "flock", ends_just_before)
    with locked(path, refuse), pytest.raises(TrainingError), locked(path, refuse):
        pass


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, caplog):
    def none(file, kind):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with caplog.at_level(logging.WARNING), locked(tmp_path / ".lock", refuse):
        assert "No locks available: take care that no two jobs do the same" in caplog.text
