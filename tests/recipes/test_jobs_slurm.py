"""The launcher of jobs with a real Slurm, which is started here: a controller and two nodes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recipes.launcher import SAVES, counted, launch, most_at_once, start, wait_for
from tests.recipes.slurm_cluster import CannotStart, running_cluster

from jobs.request import parse  # isort: skip   (on the path because of the launcher)
from jobs.slurm_queue import State  # isort: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """What the environment needs to find the cluster."""
    try:
        with running_cluster() as environment:
            yield environment
    except CannotStart as error:
        pytest.skip(str(error))


class Slurm:
    """A folder whose jobs go to the cluster."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def launch(self, *arguments: object, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        return launch("slurm", *arguments, cwd=self.folder, status=status, **self.environment, **environment)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        return start("slurm", *arguments, cwd=self.folder, **self.environment)

    def ask(self, *command: str) -> str:
        return subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True, text=True).stdout

    def texts(self, pattern: str) -> list[str]:
        return [path.read_text().strip() for path in sorted(self.folder.glob(pattern))]


@pytest.fixture
def slurm(cluster, tmp_path) -> Slurm:
    return Slurm(tmp_path, cluster)


def test_an_array_of_jobs(slurm):
    script = f"echo JOB of $SLURM_ARRAY_JOB_ID >result.JOB; echo $VALUE; {counted(2)}"
    command = ("--max_jobs_run", "2", "--num_threads", "2", "--mem", "100M", "--time", "0:05:00", "JOB=3:6")
    result = slurm.launch(*command, "log/x.JOB.log", "bash", "-c", script, VALUE="it's here")
    number = re.match(r"x: is Slurm job (\d+), an array of 4\n", result.stderr)[1]
    assert slurm.texts("result.*") == [f"{job} of {number}" for job in range(3, 7)]
    assert most_at_once(slurm.folder) == 2 and result.stdout == ""
    log = (slurm.folder / "log/x.4.log").read_text()
    assert re.search(rf"# Running on n[12] \(Slurm job {number}_4\), in ", log) and "\nit's here\n" in log
    assert sorted(os.listdir(slurm.folder / "log")) == [f"x.{job}.log" for job in range(3, 7)]


def test_a_single_job_is_followed(slurm):
    show = 'squeue --noheader --jobs=$SLURM_JOB_ID --format="%C cores, %m, %l, %b"'
    command = ("--gpu", "1", "--num_threads", "3", "--mem=2G", "--time", "1:30:00", "train.log", "bash", "-c")
    result = slurm.launch(*command, f"{show}; exit 7", status=7)
    assert result.stdout == "3 cores, 2G, 1:30:00, gres:gpu:1\n"
    assert re.search(
        r"^train: is Slurm job \d+\n(train: waits.*\n)*(train: runs on n[12]\n)?train: failed", result.stderr
    )
    assert re.search(r"train: failed with status 7 on n[12]\. Its log: train\.log\n$", result.stderr)


def test_after_a_failure_running_jobs_end_and_no_others_begin(slurm):
    both_run = "touch on.JOB; until [ -e on.1 ] && [ -e on.2 ]; do sleep 0.05; done"
    script = f"{both_run}; [ JOB != 1 ] || {{ echo broken; exit 3; }}; sleep 3; touch done.JOB"
    error = slurm.launch("--max_jobs_run", "2", "JOB=1:9", "log/x.JOB.log", "bash", "-c", script, status=1).stderr
    assert (slurm.folder / "done.2").exists() and not (slurm.folder / "on.9").exists()
    assert re.search(r"x: job 1 failed with status 3 on n[12]\. The end of its log, log/x\.1\.log:\n", error)
    assert "  | broken\n" in error and re.search(r"x: \d of 9 jobs failed: 1; not run: .*9\n$", error)
    (kept,) = (slurm.folder / "log/.jobs").iterdir()
    assert "run-job" in (kept / "script.sh").read_text()


