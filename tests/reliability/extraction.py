"""Parallel extraction: whatever becomes of its jobs, the units are those of a single process, byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from tests.recipes.launcher import launch_command
from tests.reliability.extract_child import Crew, Job, Orders
from tests.reliability.promises import HELD, Bench, Promise
from tests.small import SPEAKERS, small_vqvae, write_data
from vqaudio.audio.lock_file import holder
from vqaudio.models.folder import save_model
from vqaudio.units.sharding import Shard

ROUNDS = 40  # of jobs killed and started again, before the last ones are left in peace
SLOW = 0.004  # seconds that an utterance takes, so that a shard takes about a tenth of a second
KILLED, REFUSED = -signal.SIGKILL, 2


class Broken(Exception):
    """What went wrong in a trial."""


# ----------------------------------------------------------------------------------------- what befalls the jobs


def killed(crew: Crew, random: np.random.Generator) -> None:
    """Kill jobs at random moments, and start them again, until all shards are done."""
    shards = shards_of(int(random.integers(2, 6)))
    for number in range(ROUNDS):
        jobs = {shard: crew.start(shard, Orders(delay=SLOW)) for shard in shards}
        time.sleep(random.uniform(0.02, 0.3))
        for job in jobs.values():
            if number + 1 < ROUNDS and random.random() < 0.6:
                crew.kill(job)
        crew.wait(*jobs.values())
        shards = [shard for shard, job in jobs.items() if ended(job, 0, KILLED) == KILLED]
        if not shards:
            return
    raise Broken(f"shards {shards} are not done after {ROUNDS} rounds")


def half(crew: Crew, random: np.random.Generator) -> None:
    """Kill each job in the middle of a line, some more than once; what is left of the line is no unit sequence."""
    for shard in shards_of(int(random.integers(1, 5))):
        for _ in range(int(random.integers(1, 4))):
            job = crew.start(shard, Orders(dies_at_line=int(random.integers(1, 4))))
            crew.wait(job)
            ended(job, 0, KILLED)  # done: it had fewer lines to add
        finish(crew, shard)


def twice(crew: Crew, random: np.random.Generator) -> None:
    """Start two runs of the same shard, and two of the whole: one is refused, and told by whom."""
    count = int(random.integers(1, 4))
    for shard in [*shards_of(count), None]:
        jobs = [crew.start(shard, Orders(delay=SLOW)) for _ in range(2)]
        crew.wait(*jobs)
        first, second = sorted(jobs, key=lambda job: ended(job, 0, REFUSED))
        if first.status == REFUSED:
            raise Broken(f"both runs of {shard or 'the whole'} were refused: {first.words()}")
        if second.status == REFUSED and f"process {first.process.pid} on " not in second.words():
            raise Broken(f"the refusal does not name process {first.process.pid}: {second.words()}")


def slow(crew: Crew, random: np.random.Generator) -> None:
    """One rank takes ten times as long: who would complete the units without it is refused, until it is done."""
    count = int(random.integers(2, 5))
    late = f"{int(random.integers(1, count + 1))}/{count}"
    laggard = crew.start(late, Orders(delay=10 * SLOW))
    for shard in shards_of(count):
        if shard != late:
            finish(crew, shard)
    wait_for(lambda: holder(crew.out / "shards" / late.replace("/", "-of-") / ".lock") or laggard.status is not None)
    early = crew.start()
    crew.wait(early)
    if laggard.status is None and (early.status != REFUSED or f"shard {late}: process" not in early.words()):
        raise Broken(f"the whole was to be refused for shard {late}: status {early.status}, {early.words()!r}")
    if random.random() < 0.5:
        crew.kill(laggard)
    crew.wait(laggard)
    ended(laggard, 0, KILLED)


def redivided(crew: Crew, random: np.random.Generator) -> None:
    """Divide the work one way, kill some jobs, go on with another division, in part at the same time."""
    for count in random.permutation([1, 2, 3, 5])[:3]:
        jobs = [crew.start(shard, Orders(delay=SLOW)) for shard in shards_of(int(count)) if random.random() < 0.8]
        time.sleep(random.uniform(0.05, 0.3))
        for job in jobs:
            if random.random() < 0.4:
                crew.kill(job)
            elif random.random() < 0.7:  # else it goes on beside those of the next division
                crew.wait(job)
    crew.wait(*crew.jobs)
    for job in crew.jobs:
        ended(job, 0, KILLED)


def last(crew: Crew, random: np.random.Generator) -> None:
    """Kill the job that completes the units, at random moments and on either side of each rename."""
    for shard in shards_of(2):
        if random.random() < 0.7:
            finish(crew, shard)
    renames = [1, -1, 2, -2, 3, -3, 4, -4, 5]
    for number in random.permutation(renames)[:4]:
        job = crew.start(orders=Orders(delay=SLOW, dies_at_rename=int(number)))
        if random.random() < 0.3:
            time.sleep(random.uniform(0.0, 0.2))
            crew.kill(job)
        crew.wait(job)
        ended(job, 0, KILLED)


def command(crew: Crew, random: np.random.Generator) -> None:
    """The same by the command and the launcher of jobs: a process of a shard is killed, and all are sent again."""
    words = [sys.executable, "-m", "vqaudio", "extract", "--model", crew.model, "--data_dir", crew.data,
             "--out", crew.out, "--max_rejected_share", "0.5", "--threads", "1", "--shard", "JOB/3"]  # fmt: skip
    words = launch_command("local", "--max_jobs_run", 2, "JOB=1:3", crew.out.with_name("log") / "x.JOB.log", *words)
    victim = crew.out / "shards" / f"{int(random.integers(1, 3))}-of-3" / ".lock"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    sent = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_for(lambda: holder(victim) or sent.poll() is not None, 120)
        time.sleep(random.uniform(0.0, 0.3))
        if note := holder(victim):
            os.kill(int(note.split()[1]), signal.SIGKILL)
        said = sent.communicate(timeout=120)[0]
    finally:
        sent.kill()
    if note and (sent.returncode != 1 or "Killed" not in said):
        raise Broken(f"the launcher does not tell of a killed job: status {sent.returncode}, {said}")
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Broken(f"the same jobs, sent again: status {done.returncode}, {done.stderr}")


KINDS: tuple[Callable[[Crew, np.random.Generator], None], ...] = (
    killed, half, twice, slow, redivided, last, killed, half, twice, redivided, last, command,
)  # fmt: skip

# -------------------------------------------------------------------------------------------------- trials


def shards_of(count: int) -> list[str]:
    """Return the names of so many shards."""
    return [str(Shard(index=index, count=count)) for index in range(1, count + 1)]


def ended(job: Job, *expected: int) -> int:
    """Return the exit status of a job, which is one of those expected."""
    if job.status not in expected:
        raise Broken(f"a job ended with status {job.status}, expected {' or '.join(map(str, expected))}: {job.words()}")
    return job.status


def finish(crew: Crew, shard: str | None) -> None:
    """Do a shard, or the whole, undisturbed."""
    job = crew.start(shard)
    crew.wait(job)
    ended(job, 0)


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it never came to that")
        time.sleep(0.002)


def content(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def try_one(
    kind: Callable[[Crew, np.random.Generator], None], crew: Crew, alone: dict[str, bytes], random: np.random.Generator
) -> str:
    """Let something befall the jobs of a crew, complete their work, and compare it with that of a single process."""
    try:
        kind(crew, random)
        finish(crew, None)
    except (Broken, TimeoutError, subprocess.TimeoutExpired) as error:
        return f"{kind.__name__}: {error}"
    finally:
        crew.end()
    left = content(crew.out)
    if left == alone:
        return HELD
    differing = sorted(name for name in left.keys() | alone.keys() if left.get(name) != alone.get(name))
    return f"{kind.__name__}: not what a single process leaves: {', '.join(differing)}"


def make_corpus(folder: Path, random: np.random.Generator, count: int) -> Path:
    """Write utterances of many lengths, one of which cannot be read."""
    lengths = {f"{SPEAKERS[i % 2]}-{i:03d}": int(random.integers(1, 4000)) for i in range(count)}
    data = write_data(folder, lengths)
    Path(data.utterances[count // 2].recording).write_bytes(b"no audio")
    return folder


def trials(bench: Bench) -> Iterator[str]:
    """Yield the outcome of each trial, the kinds in turn, every other one with runs collapsed."""
    model = bench.folder / "model"
    save_model(model, small_vqvae(), SPEAKERS, {})
    corpora = {
        many: make_corpus(bench.folder / f"data{many}", bench.random, many)
        for many in (24, *[600] * (bench.count >= len(KINDS)))  # the command needs time to be killed in
    }
    alone: dict[tuple[int, bool], dict[str, bytes]] = {}
    for number, kind in enumerate(islice(cycle(KINDS), bench.count)):
        many, collapse = (600, False) if kind is command else (24, bool(number // 2 % 2))
        if (many, collapse) not in alone:
            single = Crew(model, corpora[many], bench.folder / f"alone-{many}-{collapse}" / "units", collapse)
            finish(single, None)
            alone[many, collapse] = content(single.out)
        crew = Crew(model, corpora[many], bench.folder / f"trial-{number}" / "units", collapse)
        yield try_one(kind, crew, alone[many, collapse], bench.random)


PROMISE = Promise(
    "extraction",
    "parallel extraction loses, doubles and halves no unit line",
    "jobs killed at random and in the middle of a line and restarted, two runs in one folder, a rank ten times slower "
    "than the others, other numbers of shards midway: the files are byte-identical to a single process's",
    50,
    trials,
    least=len(KINDS),
    in_tests=6,
)
