"""Jobs that must not be at work together are not, and none that has died is waited for."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys

import pytest

from vqaudio.errors import VQAudioError
from vqaudio.units.locks import at_work
from vqaudio.units.sharding import Shard

FIRST, SECOND = Shard(index=1, count=2), Shard(index=2, count=2)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_shards_are_at_work_together(tmp_path):
    with at_work(tmp_path, FIRST), at_work(tmp_path, SECOND), at_work(tmp_path, Shard(index=1, count=3)):
        assert {"shards/1-of-2", "shards/2-of-2", "shards/1-of-3"} < set(names(tmp_path))


@pytest.mark.parametrize(
    ("present", "comes", "words"),
    [
        (FIRST, FIRST, r"shards/1-of-2: another job is at work on it"),
        (FIRST, None, r"other jobs are at work there"),
        (None, None, r"other jobs are at work there"),
        (None, FIRST, r"a job without --shard is at work there"),
    ],
)
def test_what_must_not_be_at_work_together_is_refused_and_then_let_in(tmp_path, present, comes, words):
    with at_work(tmp_path, present):
        for _ in range(2):  # the first refusal changes nothing
            with pytest.raises(VQAudioError, match=words), at_work(tmp_path, comes):
                pass
    with at_work(tmp_path, comes):
        pass


def test_one_job_leaves_no_trace(tmp_path):
    with pytest.raises(KeyboardInterrupt), at_work(tmp_path / "out", None):
        raise KeyboardInterrupt
    assert names(tmp_path) == ["out"]


def test_a_killed_job_holds_nothing(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from vqaudio.units.locks import at_work\n"
        "with at_work(Path(sys.argv[1]), None): print('there', flush=True); time.sleep(60)"
    )
    job = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert job.stdout.readline() == b"there\n"
    with pytest.raises(VQAudioError), at_work(tmp_path, FIRST):
        pass
    job.send_signal(signal.SIGKILL)
    job.communicate()
    with at_work(tmp_path, FIRST):
        pass


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    """Between opening the file and locking it, the job that held it ends and removes it."""
    flock, before = fcntl.flock, []

    def ends_just_before(file, kind):
        if not before:
            before.append(os.unlink(tmp_path / ".shards.lock"))
        flock(file, kind)

    monkeypatch.setattr(fcntl, "flock", ends_just_before)
    with at_work(tmp_path, None), pytest.raises(VQAudioError), at_work(tmp_path, None):
        pass


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, caplog):
    def none(file, kind):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with caplog.at_level(logging.WARNING), at_work(tmp_path, None):
        assert "No locks available: take care that no two jobs do the same" in caplog.text


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    refused = pytest.raises(VQAudioError, match=r"cannot write into .*/file: it is a file, expected a folder")
    with refused, at_work(tmp_path / "file", None):
        pass
