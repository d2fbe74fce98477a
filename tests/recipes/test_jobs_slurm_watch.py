"""What the launcher makes of what a job and Slurm say of it, each at its own time; without a Slurm, and with a clock
that goes as fast as it is looked at."""

from __future__ import annotations

import subprocess

import pytest

from tests.recipes import launcher  # noqa: F401   puts the launcher on the path

from jobs import slurm, slurm_queue  # isort: skip
from jobs.report import Outcome, Report  # isort: skip
from jobs.request import parse  # isort: skip
from jobs.stopping import Stopping  # isort: skip
from jobs.task import Task  # isort: skip

PENDING, PUT_BACK = "PENDING||None", "PENDING||BeginTime"
RUNNING, COMPLETING, COMPLETED = "RUNNING|n1|None", "COMPLETING|n1|None", "COMPLETED|n1|None"
FAILED, TIMEOUT = "FAILED|n1|NonZeroExitCode", "TIMEOUT|n1|TimeLimit"
SILENT = None
"""No state: Slurm does not answer."""
BEGINS = "begins"
"""No exit status: the job begins, and forgets the one that it has left before."""


class Cluster:
    """A cluster of one job, where everything happens at seconds that were said before."""

    def __init__(self, task: Task, events: list[tuple[float, str | None, int | str | None]]) -> None:
        self.task, self.events = task, list(events)
        self.now, self.state = 0.0, SILENT
        self.sleep(0)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        while self.events and self.events[0][0] <= self.now:
            _, self.state, status = self.events.pop(0)
            if status == BEGINS:
                self.task.forget_status(0)
            elif status is not None:
                self.task.leave_status(0, status)

    def answer(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        if self.state is SILENT:
            return subprocess.CompletedProcess(words, 1, "", "Unable to contact slurm controller")
        return subprocess.CompletedProcess(words, 0, f"N/A|{self.state}\n", "")


def follow(events, folder, monkeypatch) -> tuple[Outcome, float]:
    """Return what the launcher finds out of a job, and when."""
    monkeypatch.chdir(folder)
    request = parse(["slurm", "x.log", "true"])
    task = Task.create(request)
    cluster = Cluster(task, events)
    monkeypatch.setattr(slurm, "time", cluster)
    monkeypatch.setattr(slurm_queue, "ask", cluster.answer)
    watch = slurm.Watch(slurm_queue.Queue("7"), request, task, Report(request, task), Stopping())
    return watch.to_the_end()[0], cluster.now


def test_a_job_may_begin_and_fail_between_two_questions_to_slurm(tmp_path, monkeypatch):
    """It waits in Slurm's last answer, but has not been put back."""
    outcome, _ = follow([(0, PENDING, None), (0.1, FAILED, 3)], tmp_path, monkeypatch)
    assert outcome == Outcome(3, "n1")


@pytest.mark.parametrize("after", [0, 4], ids=["at once", "later"])
def test_a_job_that_slurm_puts_back_is_waited_for_however_seldom_slurm_is_asked(tmp_path, monkeypatch, after):
    events = [
        (0, RUNNING, None), (601, COMPLETING, 143), (601 + after, PUT_BACK, None), (720, RUNNING, BEGINS),
        (800, COMPLETED, 0),
    ]  # fmt: skip
    outcome, seconds = follow(events, tmp_path, monkeypatch)
    assert outcome == Outcome(0) and seconds >= 800


def test_what_slurm_says_later_of_a_failure_is_told(tmp_path, monkeypatch):
    events = [(0, RUNNING, None), (601, COMPLETING, 143), (604, TIMEOUT, None)]
    outcome, _ = follow(events, tmp_path, monkeypatch)
    assert outcome == Outcome(143, "n1", "Slurm says TIMEOUT: its time was over; --time gives it more")


def test_a_failure_is_told_soon_though_slurm_never_has_done_with_the_job(tmp_path, monkeypatch):
    outcome, seconds = follow([(0, RUNNING, None), (601, COMPLETING, 3)], tmp_path, monkeypatch)
    assert outcome == Outcome(3, "n1") and seconds < 615


def test_a_failure_while_slurm_does_not_answer(tmp_path, monkeypatch, capsys):
    events = [(0, RUNNING, None), (601, SILENT, 3), (900, FAILED, None)]
    outcome, seconds = follow(events, tmp_path, monkeypatch)
    assert outcome == Outcome(3, "n1") and seconds >= 900
    assert capsys.readouterr().err.count("x: Slurm does not answer; waiting") == 1


def test_a_job_that_has_ended_does_not_run(tmp_path, monkeypatch, capsys):
    outcome, _ = follow([(0, PENDING, None), (0.1, FAILED, None)], tmp_path, monkeypatch)
    assert outcome == Outcome(None, "n1", "Slurm says FAILED") and "runs" not in capsys.readouterr().err
