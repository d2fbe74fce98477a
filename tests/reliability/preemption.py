"""SIGTERM to a training, wherever it is; and what Slurm sends before a job's time is over.

begin ─▶ SIGTERM ─▶ within 5 s: a checkpoint of the last step completed, a message, status 143
                      └─▶ resumed: bitwise what it would have been without
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.reliability.preemption_child import PLACES, run_command
from tests.reliability.preemption_slurm import slurm_trials
from tests.reliability.promises import HELD, ROOT, Bench, Promise, Skipped
from tests.reliability.small_training import (
    LIMIT,
    SmallTraining,
    Told,
    begin,
    final_state,
    newest_step,
    prepare,
    wait_until,
)
from tests.training import two_ranks
from vqaudio.config_files import to_dict

SECONDS = 5.0
STEPS = 24
ALONE = (
    "end", "start", "steps", "scores", "codebook", "audio", "start", "steps",
    "publishing", "steps", "scores", "audio", "end", "start", "codebook",
)  # fmt: skip
TWO_RANKS = ("steps", "audio")
SLURM = ("USR1", "TERM")
FRESH = 1
COUNT = len(ALONE) + FRESH + len(TWO_RANKS) + len(SLURM)
LONGEST_WAIT = {"start": 1.0, "steps": 0.3, "publishing": 0.1}
"""Seconds after coming to a place within which the signal is sent. At the others it stays: 1 s."""


def trials(bench: Bench) -> Iterator[str | Skipped]:
    """Preempt trainings at every place: alone, from the interpreter's first moment, on two ranks, and under Slurm."""
    training = prepare(bench.folder / "corpus", max_steps=STEPS, eval_interval=10, audio_interval=10)
    kinds: list[Any] = [*((preempt, place) for place in ALONE[:5]), (preempt_fresh, "")]
    kinds += [(preempt_two_ranks, place) for place in TWO_RANKS]
    kinds += [(preempt, place) for place in ALONE[5:]]
    for number, (kind, place) in enumerate(kinds[: bench.count]):
        folder = bench.folder / f"{number}"
        folder.mkdir()
        yield kind(Trial(training, folder, bench.random), place)
    left = SLURM[: max(0, bench.count - len(kinds))]
    if left:
        yield from slurm_trials(training, bench.folder, left)


@dataclass
class Trial:
    """A folder in which a training is preempted, once."""

    training: SmallTraining
    folder: Path
    random: np.random.Generator
    slowest: float = field(default_factory=lambda: slowness())

    def words(self) -> list[str]:
        """Return the command."""
        return command(self.training, self.folder)

    def wait_for(self, place: str, gone: Any) -> None:
        """Wait until the training has come to a place, and then for a random time; not where it is `gone`."""
        told = Told(self.folder / "told.place")
        wait_until(lambda: PLACES[told.heard()] == place or gone() is not None)
        time.sleep(self.random.uniform(0, LONGEST_WAIT.get(place, 1.0)))

    def outcome(self, where: str, seconds: float, status: int | None, statuses: tuple[int, ...] = (143,)) -> str:
        """Say what is wrong after a SIGTERM at a place, to which the process has answered with a status."""
        self.slowest = max(self.slowest, slowness())
        said = (self.folder / "said").read_text() if (self.folder / "said").exists() else ""
        if status is None:
            return f"{where}: SIGTERM does not end it"
        if status not in statuses:
            return f"{where}: ended with the status {status}, expected {statuses[0]}:\n{said[-2000:]}"
        if seconds > SECONDS * self.slowest:
            return (
                f"{where}: ended {seconds:.1f} s after SIGTERM, on a machine {self.slowest:.1f} times as slow as alone"
            )
        if status == 143 and not re.search(r"SIGTERM: stopped after step \d+, saved in|ended by SIGTERM", said):
            return f"{where}: it does not say why it ends:\n{said[-2000:]}"
        return not_saved(self.folder, where)


def preempt(trial: Trial, place: str) -> str:
    """Send SIGTERM to a training by itself."""
    said = trial.folder / "said"
    process = begin(run_command, trial.words(), trial.folder / "told", place, said)
    trial.wait_for(place, lambda: process.exitcode)
    sent = time.monotonic()
    process.terminate()
    process.join(LIMIT)
    seconds, status = time.monotonic() - sent, process.exitcode
    process.kill()
    # Where it is being published, it is done before the signal counts; around main() the signal is the kernel's.
    allowed = {"publishing": (143, 0, -signal.SIGTERM), "start": (143, -signal.SIGTERM)}.get(place, (143,))
    return trial.outcome(place, seconds, status, allowed) or not_resumed(trial.training, trial.folder, place)


