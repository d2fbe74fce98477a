"""What a job needs to know, on whatever machine it runs: a file that the launcher writes and workers read.

    LOG's folder/.jobs/NAME-…/task.json      command, directory, environment
                             /script.sh      what sbatch got
                             /slurm.3.out    what Slurm itself has said of job 3
                             /3.status       how job 3 ended

The folder is removed at the end; where jobs of Slurm failed, it is kept for looking into.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.request import Request, UsageError, replace_job

PROGRAM = Path(__file__).resolve().parent
KEPT = (
    "PATH",
    "python",
    "LD_LIBRARY_PATH",
    "LANG",
    "LANGUAGE",
    "TZ",
    "VIRTUAL_ENV",
    "HF_HOME",
    "XDG_CACHE_HOME",
    "TORCH_HOME",
)
KEPT_PREFIXES = ("LC_", "PYTHON", "CONDA_", "VQAUDIO_", "OMP_", "MKL_", "OPENBLAS_", "NCCL_", "GLOO_", "TORCH_")
"""Variables that a job finds as they are here: what decides which programs run and how. Nothing secret is among them,
for they are written to a file."""


@dataclass(frozen=True)
class Task:
    """The work of one call of the launcher."""

    name: str
    directory: str
    command: tuple[str, ...]
    log: str
    word: str
    """What stands for the job's number in log and command; nothing where there is one job alone."""
    environment: dict[str, str]
    grace: int
    folder: str

    @classmethod
    def create(cls, request: Request, environment: Mapping[str, str] = os.environ) -> Task:
        """Make the folder, write the task into it, and remove the logs of earlier runs of its jobs."""
        logs = Path(request.log).parent
        try:
            (logs / ".jobs").mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{request.name}-", dir=logs / ".jobs")).absolute()
        except OSError as error:
            raise UsageError(f"cannot write logs to {logs}: {error.strerror}") from error
        kept = {k: v for k, v in environment.items() if k in KEPT or k.startswith(KEPT_PREFIXES)}
        if request.num_threads:
            kept["OMP_NUM_THREADS"] = str(request.num_threads)
        task = cls(request.name, os.getcwd(), request.command, request.log, request.word if request.jobs else "",
                   kept, request.grace, str(folder))  # fmt: skip
        try:
            task.file.write_text(json.dumps(asdict(task), indent=1), encoding="utf-8")
            for job in request.numbers:
                for node in range(request.num_nodes):
                    task.log_of(job, node).unlink(missing_ok=True)
        except OSError as error:
            task.remove()
            raise UsageError(f"cannot write {error.filename or task.file}: {error.strerror}") from error
        return task

    @classmethod
    def load(cls, path: str) -> Task:
        """Read what `create` wrote."""
        fields = json.loads(Path(path).read_text(encoding="utf-8"))
        return cls(**{**fields, "command": tuple(fields["command"])})

    @property
    def file(self) -> Path:
        """Where the task is written."""
        return Path(self.folder) / "task.json"

    def log_of(self, job: int, node: int = 0) -> Path:
        """Return the log of a job, and of each machine where it has several: x.log, x.node1.log, x.node2.log."""
        path = Path(self.directory) / self._numbered(self.log, job)
        return path.with_name(f"{path.stem}.node{node}{path.suffix}") if node else path

    def shown(self, path: Path) -> str:
        """Return a path as the user would write it."""
        return os.path.relpath(path, self.directory) if path.is_relative_to(self.directory) else str(path)

    def command_of(self, job: int) -> list[str]:
        """Return the words of a job's command."""
        return [self._numbered(word, job) for word in self.command]

    def _numbered(self, text: str, job: int) -> str:
        return replace_job(text, job, self.word) if self.word else text

    def leave_status(self, job: int, status: int, node: int = 0) -> None:
        """Write a job's exit status, and the node that it is of, for `status_of`; whole or not at all."""
        path = self._status_file(job)
        aside = path.with_suffix(".part")
        aside.write_text(f"{status} {node}\n", encoding="ascii")
        aside.replace(path)

    def jobs_ended(self) -> set[int]:
        """Return the jobs that have left a status so far."""
        return {int(name.removesuffix(".status")) for name in os.listdir(self.folder) if name.endswith(".status")}

    def forget_status(self, job: int) -> None:
        """Remove the status that a job has left: it runs again."""
        self._status_file(job).unlink(missing_ok=True)

    def status_of(self, job: int) -> tuple[int, int] | None:
        """Return the exit status of a job that has ended, and the node that it is of; None where it runs again."""
        try:
            status, node = self._status_file(job).read_text(encoding="ascii").split()
        except FileNotFoundError:
            return None
        return int(status), int(node)

    def _status_file(self, job: int) -> Path:
        return Path(self.folder) / f"{job}.status"

    def worker(self, job: int, *options: str) -> list[str]:
        """Return the command that runs a job, wherever it is started."""
        return [*python(), "run-job", str(self.file), str(job), *options]

    def remove(self) -> None:
        """Remove the folder, and .jobs where it was the last one in there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            Path(self.folder).parent.rmdir()


def python() -> list[str]:
    """Return the words that start this program again; without site-packages, which it does not need."""
    return [sys.executable, "-S", str(PROGRAM)]


def refresh(folder: Path) -> None:
    """Have a network file system look anew at what is in the folder: its clients keep lists, and a change ends that."""
    with suppress(OSError):
        handle, path = tempfile.mkstemp(prefix=".look-", dir=folder)
        os.close(handle)
        os.unlink(path)
