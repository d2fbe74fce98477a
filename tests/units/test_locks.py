"""Jobs that must not be at work together are not, and none that has died is waited for."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack

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


ME = rf"process {os.getpid()} on {re.escape(socket.gethostname())}, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.mark.parametrize(
    ("present", "comes", "words"),
    [
        (FIRST, FIRST, rf"shards/1-of-2: another job is at work on it \({ME}\)"),
        (FIRST, None, rf"other jobs are at work there \(shard 1/2: {ME}\)"),
        (None, None, rf"other jobs are at work there \({ME}\)"),
        (None, FIRST, rf"a job without --shard is at work there \({ME}\)"),
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


def test_many_shards_are_named_by_their_first(tmp_path):
    shards = [Shard(index=i, count=9) for i in range(1, 8)]
    with ExitStack() as stack:
        for shard in shards:
            stack.enter_context(at_work(tmp_path, shard))
        with pytest.raises(VQAudioError, match=r"\(shard 1/9: .*; shard 2/9: .*; shard 3/9: .*; 4 more\)"):
            stack.enter_context(at_work(tmp_path, None))


def test_what_killed_jobs_left_under_temporary_names_is_removed(tmp_path):
    left = [tmp_path / ".unfinished-units.txt-1", tmp_path / "shards/1-of-2/.unfinished-a.wav-1"]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    with at_work(tmp_path, FIRST):
        assert [path.exists() for path in left] == [True, False]
    with at_work(tmp_path, None):
        assert not left[0].exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    refused = pytest.raises(VQAudioError, match=r"cannot write into .*/file: it is a file, expected a folder")
    with refused, at_work(tmp_path / "file", None):
        pass