def preempt_fresh(trial: Trial, _: str) -> str:
    """Send SIGTERM to a command in an interpreter of its own, which first imports for seconds."""
    status, seconds = preempt_program(trial, [sys.executable, "-m", "vqaudio", *trial.words()], None)
    return trial.outcome("new interpreter", seconds, status, (143, -signal.SIGTERM)) or not_resumed(
        trial.training, trial.folder, "new interpreter"
    )


def preempt_two_ranks(trial: Trial, place: str) -> str:
    """Send SIGTERM to the launcher of two ranks."""
    launcher = ["-m", "vqaudio.training.launch", "--standalone", "--nproc_per_node", "2"]
    child = ["-m", "tests.reliability.preemption_child", *trial.words()]
    status, seconds = preempt_program(trial, [sys.executable, *launcher, *child], place)
    where = f"two ranks, {place}"
    return trial.outcome(where, seconds, status) or ranks_not_resumed(trial.training, trial.folder, where)


def preempt_program(trial: Trial, command: list[str], place: str | None) -> tuple[int | None, float]:
    """Send SIGTERM to a program at a place, or at a random moment; return its status and the seconds until it ended."""
    variables = {
        "TOLD": str(trial.folder / "told"),
        "STAY": place or "",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    Told(trial.folder / "told.place").tell(0)
    with open(trial.folder / "said", "ab") as said:
        process = subprocess.Popen(command, env=os.environ | variables, cwd=ROOT, stdout=said, stderr=said)
    try:
        if place is None:
            time.sleep(trial.random.uniform(0, 4))
        else:
            trial.wait_for(place, process.poll)
        sent = time.monotonic()
        process.terminate()
        return process.wait(LIMIT), time.monotonic() - sent
    except subprocess.TimeoutExpired:
        return None, LIMIT
    finally:
        process.kill()
        process.wait()


# ------------------------------------------------------------------------------------------- what is to be


def command(training: SmallTraining, folder: Path) -> list[str]:
    """Return the words of `vqaudio train` for this training, in folder/exp."""
    path, corpus = folder / "config.yaml", training.corpus
    path.write_text(yaml.safe_dump(to_dict(training.config)))
    words = ["train", "--config", path, "--train_dir", corpus / "train", "--dev_dir", corpus / "dev"]
    words += ["--expdir", folder / "exp", "--device", "cpu", "--threads", 1, "--set", "training.audio_interval=10"]
    return list(map(str, words))  # audio at the first evaluation; what is compared is the same without


def not_saved(folder: Path, where: str) -> str:
    """Say so where the newest checkpoint is not of the last step that was completed."""
    if not (folder / "told").exists():  # a fresh interpreter tells nothing
        return HELD
    completed, step = Told(folder / "told").heard(), newest_step(folder / "exp")
    return HELD if step == completed else f"{where}: step {completed} was completed, and the checkpoint is of {step}"


def not_resumed(training: SmallTraining, folder: Path, where: str) -> str:
    """Go on to the end; say so where that is not the same as of a training that nothing ended before."""
    process = begin(training.run, folder / "exp")
    process.join(LIMIT)
    status = process.exitcode
    process.kill()
    if status != 0:
        return f"{where}: resumed, it ends with the status {status}"
    return _compared(folder / "exp", training.final, where)


def ranks_not_resumed(training: SmallTraining, folder: Path, where: str) -> str:
    """The same on two ranks, whose end is another than that of one."""
    whole = training.corpus / "whole-on-two-ranks"
    for expdir in (whole, folder / "exp"):
        if two_ranks.run(two_ranks.train, training.config, training.corpus, expdir, limit=LIMIT) != [True, True]:
            return f"{where}: resumed, it does not come to its end"
    return _compared(folder / "exp", final_state(whole), where)


def _compared(expdir: Path, final: str, where: str) -> str:
    return HELD if final_state(expdir) == final else f"{where}: the end is not that of a training without preemption"


def slowness() -> float:
    """Return how many times as long as on a quiet machine things take now: wall-clock per processor time of a loop."""
    wall, own = time.perf_counter(), time.process_time()
    while time.process_time() - own < 0.05:
        pass
    return max(1.0, (time.perf_counter() - wall) / (time.process_time() - own))


PROMISE = Promise(
    "preemption",
    "a preempted training saves a checkpoint and ends within 5 s",
    "SIGTERM at start-up, in steps, evaluations and publishing, on one rank and two; `--signal` of a real Slurm",
    COUNT,
    trials,
    least=len(ALONE) - 6,
    in_tests=5,
)
