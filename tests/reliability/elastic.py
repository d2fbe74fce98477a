"""Ranks killed under torchrun and under our launcher: they start again, and the end is that of an undisturbed training.

A run of 60 steps is disturbed up to four times: one rank gets SIGKILL at a random moment of a random step, torchrun
starts all ranks anew, they go on from the last checkpoint, and so on. Each kill is a trial.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from tests.reliability import elastic_rank
from tests.reliability.elastic_rank import Step, steps_of
from tests.reliability.preemption import slowness
from tests.reliability.promises import HELD, ROOT, Bench, Promise
from tests.training import two_ranks
from tests.training.conftest import SMALL_VQVAE, merged, write_corpus
from tests.training.sockets import children
from vqaudio.config import VQVAETrainingConfig
from vqaudio.config_files import from_dict
from vqaudio.training.checkpoint import load_newest

OURS, TORCHRUN = "vqaudio.training.launch", "torch.distributed.run"
STEPS, LAST_KILL = 60, 48
CONFIG = merged(SMALL_VQVAE, {"training": {"max_steps": STEPS, "eval_interval": 20, "log_interval": 10}})
SECONDS = 60.0
"""From the kill to the first step thereafter on all ranks; in proportion longer on a machine that is busy otherwise."""
PATIENCE = 240.0
"""Seconds after which a run that does not go on hangs, in the same proportion."""


@dataclass(frozen=True)
class Run:
    """A training under a launcher, and the ranks that are killed one after the other."""

    launcher: str
    ranks: int
    victims: tuple[int, ...]


RUNS = (
    Run(OURS, 2, (0, 1, 1, 0)),
    Run(TORCHRUN, 2, (1, 0, 0, 1)),
    Run(OURS, 3, (2, 0, 1, 2)),
    Run(TORCHRUN, 3, (0, 2, 1, 0)),
    Run(OURS, 2, (1, 0, 1, 0)),
)


def trials(bench: Bench) -> Iterator[str]:
    """Kill ranks, one a trial."""
    corpus, undisturbed, left = bench.folder / "corpus", {}, bench.count
    write_corpus(corpus / "train", {"a": 0.6, "b": 0.5, "c": 0.02, "d": 0.4})
    write_corpus(corpus / "dev", {"e": 0.2, "f": 0.2})
    for number, run in enumerate(RUNS):
        victims = run.victims[: min(left, len(run.victims))]
        if not victims:
            return
        left -= len(victims)
        if run.ranks not in undisturbed:
            undisturbed[run.ranks] = undisturbed_end(corpus, bench.folder / f"undisturbed-{run.ranks}", run.ranks)
        disturbed = Disturbed(run, corpus, bench.folder / f"run-{number}", bench.random)
        yield from disturbed.outcomes(victims, undisturbed[run.ranks])


def undisturbed_end(corpus: Path, expdir: Path, ranks: int) -> str:
    """Return the end of a training that nobody disturbs."""
    config = from_dict(VQVAETrainingConfig, CONFIG)
    two_ranks.run(two_ranks.train, config, corpus, expdir, size=ranks)
    return end_of(expdir)


def end_of(expdir: Path) -> str:
    """Return a digest of a training's last checkpoint, but for its seconds."""
    _, state = load_newest(expdir / "checkpoints")
    state["progress"] |= {"elapsed": 0, "throughput": 0}
    return two_ranks.digest(state)


