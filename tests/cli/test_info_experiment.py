"""What `info` says of an experiment folder: every word a user reads to decide what to do."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from tests.training.conftest import corpus, train, trained  # noqa: F401 (fixtures)
from tests.training.test_training import StopAt
from vqaudio.audio.lock_file import locked


def facts(out: str) -> dict[str, str]:
    return dict(re.split(r"  +", line.strip(), maxsplit=1) for line in out.splitlines()[1:])


def test_a_finished_training(trained, run):  # noqa: F811
    said = facts(run("info", trained)[0])
    assert said["state"] == "done: trained to the end" and said["step"] == "12 of 12 (100%)"
    assert re.fullmatch(r"\d\.\d+ \(dev/bits_per_sample_true\) after step 12", said["dev score"])
    assert said["model"] == str(trained / "model") and said["units"] == "-"
    assert "would resume" not in said and "time left" not in said


def test_one_that_a_signal_stopped_and_what_would_resume(corpus, tmp_path, monkeypatch, run):  # noqa: F811
    StopAt(monkeypatch, 7)
    assert train(corpus, tmp_path) is False
    said, saved = facts(run("info", tmp_path)[0]), tmp_path / "checkpoints" / "step-000000008.pt"
    assert re.fullmatch(rf"stopped after step 8, \d+ s ago: SIGTERM; saved in {saved}", said["state"])
    assert said["step"] == "8 of 12 (67%)"
    assert re.fullmatch(
        rf"{saved.name} \(whole, \d+ s old\): the same command goes on from step 8", said["would resume"]
    )
    saved.write_bytes(saved.read_bytes()[:-1000])
    said = facts(run("info", tmp_path)[0])
    assert re.fullmatch(
        r"step-000000006\.pt \(whole, \d+ s old\): the same command goes on from step 6, 2 steps are done again; "
        rf"damaged and passed over: {saved.name}", said["would resume"],
    )  # fmt: skip
    for path in saved.parent.glob("*.pt"):
        path.write_bytes(b"")
    said = facts(run("info", tmp_path)[0])
    assert said["would resume"].startswith("nothing; damaged and passed over: step-000000008.pt, step-000000006.pt")
    shutil.rmtree(saved.parent)
    said = facts(run("info", tmp_path)[0])
    assert said["would resume"] == "nothing: there is no checkpoint yet, and the same command begins anew"


@pytest.fixture
def running(trained, tmp_path):  # noqa: F811
    """An experiment with a prior in it, of which this process holds the locks and wrote the heartbeats."""
    folders = [tmp_path, tmp_path / "prior"]
    for folder in folders:
        shutil.copytree(trained / "checkpoints", folder / "checkpoints")
        time = datetime.now(timezone.utc) - timedelta(seconds=40)
        beat = {
            "time": time.isoformat(), "phase": "training", "step": 1200, "total_steps": 5000, "items": "samples",
            "items_per_second": 74_999.6, "items_per_step": 100, "seconds_left": 200, "process": os.getpid(),
            "host": socket.gethostname(), "score": {"step": 1000, "score": "dev/x", "value": 5.25}, "best": None,
        }  # fmt: skip
        (folder / "heartbeat.json").write_text(json.dumps(beat))
    with (
        locked(folders[0] / ".lock", lambda who: pytest.fail(who)),
        locked(folders[1] / ".lock", lambda who: pytest.fail(who)),
    ):
        yield tmp_path


def test_a_running_training_and_its_prior(running, run):
    said = facts(run("info", running)[0])
    for which in ("", "prior: "):
        assert re.fullmatch(
            rf"running: training, the last sign of life \d+ s ago \(process {os.getpid()} on .*, since .*\)",
            said[f"{which}state"],
        )
        assert said[f"{which}step"] == "1,200 of 5,000 (24%)" and said[f"{which}time left"] == "3:20"
        assert said[f"{which}samples per second"] == "75,000"
        assert said[f"{which}dev score"] == "5.25 (dev/x) after step 1000"
        assert re.fullmatch(r"step-000000012\.pt, \d+ \w+ old", said[f"{which}last checkpoint"])
    assert not any("resume" in name or "best" in name for name in said)


def test_looking_takes_no_torch(running):
    code = (
        "import sys; from vqaudio.cli.main import main; main(['info', sys.argv[1]]); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, running], check=True, timeout=120, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("beat", ["{}", '{"time": "2026-01-01T00:00:00+00:00", "phase": "x", "step": 3, "best": 7}'])
def test_a_strange_heartbeat_is_no_reason_to_fail(trained, tmp_path, run, beat):  # noqa: F811
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    (tmp_path / "heartbeat.json").write_text(beat)
    assert "would resume" in run("info", tmp_path)[0]
