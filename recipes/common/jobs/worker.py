"""Runs one job on the machine that it was sent to: log, signals, exit status.

The log begins and ends as Kaldi's do:

    # vqaudio extract --shard 3/8 …
    # Running on node7, in /home/me/recipes/asterisk
    # Started at Tue Jul 14 09:12:01 UTC 2026
    #
    …
    # Ended (code 0) at Tue Jul 14 09:14:05 UTC 2026, elapsed time 124 seconds
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from jobs.task import Task

STARTED = "job-has-started"
"""What a worker says to a launcher that watches it: the machine could be reached."""
ORDERS = {b"i": signal.SIGINT, b"t": signal.SIGTERM, b"k": signal.SIGALRM}
"""What a launcher says to a worker: end as if by this signal; SIGALRM kills."""
HEADER_END = b"\n#\n"
NO_LOG = 74
"""Exit status of a worker that could not begin the log, as of sysexits.h: an error of the disk."""


def main(arguments: Sequence[str]) -> int:
    """Run the job that the arguments name; return its exit status, 128 + N for the signal N."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("job", type=int)
    parser.add_argument("--watch", action="store_true", help="stop at the end of the standard input")
    parser.add_argument("--gpus", help="CUDA_VISIBLE_DEVICES")
    parser.add_argument("--node", help="this machine's number among several, or slurm")
    parser.add_argument("--num_nodes", type=int, default=1)
    parser.add_argument("--master", help="ADDRESS:PORT of the first machine")
    options = parser.parse_args(arguments)
    task = Task.load(options.task)
    node = int(os.environ["SLURM_PROCID"] if options.node == "slurm" else options.node or 0)
    environment = {**os.environ, **task.environment}
    if options.gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = options.gpus
    if options.num_nodes > 1:
        environment |= node_environment(node, options.num_nodes, options.master)
    run = Run(task, options.job, node, environment, options.num_nodes > 1)
    if options.watch:
        print(STARTED, flush=True)
        threading.Thread(target=run.obey, args=(sys.stdin.fileno(),), daemon=True).start()
    return run.to_the_end()


def node_environment(node: int, num_nodes: int, master: str) -> dict[str, str]:
    """Return the variables that tell torchrun, and whoever else wants to know, about the machines.

    torchrun takes an option --some_option that is not given from PET_SOME_OPTION (torch/distributed/argparse_util.py).
    """
    address, _, port = master.rpartition(":")
    values = {"NODE_RANK": str(node), "NNODES": str(num_nodes), "MASTER_ADDR": address, "MASTER_PORT": port}
    return {"NUM_NODES": str(num_nodes), **values, **{f"PET_{name}": value for name, value in values.items()}}


