"""Jobs on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from jobs.pool import Place, Pool
from jobs.report import Outcome, Report
from jobs.request import Request, UsageError, refuse_others
from jobs.stopping import Stopping
from jobs.task import Task


def run(request: Request, task: Task, report: Report, stopping: Stopping) -> dict[int, Outcome]:
    """Run the jobs; return how those ended that were begun."""
    refuse_others(request)
    if request.num_nodes > 1:
        raise UsageError(f"--num_nodes {request.num_nodes}: local is one machine; slurm and ssh have more")
    if request.gpu and len(request.numbers) > 1:
        slots: list[str | None] = [*_gpus_of_slots(request.gpu)]
    else:
        slots = [None] * (request.max_jobs_run or max(1, cores() // (request.num_threads or 1)))
    return Pool(task, [Place("", slots)], report, stopping, request.max_jobs_run or len(slots)).run(request.numbers)


def _gpus_of_slots(each: int) -> list[str]:
    gpus = find_gpus()
    if len(gpus) < each:
        has = f"this machine has {len(gpus)}, says CUDA_VISIBLE_DEVICES or else nvidia-smi -L"
        raise UsageError(f"--gpu {each}: {has}")
    return deal_gpus(gpus, each)


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the GPUs of this machine by the names that CUDA_VISIBLE_DEVICES gives them: those in it, or all."""
    if "CUDA_VISIBLE_DEVICES" in environment:
        return [name for name in environment["CUDA_VISIBLE_DEVICES"].split(",") if name.strip()]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(i) for i, line in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]


def deal_gpus(names: list[str], each: int) -> list[str]:
    """Return what goes into CUDA_VISIBLE_DEVICES of each of the jobs that find room at once, `each` GPUs a job."""
    return [",".join(names[i : i + each]) for i in range(0, len(names) - each + 1, each)]
