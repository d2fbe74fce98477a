"""A training as a job of a real Slurm, started for the occasion, that sends it a signal before its time is over."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.recipes.slurm_cluster import CannotStart, running_cluster
from tests.reliability.promises import ROOT, Skipped
from tests.reliability.small_training import SmallTraining

NOTICE = 55
"""Seconds before the end of a job's only minute; Slurm looks once in half a minute."""


def slurm_trials(training: SmallTraining, folder: Path, signals: Sequence[str]) -> Iterator[str | Skipped]:
    """Let Slurm send each of the signals to a job of its own: USR1 to its step, TERM to the script of the batch."""
    try:
        with running_cluster() as environment:
            jobs = [_Job(training, folder / f"slurm-{name}", name, environment) for name in signals]
            for job in jobs:
                yield job.outcome()
    except CannotStart as error:
        yield from (Skipped(str(error)) for _ in signals)


class _Job:
    """A job whose training takes longer than it is given."""

    def __init__(self, training: SmallTraining, folder: Path, name: str, environment: dict[str, str]) -> None:
        from tests.reliability.preemption import command

        self.training, self.folder, self.name = training, folder, name
        folder.mkdir()
        python = [sys.executable, "-m", "tests.reliability.preemption_child", *command(training, folder)]
        to_all = name == "USR1"  # of a step; `exec` makes the training the script that B: names
        script = folder / "job.sh"
        line = f"{'srun' if to_all else 'exec'} {' '.join(python)}"
        script.write_text(f"#!/bin/bash\n{line}\nstatus=$?\necho $status > {folder}/status\nexit $status\n")
        options = ["--time=1", f"--signal={'' if to_all else 'B:'}{name}@{NOTICE}", "--mem=1000", "--cpus-per-task=1"]
        options += [f"--output={folder}/said", f"--chdir={ROOT}", "--parsable"]
        variables = {"TOLD": str(folder / "told"), "STAY": "slow", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.environment = os.environ | environment | variables
        self.id = self._ask("sbatch", *options, str(script))

    def outcome(self) -> str:
        """Wait for the job's end and say what is wrong with it."""
        from tests.reliability.preemption import SECONDS, not_resumed, not_saved, slowness

        where, end = f"Slurm's --signal={self.name}", time.monotonic() + 150
        slowest = slowness()
        while self._ask("squeue", "--noheader", f"--job={self.id}") and time.monotonic() < end:
            slowest = max(slowest, slowness())
            time.sleep(0.5)
        said = (self.folder / "said").read_text()
        if f"SIG{self.name}: stopped after step" not in said:
            return f"{where}: the training was not stopped by it:\n{said[-2000:]}"
        came, ended = (float((self.folder / f"told.{what}").read_text()) for what in ("signal", "end"))
        from tests.reliability.preemption_child import SLOW_STEP

        if ended - came > SLOW_STEP + (SECONDS - SLOW_STEP) * slowest:
            return f"{where}: ended {ended - came:.1f} s after it"
        return not_saved(self.folder, where) or not_resumed(self.training, self.folder, where)

    def _ask(self, *words: str) -> str:
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60).stdout.strip()
