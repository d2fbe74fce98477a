"""The launcher of jobs with a real Slurm, which is started here: a controller and two nodes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
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
    assert re.search(r"x: job 1 failed with status 3 on n1\. The end of its log, log/x\.1\.log:\n", error)
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
    assert re.search(r"x: job 1 was lost on n1: Slurm says (CANCELLED|FAILED).* The end of its log, x\.1\.log:", error)


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
    while "a second Ctrl-C kills them" not in process.stderr.readline():
        pass
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
    ("time", "warned"), [("0:09:59", False), ("0:10:00", True), ("2-00:00:00", True), (None, False)]
)
def test_long_jobs_hear_of_their_time_limit_before(time, warned):
    from jobs.slurm import early_warning

    options = ["--time", time] if time else []
    assert early_warning(parse(["slurm", *options, "x.log", "true"])) == (["--signal=B:INT@60"] if warned else [])


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
