"""A sign of life: what it says, how often, and that nothing depends on it."""

import json
import logging
import os
import socket

import pytest

from tests.training.conftest import train
from tests.training.test_training import StopAt
from vqaudio.errors import TrainingError
from vqaudio.training import heartbeat as module
from vqaudio.training import loop
from vqaudio.training.heartbeat import INTERVAL, LOG_INTERVAL, Heartbeat, line_of

FACTS = {
    "step": 0, "total_steps": 5000, "items": "samples", "items_per_step": 100, "items_per_second": None,
    "seconds_left": 200, "score": None, "best": None,
}  # fmt: skip


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def read(folder):
    return json.loads((folder / "heartbeat.json").read_text())


def test_the_line_says_how_far_how_fast_and_how_long():
    facts = {**FACTS, "step": 1200, "items_per_second": 75000.4}
    assert line_of("training", facts) == "training: step 1,200 of 5,000 (24%), 75,000 samples/s, 3:20 left"
    assert line_of("done", {**facts, "step": 5000}) == "done: step 5,000 of 5,000 (100%), 75,000 samples/s"
    assert line_of("starting", {**FACTS, "total_steps": None, "seconds_left": None}) == "starting: step 0"


def test_it_beats_every_half_minute_and_when_something_else_begins(tmp_path, clock):
    facts = dict(FACTS)
    heart = Heartbeat(tmp_path, lambda: dict(facts))
    beats = []
    for seconds, phase in [(0, "training"), (1, "training"), (INTERVAL, "training"), (1, "saving"), (1, "training")]:
        clock.now += seconds
        facts["step"] += 10
        heart.beat(phase)
        beats.append((read(tmp_path)["step"], read(tmp_path)["phase"]))
    assert beats == [(10, "training"), (10, "training"), (30, "training"), (40, "saving"), (50, "training")]


def test_its_speed_is_that_since_the_last_beat(tmp_path, clock):
    facts = {**FACTS, "items_per_second": 3.0}
    heart = Heartbeat(tmp_path, lambda: dict(facts))
    heart.beat("training")
    assert read(tmp_path)["items_per_second"] == 3.0  # the log's, until there is one of its own
    clock.now, facts["step"] = clock.now + 50, 20
    heart.beat("training")
    assert read(tmp_path)["items_per_second"] == 20 * 100 / 50
    clock.now, facts["step"] = clock.now + 1000, 21
    heart.beat("evaluating")  # what an evaluation takes is not the speed of steps
    clock.now += 1000
    heart.beat("training")
    assert read(tmp_path)["items_per_second"] == 40


def test_the_log_gets_a_line_where_it_would_be_silent_for_long(tmp_path, clock, caplog):
    heart = Heartbeat(tmp_path, lambda: dict(FACTS))
    with caplog.at_level(logging.INFO):
        for _ in range(25):  # of a minute each
            clock.now += 60
            heart.beat("training")
        lines = len(caplog.messages)
        for _ in range(25):
            clock.now += 60
            heart.logged()  # the loop's own line
            heart.beat("training")
    assert lines == len(caplog.messages) == 25 * 60 // (LOG_INTERVAL + 60)
    assert caplog.messages[0] == "training: step 0 of 5,000 (0%), 3:20 left"


def test_a_disk_that_fails_is_told_once(tmp_path, clock, caplog):
    (tmp_path / "file").touch()
    heart = Heartbeat(tmp_path / "file", lambda: dict(FACTS))
    for phase in ("training", "saving", "training"):
        heart.beat(phase)
    assert caplog.text.count("no sign of life can be written") == 1 and "the training goes on" in caplog.text


def test_other_ranks_have_none():
    Heartbeat(None, lambda: pytest.fail("nothing is asked of the others")).beat("training")


def test_a_training_leaves_the_last_of_it(trained):
    beat = read(trained)
    assert beat["line"].startswith("done: step 12 of 12 (100%)")
    assert (beat["phase"], beat["step"], beat["process"], beat["host"]) == (
        "done", 12, os.getpid(), socket.gethostname(),
    )  # fmt: skip
    assert beat["score"]["score"] == beat["best"]["score"] == "dev/bits_per_sample_true"
    assert beat["score"]["step"] == 12 and beat["best"]["checkpoint"].startswith("step-0000000")


def test_every_phase_is_written(corpus, tmp_path, monkeypatch):
    phases, original = [], Heartbeat._write
    monkeypatch.setattr(Heartbeat, "_write", lambda heart, c: (phases.append(c["phase"]), original(heart, c)))
    assert train(corpus, tmp_path)
    seen = [phase for phase, before in zip(phases, [None, *phases]) if phase != before]
    assert seen == [
        "starting", "training", "saving", "training", "saving", "evaluating", "training", "saving", "training",
        "saving", "evaluating", "publishing", "done",
    ]  # fmt: skip


def test_how_it_ended_is_written(corpus, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        StopAt(patch, 3)
        assert train(corpus, tmp_path / "a") is False
    saved = tmp_path / "a" / "checkpoints" / "step-000000004.pt"
    assert read(tmp_path / "a")["line"].endswith(f": SIGTERM; saved in {saved}")
    for number, (error, why) in enumerate([(TrainingError("no\nmore"), "no more"), (MemoryError(), "MemoryError")]):

        def fail(trainer, batch, error=error):
            raise error

        monkeypatch.setattr(loop.Trainer, "_step", fail)
        with pytest.raises(type(error)):
            train(corpus, tmp_path / f"b{number}")
        beat = read(tmp_path / f"b{number}")
        assert (beat["phase"], beat["why"]) == ("failed", why)


def test_a_command_that_is_refused_leaves_the_heartbeat_of_the_run(corpus, trained):
    before = (trained / "heartbeat.json").read_bytes()
    with pytest.raises(TrainingError, match="another configuration"):
        train(corpus, trained, learning_rate=0.5)
    assert (trained / "heartbeat.json").read_bytes() == before
