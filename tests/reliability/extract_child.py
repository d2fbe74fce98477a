"""A job of an extraction in a process of its own, forked from one that has everything imported; it may be told to die.

The job itself is the package's `extract_units`. What is added here makes it slow, so that it can be killed meanwhile,
or has it kill itself in the middle of something.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["tests.reliability.extract_child", "vqaudio.units.extract", "vqaudio.models.folder", "torch._dynamo"]
)
LIMIT = 60.0
"""Seconds that a job may take: some hundred times what it does."""


@dataclass(frozen=True)
class Orders:
    """How a job is to work: seconds that it takes longer for each utterance, and where it is to be killed.

    `dies_at_line`: in the middle of the n-th line that it adds to its unfinished units. `dies_at_rename`: before the
    n-th file takes its final name; of negative ones, after the -n-th has.
    """

    delay: float = 0.0
    dies_at_line: int = 0
    dies_at_rename: int = 0


@dataclass
class Job:
    """A job that was started."""

    process: BaseProcess
    said: Path

    @property
    def status(self) -> int | None:
        """Return its exit status, -N for the signal N; None as long as it runs."""
        return self.process.exitcode

    def words(self) -> str:
        """Return what it has said."""
        return self.said.read_text(encoding="utf-8") if self.said.exists() else ""


@dataclass
class Crew:
    """Jobs that share an output folder, and a corpus and a model to work with."""

    model: Path
    data: Path
    out: Path
    collapse: bool
    jobs: list[Job] = field(default_factory=list)

    def start(self, shard: str | None = None, orders: Orders = Orders()) -> Job:
        """Start the job of a shard, or of the whole."""
        said = self.out.with_name(f"{self.out.name}.said.{len(self.jobs)}")
        said.parent.mkdir(exist_ok=True)
        process = FORKS.Process(target=work, args=(self.model, self.data, self.out, self.collapse, shard, orders, said))
        process.start()
        self.jobs.append(Job(process, said))
        return self.jobs[-1]

    def wait(self, *jobs: Job) -> None:
        """Wait until jobs have ended. Raises TimeoutError where one does not."""
        deadline = time.monotonic() + LIMIT
        for job in jobs:
            job.process.join(max(0.0, deadline - time.monotonic()))
            if job.status is None:
                raise TimeoutError(f"a job has not ended after {LIMIT:g} s: {job.words()}")

    def kill(self, job: Job) -> None:
        """Kill a job as `kill -9` does, if it still runs."""
        job.process.kill()
        self.wait(job)

    def end(self) -> None:
        """Kill all that still run."""
        for job in self.jobs:
            job.process.kill()
            job.process.join()


def work(model: Path, data: Path, out: Path, collapse: bool, shard: str | None, orders: Orders, said: Path) -> None:
    """Do a job; exit with status 2 and the message where it is refused, as the command does."""
    import torch
    from tqdm import tqdm

    from vqaudio.corpus import DataDir
    from vqaudio.errors import VQAudioError
    from vqaudio.models.folder import load_vqvae
    from vqaudio.units.extract import extract_units
    from vqaudio.units.sharding import Shard

    torch.set_num_threads(1)
    tqdm.set_lock(
        threading.RLock()
    )  # its own is a semaphore of the system's, which a killed process would leave behind
    log = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 2)
    follow(orders)
    part = None if shard is None else Shard.parse(shard, {})
    try:
        network, _ = load_vqvae(model)
        extract_units(network, DataDir.load(data), out, collapse=collapse, max_rejected_share=0.5, progress=False,
                      shard=part)  # fmt: skip
    except VQAudioError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def follow(orders: Orders) -> None:
    """Change the package in this process so that it does what the orders say."""
    from vqaudio.units import extract, partial

    encode, form = extract.encode_utterance, partial.format_line
    lines, renames = 0, 0

    def slow(*arguments):
        time.sleep(orders.delay)
        return encode(*arguments)

    def half(utt, units):
        nonlocal lines
        lines += 1
        line = form(utt, units)
        if lines == orders.dies_at_line:
            path = next(Path(f"/proc/self/fd/{fd}").resolve() for fd in os.listdir("/proc/self/fd") if is_partial(fd))
            with open(path, "ab", buffering=0) as file:
                file.write(line.encode()[: max(1, len(line) // 2)])
            die()
        return line

    def replace(source, target, rename=os.replace):
        nonlocal renames
        renames += 1
        if renames == orders.dies_at_rename:
            die()
        rename(source, target)
        if renames == -orders.dies_at_rename:
            die()

    extract.encode_utterance, partial.format_line, os.replace = slow, half, replace


def is_partial(descriptor: str) -> bool:
    """Whether a descriptor of this process is that of unfinished units."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").endswith("units.partial.txt")
    except OSError:
        return False


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