def test_jobs_that_somebody_cancels_are_lost(slurm):
    process = slurm.start(
        "JOB=1:1", "x.JOB.log", "bash", "-c", "trap '' TERM; touch begun; while true; do sleep 1; done"
    )
    wait_for((slurm.folder / "begun").exists)
    number = re.match(r"x: is Slurm job (\d+)", process.stderr.readline())[1]
    slurm.ask("scancel", "--full", "--signal=KILL", number)
    slurm.ask("scancel", number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    lost = r"x: job 1 was lost on n[12]: Slurm says (CANCELLED|FAILED).* The end of its log, x\.1\.log:"
    assert re.search(lost, error), error


def test_a_job_that_is_cancelled_while_it_waits(slurm):
    (slurm.folder / "conf").mkdir()
    (slurm.folder / "conf/slurm.conf").write_text("command sbatch --hold\n")
    process = slurm.start("x.log", "true")
    number = re.match(r"x: is Slurm job (\d+)", process.stderr.readline())[1]
    assert "x: waits (JobHeldUser)" in process.stderr.readline()
    slurm.ask("scancel", number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and "x: could not be run: Slurm says CANCELLED: somebody cancelled it" in error


@pytest.mark.parametrize("jobs", [(), ("JOB=1:20", "--max_jobs_run", "2")], ids=["single", "array"])
def test_an_interrupt_cancels_all(slurm, jobs):
    process = slurm.start(*jobs, "x.JOB.log", "bash", "-c", SAVES)
    wait_for((slurm.folder / "begun").exists)
    os.kill(process.pid, signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "x: SIGINT: jobs have 60 s to end" in error
    assert (slurm.folder / "result").read_text() == "saved\n"
    number = re.match(r"x: is Slurm job (\d+)", error)[1]
    assert slurm.ask("squeue", "--noheader", f"--jobs={number}", "--states=PENDING,RUNNING") == ""


def test_a_second_interrupt_kills(slurm):
    process = slurm.start("x.log", "bash", "-c", "trap '' INT TERM; touch begun; while true; do sleep 1; done")
    wait_for((slurm.folder / "begun").exists)
    os.kill(process.pid, signal.SIGINT)
    read_until("a second Ctrl-C kills them", process)
    os.kill(process.pid, signal.SIGINT)
    assert "killing the jobs" in process.communicate(timeout=60)[1] and process.returncode == 130


def test_one_job_on_several_nodes(slurm):
    # It lasts longer than the launcher goes without asking Slurm where it runs, on a busy machine too.
    script = (
        "echo $SLURMD_NODENAME $NODE_RANK/$NUM_NODES $MASTER_ADDR:$MASTER_PORT >node.$NODE_RANK; echo rank $NODE_RANK; "
        "sleep 6"
    )
    result = slurm.launch("--num_nodes", "2", "log/x.log", "bash", "-c", script)
    first, second = slurm.texts("node.*")
    assert re.fullmatch(r"n1 0/2 [\w.-]+:\d+", first) and second == first.replace("n1 0", "n2 1")
    assert result.stdout == "rank 0\n" and "x: runs on n[1-2]\n" in result.stderr
    assert re.search(r"# Running on n2 .*\n(#.*\n)*rank 1\n", (slurm.folder / "log/x.node1.log").read_text())


def test_when_one_of_several_nodes_fails_all_end(slurm):
    script = "if [ $NODE_RANK = 1 ]; then echo broken; exit 5; fi; sleep 60"
    error = slurm.launch("--num_nodes", "2", "x.log", "bash", "-c", script, status=5).stderr
    assert "  | broken\n" in error and "x: failed with status 5 on n[1-2]. Its log: x.node1.log" in error
    assert re.search(r"  \| srun: error: .*n2: task 1: Exited with exit code 5", error)


def test_an_interrupt_reaches_all_nodes_once(slurm):
    script = f"cd $(mktemp -d -p . node.XXXX); {SAVES}"
    process = slurm.start("--num_nodes", "2", "x.log", "bash", "-c", script)
    wait_for(lambda: len(list(slurm.folder.glob("node.*/begun"))) == 2)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130 and slurm.texts("node.*/result") == ["saved", "saved"]


COUNTS = (
    "trap 'echo saved >>saved; exit 130' INT; echo $SLURM_JOB_ID >>begun; [ $(wc -l <begun) -lt 3 ] || exit 0; "
    "while true; do sleep 0.1; done"
)
"""A training: it saves itself when it is interrupted, and is through with its work the third time."""


def begun(slurm: Slurm, times: int) -> list[str]:
    """Wait until the job of COUNTS has begun so often; return its numbers."""
    path = slurm.folder / "begun"
    wait_for(lambda: path.exists() and len(path.read_text().split()) == times, seconds=60)
    return path.read_text().split()


def read_until(words: str, process: subprocess.Popen[str]) -> None:
    """Read what the launcher says, as far as the line that holds these words."""
    limit = threading.Timer(60, process.kill)
    limit.start()
    said = ""
    while words not in said:
        line = process.stderr.readline()
        assert line, f"the launcher has ended, or was killed after a minute, without saying {words!r}: {said}"
        said += line
    limit.cancel()


def warn(slurm: Slurm, number: str) -> None:
    """Send what --signal=B:USR1@… has Slurm send; again, until it is heard: of a job just begun Slurm may lose it."""
    saved = slurm.folder / "saved"
    before = saved.read_text() if saved.exists() else ""

    def heard() -> bool:
        slurm.ask("scancel", "--batch", "--signal=USR1", number)
        return saved.exists() and saved.read_text() != before

    wait_for(heard, seconds=60)


def test_a_training_whose_time_is_over_goes_on_as_another_job(slurm):
    process = slurm.start("--restarts", "9", "x.log", "bash", "-c", COUNTS)
    for times in (1, 2):
        warn(slurm, begun(slurm, times)[-1])
    error = process.communicate(timeout=90)[1]
    assert process.returncode == 0 and len(set(begun(slurm, 3))) == 3
    assert (slurm.folder / "saved").read_text() == "saved\n" * 2
    assert "its time was nearly over; --time gives it more. It goes on as another job (2 of 9)" in error


def test_it_goes_on_so_often_as_was_said(slurm):
    process = slurm.start("x.log", "bash", "-c", COUNTS)
    warn(slurm, begun(slurm, 1)[0])
    error = process.communicate(timeout=90)[1]
    assert process.returncode == 138 and "its time was nearly over; --time gives it more. Its log: x.log" in error
    assert (slurm.folder / "saved").read_text() == "saved\n"


def test_a_training_that_somebody_cancels_does_not_come_back(slurm):
    process = slurm.start("--restarts", "9", "x.log", "bash", "-c", f"trap 'exit 143' TERM; {COUNTS}")
    slurm.ask("scancel", begun(slurm, 1)[0])
    error = process.communicate(timeout=90)[1]
    assert process.returncode not in (0, None) and "Slurm says CANCELLED: somebody cancelled it" in error
    assert len(begun(slurm, 1)) == 1


def test_a_job_that_slurm_puts_back_is_waited_for(slurm):
    """As it does where a job of higher priority takes the machine: SIGTERM to all processes, then it waits again."""
    process = slurm.start(
        "--restarts", "9", "x.log", "bash", "-c", f"trap 'echo saved >>saved; exit 143' TERM; {COUNTS}"
    )
    (number,) = begun(slurm, 1)
    slurm.ask("scontrol", "requeue", number)
    read_until("x: waits (BeginTime)", process)
    wait_for(lambda: "BeginTime" in slurm.ask("squeue", "--noheader", "--format=%r", "--jobs", number), seconds=60)
    time.sleep(3)  # what Slurm leaves between the end of a job and its next run, less of it and it cannot start it

    def runs_again() -> bool:
        slurm.ask("scontrol", "update", f"JobId={number}", "StartTime=now")  # else it would wait for two minutes
        return len((slurm.folder / "begun").read_text().split()) == 2

    wait_for(runs_again, seconds=60)
    read_until("x: runs on n", process)
    warn(slurm, number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 0 and begun(slurm, 3)[:2] == [number] * 2, error
    assert "x: failed with status 138" in error and "It goes on as another job (1 of 9)" in error


@pytest.mark.whole_run  # Slurm's shortest limit is a minute
def test_a_job_that_meets_its_time_limit_is_warned_and_completes(slurm):
    process = slurm.start(
        "--time", "0:01:00", "--restarts", "9", "x.log", "bash", "-c", COUNTS.replace("-lt 3", "-lt 2")
    )
    error = process.communicate(timeout=300)[1]
    assert process.returncode == 0 and len(set(begun(slurm, 2))) == 2, error
    assert (slurm.folder / "saved").read_text() == "saved\n"
    assert "It goes on as another job (1 of 9)" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mem", "400G"), "Memory specification can not be satisfied"),
        (("--gpu", "64"), "Requested node configuration is not available"),
        (("--partition", "night"), "invalid partition specified: night"),
    ],
)
def test_what_slurm_refuses_is_told_in_its_words(slurm, options, message):
    error = slurm.launch(*options, "x.log", "true", status=2).stderr
    assert message in error and "They were sent by: sbatch --export=ALL" in error and "conf/slurm.conf" in error


def test_slurm_is_not_installed(tmp_path):
    (tmp_path / "slurm.conf").write_text("command no-sbatch\n")
    error = launch("slurm", "--config", "slurm.conf", "x.log", "true", cwd=tmp_path, status=2).stderr
    assert error.startswith("launch slurm: there is no program 'no-sbatch' here") and error.count("\n") == 1


@pytest.mark.parametrize(
    ("time", "seconds"), [("0:01:00", 10), ("0:10:00", 100), ("0:12:00", 120), ("2-00:00:00", 120), (None, None)]
)
def test_jobs_hear_of_their_time_limit_before(time, seconds):
    from jobs.slurm import early_warning

    options = ["--time", time] if time else []
    warned = [] if seconds is None else [f"--signal=B:USR1@{seconds}"]
    assert early_warning(parse(["slurm", *options, "x.log", "true"])) == warned


@pytest.mark.parametrize(
    ("folder", "output"),
    [
        ("100%j", "{}/100%%j/logs/.jobs/{}/slurm.%a.out"),
        ("a b", "{}/a b/logs/.jobs/{}/slurm.%a.out"),
        ("a\\b", "/dev/null"),
    ],
)
def test_what_slurm_says_goes_beside_the_logs_whatever_the_paths(tmp_path, monkeypatch, folder, output):
    from jobs.slurm import _output
    from jobs.task import Task

    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    request = parse(["slurm", "JOB=1:2", "logs/x.JOB.log", "true"])
    task = Task.create(request)
    assert _output(request, task) == output.format(tmp_path, Path(task.folder).name)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State("TIMEOUT", "TimeLimit", "n1"), "Slurm says TIMEOUT: its time was over; --time gives it more"),
        (State("OUT_OF_MEMORY", "OutOfMemory", "n1"), "--mem gives it more"),
        (State("FAILED", "BadConstraints"), "Slurm says FAILED (BadConstraints)"),
        (State("PENDING", "launch failed requeued held"), "Slurm could not start it (launch failed requeued held)"),
        (State(), "Slurm knows nothing of it any more"),
    ],
)
def test_what_became_of_a_job(state, words):
    assert words in str(state)
