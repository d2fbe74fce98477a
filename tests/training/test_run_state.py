"""What has become of a training, seen from outside; with a process of its own where one must be there."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

import pytest

from vqaudio.audio.lock_file import locked
from vqaudio.training.checkpoint import load_checkpoint
from vqaudio.training.run_state import ago, far, patience, read_beat, run_state, whole_checkpoint

HOLD = """
import sys, time
from pathlib import Path
from vqaudio.audio.lock_file import locked
with locked(Path(sys.argv[1]), lambda who: RuntimeError(who)):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def process(tmp_path):
    """A process that holds the lock of `tmp_path`, as a training does."""
    child = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / ".lock"], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "held\n"
        yield child
    finally:
        child.kill()
        child.wait(10)
        child.stdout.close()


def beat(folder, phase="training", seconds_ago=0.0, process=None, **more):
    time = datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)
    content = {"time": time.isoformat(timespec="seconds"), "phase": phase, "step": 1200, "total_steps": 5000,
               "process": process or os.getpid(), "host": socket.gethostname(), **more}  # fmt: skip
    (folder / "heartbeat.json").write_text(json.dumps(content))


def test_a_run_and_what_becomes_of_it(tmp_path, process):
    def state():
        found = run_state(tmp_path)
        return found.kind, found.words

    note = f"process {process.pid} on {socket.gethostname()}, since 20"
    kind, words = state()
    assert kind == "running" and words.startswith(f"running: starting ({note}")
    beat(tmp_path, "stopped", process=4_000_000)  # of an earlier one
    assert state()[1].startswith("running: starting (")
    beat(tmp_path, seconds_ago=12, process=process.pid)
    assert re.match(rf"running: training, the last sign of life \d\d s ago \({note}", state()[1])
    beat(tmp_path, "evaluating", seconds_ago=1300, process=process.pid)
    assert state()[1].startswith("running: evaluating, for 22 min (")
    beat(tmp_path, seconds_ago=1300, process=process.pid)
    kind, words = state()
    assert kind == "stuck" and words.startswith("seems stuck: training, and no sign of life for 22 min (")
    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: state()[0] == "suspended")
    assert state()[1].endswith(f"; `kill -CONT {process.pid}` lets it go on")
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: state()[0] == "stuck")
    process.kill()
    process.wait(10)
    kind, words = state()
    assert kind == "died" and words == (
        f"died while training, after step 1,200: process {process.pid} on {socket.gethostname()} was killed, or its "
        "machine went down; the last sign of life was 22 min ago"
    )


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("phase", "kind", "words"),
    [
        ("stopped", "stopped", "stopped after step 1,200, 3 min ago: SIGTERM; saved in x"),
        ("failed", "failed", "ended by an error after step 1,200, 3 min ago: SIGTERM; saved in x"),
    ],
)
def test_how_it_ended(tmp_path, phase, kind, words):
    beat(tmp_path, phase, 180, why="SIGTERM; saved in x")
    assert (run_state(tmp_path).kind, run_state(tmp_path).words) == (kind, words)


def test_looking_disturbs_nobody(tmp_path):
    beat(tmp_path)
    assert run_state(tmp_path).kind == "died"
    with locked(tmp_path / ".lock", lambda who: pytest.fail(who)):
        assert run_state(tmp_path).at_work
    before = {path.name for path in tmp_path.iterdir()}
    run_state(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_on_another_machine_without_locks_a_fresh_heartbeat_counts(tmp_path):
    beat(tmp_path, host="elsewhere", process=7, seconds_ago=10)
    assert re.fullmatch(r"running: training, by its heartbeat of \d\d s ago \(process 7\)", run_state(tmp_path).words)
    beat(tmp_path, host="elsewhere", process=7, seconds_ago=1000)
    assert run_state(tmp_path).kind == "died"


def test_slow_steps_have_longer():
    assert patience({"phase": "training", "items_per_step": 10, "items_per_second": 0.1}) == 2000
    assert patience({"phase": "training", "items_per_step": 10, "items_per_second": None}) == 300
    assert patience({"phase": "evaluating"}) == 3600


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"time": 3, "phase": "training", "step": 1}', "\0", "9" * 99999])
def test_a_heartbeat_that_is_none_is_none(tmp_path, content):
    (tmp_path / "heartbeat.json").write_text(content)
    assert read_beat(tmp_path) == {} and run_state(tmp_path).kind == "unknown"


def test_a_finished_training_is_done_whatever_its_heartbeat(trained):
    assert (run_state(trained).kind, run_state(trained).at_work) == ("done", False)


def test_damaged_checkpoints_are_passed_over(trained, tmp_path):
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    newest, *older = sorted((tmp_path / "checkpoints").glob("step-*.pt"), reverse=True)
    assert whole_checkpoint(tmp_path) == (newest, [])
    weights = load_checkpoint(newest)["modules"]["model.decoder.stack.taps"].numpy().tobytes()
    content = bytearray(newest.read_bytes())
    content[content.index(weights) + 5] ^= 1  # between entries there is padding, which means nothing
    newest.write_bytes(content)
    assert whole_checkpoint(tmp_path) == (older[0], [newest])
    for path in older:
        path.write_bytes(path.read_bytes()[:-100])
    assert whole_checkpoint(tmp_path) == (None, [newest, *older])


def test_ages_and_distances_are_short():
    seconds = (3, 119, 120, 7199, 7200, 172799, 172800)
    assert [ago(s) for s in seconds] == ["3 s", "119 s", "2 min", "120 min", "2 h", "48 h", "2 days"]
    assert far({"step": 1200, "total_steps": 5000}) == "1,200 of 5,000 (24%)"
    assert far({"step": 1200, "total_steps": None}) == "1,200"