class Run:
    """One run of a job's command, in a process group of its own."""

    def __init__(self, task: Task, job: int, node: int, environment: dict[str, str], one_of_many: bool) -> None:
        self.task, self.job, self.node, self.environment = task, job, node, environment
        self.one_of_many = one_of_many
        self.process: subprocess.Popen[bytes] | None = None
        self.asked = self.nearly_over = False
        # The command inherits none of these, even where the launcher's shell ignores SIGINT for what it has in the
        # background: handlers end with exec.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, self._asked_to_end)
        signal.signal(signal.SIGUSR1, self._time_is_nearly_over)
        signal.signal(signal.SIGALRM, lambda *_: self._send(signal.SIGKILL))

    def obey(self, control: int) -> None:
        """Do what the launcher says, one letter at a time; when it is no more, end."""
        while word := os.read(control, 1):
            os.kill(os.getpid(), ORDERS[word])
        os.kill(os.getpid(), signal.SIGINT)

    def _asked_to_end(self, number: int, frame: object) -> None:
        # Slurm sends SIGTERM to all processes of a job, ours and the command's: it must not come twice, as a second
        # one tells a training not to wait for its checkpoint.
        sent_to_all = number == signal.SIGTERM and "SLURM_JOB_ID" in os.environ
        if not self.asked:
            self.asked = True
            signal.alarm(max(1, self.task.grace))
            if not sent_to_all:
                self._send(signal.SIGINT)

    def _time_is_nearly_over(self, number: int, frame: object) -> None:
        self.nearly_over = True
        self._asked_to_end(signal.SIGINT, frame)

    def _send(self, number: int) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def to_the_end(self) -> int:
        """Run the command and wait for it; return its exit status, which is in the log and the status file too.

        A job whose log cannot be begun is not run; one that has ended has ended as it did, whatever the disk says then.
        """
        log = self.task.log_of(self.job, self.node)
        try:
            if not self.one_of_many:
                self.task.forget_status(self.job)  # of a run of this job before Slurm put it back
            log.parent.mkdir(parents=True, exist_ok=True)
            with open(log, "ab", buffering=0) as file:  # appended to: a job that Slurm puts back has run here before
                _write_all(file, self._header())
        except OSError as error:
            _tell(f"cannot write {log}: {error.strerror}")
            return NO_LOG
        status = self._with_log(log)
        if not self.one_of_many:
            try:
                self.task.leave_status(self.job, status)
            except OSError as error:  # a launcher that watches has our exit status; of a job of Slurm, Slurm is asked
                _tell(f"cannot write into {self.task.folder}: {error.strerror}")
        return status

    def _with_log(self, log: Path) -> int:
        """Run the command, and add to the log how it ended."""
        began = time.monotonic()
        with open(log, "ab+", buffering=0) as file:
            status = self._run(file)
            if status and self.nearly_over:
                status = 128 + signal.SIGUSR1
            seconds = round(time.monotonic() - began)
            ended = f"# Ended (code {status}) at {_now()}, elapsed time {seconds} seconds\n"
            try:
                _write_all(file, (_line_break(file) + ended).encode())
            except OSError as error:
                _tell(f"cannot write {log}: {error.strerror}")
        return status

    def _run(self, file: BinaryIO) -> int:
        command = self.task.command_of(self.job)
        try:
            os.chdir(self.task.directory)
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=self.environment,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            file.write(f"cannot run {error.filename or command[0]}: {error.strerror}\n".encode())
            return 127 if isinstance(error, FileNotFoundError) else 126
        if self.asked:  # before there was a process to tell
            self._send(signal.SIGINT)
        status = self.process.wait()
        if self.asked:
            self._send(signal.SIGKILL)  # whatever it has left behind
        return status if status >= 0 else 128 - status

    def _header(self) -> bytes:
        slurm = os.environ.get("SLURM_JOB_ID")
        if slurm and "SLURM_ARRAY_TASK_ID" in os.environ:
            slurm = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
        where = f"{os.environ.get('SLURMD_NODENAME', socket.gethostname())}{f' (Slurm job {slurm})' if slurm else ''}"
        gpus = self.environment.get("CUDA_VISIBLE_DEVICES")
        lines = [
            shlex.join(self.task.command_of(self.job)),
            f"Running on {where}, in {self.task.directory}{f', with CUDA_VISIBLE_DEVICES={gpus}' if gpus else ''}",
            f"Started at {_now()}",
        ]
        return b"# " + "\n".join(lines).replace("\n", "\n# ").encode(errors="surrogateescape") + HEADER_END


def _write_all(file: BinaryIO, data: bytes) -> None:
    while data:  # a disk that fills up takes a part at first
        data = data[file.write(data) :]


def _tell(words: str) -> None:
    """Say something to the launcher, if there is one that watches; else it is Slurm that takes it down."""
    with contextlib.suppress(OSError):
        print(words, flush=True)


def _line_break(file: BinaryIO) -> str:
    """Return what makes the next thing written begin a line."""
    file.seek(-1, os.SEEK_END)
    return "" if file.read(1) == b"\n" else "\n"


def _now() -> str:
    return time.strftime("%a %b %e %H:%M:%S %Z %Y")