class Disturbed:
    """One run under a launcher, in a folder of its own."""

    def __init__(self, run: Run, corpus: Path, folder: Path, random: np.random.Generator) -> None:
        self.run, self.folder, self.random = run, folder, random
        self.folder.mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
        self.words = [
            "train", "--config", str(folder / "config.yaml"), "--train_dir", str(corpus / "train"), "--dev_dir",
            str(corpus / "dev"), "--expdir", str(folder / "exp"), "--device", "cpu", "--threads", "1",
        ]  # fmt: skip
        self.slowest = 1.0

    def outcomes(self, victims: tuple[int, ...], expected: str) -> list[str]:
        """Kill the victims, each in the attempt that follows the one before; return what became of each kill."""
        outcomes, log = [], self.folder / "log"
        moments = np.sort(self.random.choice(np.arange(2, LAST_KILL), len(victims), replace=False))
        with log.open("w") as stderr:
            process = self._start(len(victims), stderr)
            try:
                for attempt, (victim, step) in enumerate(zip(victims, moments.tolist())):
                    outcomes.append(self._kill(process, attempt, victim, step))
                ended = self._end(process, expected)
            finally:
                _kill_all(process)
        where = f"{self.run.launcher}, {self.run.ranks} ranks"
        if ended != HELD:
            ended += f"\n{log.read_text()[-2000:]}"
        return [
            f"{where}, rank {rank} killed at step {step}: {outcome or ended}" if outcome or ended else HELD
            for rank, step, outcome in zip(victims, moments, outcomes)
        ]

    def _start(self, restarts: int, stderr) -> subprocess.Popen:
        options = ["--standalone", "--nproc_per_node", str(self.run.ranks), "--max_restarts", str(restarts)]
        what = ["-m", elastic_rank.__name__, str(self.folder)]
        return subprocess.Popen(
            [sys.executable, "-m", self.run.launcher, *options, *what, *self.words], stdout=stderr, stderr=stderr,
            cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def _kill(self, process: subprocess.Popen, attempt: int, victim: int, step: int) -> str:
        """Kill a rank at a step, and wait until all ranks train again."""
        begun = self._wait(process, lambda: self._last(victim, attempt, step))
        if begun is None:
            return f"attempt {attempt} did not come to step {step} on rank {victim}"
        time.sleep(self.random.uniform(0, 2 * elastic_rank.PAUSE))
        with suppress(ProcessLookupError):
            os.kill(begun.pid, signal.SIGKILL)
        killed = time.time()
        again = self._wait(process, lambda: self._all_begun(attempt + 1))
        if again is None:
            return "the ranks did not train again"
        seconds = again - killed
        if seconds > SECONDS * self.slowest:
            return f"training again after {seconds:.0f} s, on a machine {self.slowest:.1f} times as slow as alone"
        return HELD

    def _last(self, rank: int, attempt: int, step: int) -> Step | None:
        """Return the step that a rank is at, if that is `step` or later in this attempt."""
        steps = steps_of(self.folder, rank)
        return steps[-1] if steps and steps[-1].attempt == attempt and steps[-1].number >= step else None

    def _all_begun(self, attempt: int) -> float | None:
        """Return when the last of the ranks had begun its first step in an attempt."""
        first = [[s.seconds for s in steps_of(self.folder, r) if s.attempt == attempt] for r in range(self.run.ranks)]
        return max(seconds[0] for seconds in first) if all(first) else None

    def _end(self, process: subprocess.Popen, expected: str) -> str:
        """Wait until the command ends; say what is wrong with its end."""
        if self._wait(process, lambda: process.poll() is not None or None) is None:
            return "the command hangs"
        if process.returncode != 0:
            return f"the command ended with status {process.returncode}"
        return HELD if end_of(self.folder / "exp") == expected else "the end is not that of an undisturbed training"

    def _wait(self, process: subprocess.Popen, found):
        """Return what `found` returns as soon as that is not None; None where the run has ended or hangs."""
        begin = time.monotonic()
        while (result := found()) is None:
            if time.monotonic() - begin > PATIENCE * self.slowest or process.poll() is not None:
                return found()
            time.sleep(0.01)
            if time.monotonic() - self._measured > 3:
                self.slowest, self._measured = max(self.slowest, slowness()), time.monotonic()
        return result

    _measured = 0.0


def _kill_all(process: subprocess.Popen) -> None:
    """End a launcher and all that it has started."""
    for pid in [process.pid, *children(process.pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


PROMISE = Promise(
    "elastic",
    "a lost worker costs a restart, not the run",
    "one rank of 2 or 3 killed by SIGKILL at a random moment, under torchrun and under our launcher with "
    f"`--max_restarts`: all train again within {SECONDS:.0f} s, and the end is bitwise that of an undisturbed training",
    sum(len(run.victims) for run in RUNS),
    trials,
    least=2,
    in_tests=1,
)
