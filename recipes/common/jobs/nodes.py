"""One job on several machines under Slurm: runs in the batch script, and starts a worker on each machine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence

from jobs.task import Task


def main(arguments: Sequence[str]) -> int:
    """Run the task on every machine of this Slurm job; return the exit status of the first that failed, or 0.

    Signals go to the workers through srun's standard input, which srun hands to all of them: sent by Slurm they would
    reach the command's processes too, and a second time through the worker.
    """
    task, num_nodes = Task.load(arguments[0]), os.environ["SLURM_JOB_NUM_NODES"]
    task.forget_status(0)
    # The batch script runs on the first machine. Its own name, for a name that Slurm gave need not be known elsewhere.
    master = f"{socket.gethostname()}:{port(int(os.environ['SLURM_JOB_ID']))}"
    worker = task.worker(0, "--watch", "--node", "slurm", "--num_nodes", num_nodes, "--master", master)
    step = subprocess.Popen(
        ["srun", "--nodes", num_nodes, "--ntasks", num_nodes, "--ntasks-per-node=1", "--kill-on-bad-exit=1", *worker],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
        start_new_session=True,
    )  # fmt: skip

    def ask_to_end(number: int, frame: object) -> None:
        if not step.stdin.closed:
            step.stdin.close()

    def note_time(number: int, frame: object) -> None:
        nonlocal nearly_over
        nearly_over = True
        ask_to_end(number, frame)

    nearly_over = False
    signal.signal(signal.SIGINT, ask_to_end)
    signal.signal(signal.SIGUSR1, note_time)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Slurm sends it to all processes
    failure = _first_failure(step.stderr)
    status = step.wait()
    if status and nearly_over:
        status, failure = 128 + signal.SIGUSR1, None
    task.leave_status(0, *(failure if failure and status else (status if status >= 0 else 128 - status, 0)))
    return status


def _first_failure(errors: Iterable[str]) -> tuple[int, int] | None:
    """Pass on what srun says, to the end; return exit status and node of the first that failed.

    srun's own status is the greatest of all, and those are greater that it has terminated then.
    """
    first = None
    for line in errors:
        print(line, end="", file=sys.stderr, flush=True)
        match = re.search(r"task ([0-9]+): Exited with exit code ([0-9]+)", line)
        if match and first is None:
            first = int(match[2]), int(match[1])
    return first


def port(number: int) -> int:
    """Return a port for the first machine that two jobs at a time hardly share; below those that systems give away."""
    return 15000 + number % 15000
