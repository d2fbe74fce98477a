"""Timing two programs against each other, so that what else the machine does falls on both.

    round      1            2            3
            ours peer    peer ours    ours peer   …      medians over the rounds

Both run in one process, on the same core, by turns. A round of each takes about as long, however fast it is.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import torch

from benchmarks.rows import Row, Unit
from vqaudio.errors import VQAudioError
from vqaudio.training.loop import describe_machine


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int = 7
    seconds: float = 1.0
    """About how long one side takes in a round; at least one run."""
    quick: bool = False
    """Whether to work on less, too: to see that all runs, rather than how fast."""


FULL, QUICK = Effort(), Effort(rounds=2, seconds=0.05, quick=True)


@dataclass(frozen=True)
class Side:
    """Work that can be done again and again: `run` does `amount` pieces of it."""

    name: str
    run: Callable[[], object]
    amount: float


@dataclass(frozen=True)
class Limit:
    """The highest possible speed in pieces of work a second, and where that figure comes from."""

    speed: float
    how: str


@dataclass(frozen=True)
class Contest:
    """What a benchmark sets up: our side, the peer's (or the name and the reason why there is none), and the limit."""

    ours: Side
    peer: Side | Absent
    limit: Limit | None = None
    memory: str = ""
    note: str = ""


@dataclass(frozen=True)
class Absent:
    """A peer that is not there."""

    name: str
    reason: str


@dataclass(frozen=True)
class Benchmark:
    """One path: what it measures, in which unit, how it is set up, and the cores that it is given."""

    what: str
    unit: Unit
    prepare: Callable[[Effort], Contest]
    cores: int = 1


def use_cores(cores: int) -> None:
    """Keep this process to its last `cores` CPUs and torch to as many threads.

    Raises VQAudioError where there are fewer. Where the system cannot bind a process, the number of threads has to do.
    """
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < cores:
            raise VQAudioError(f"this needs {cores} cores, and may use {len(allowed)} here")
        os.sched_setaffinity(0, allowed[-cores:])
    torch.set_num_threads(cores)


def surroundings() -> dict[str, Any]:
    """Return what figures depend on beside the code: for the JSON file, and for the line above the table."""
    bound = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {
        "machine": describe_machine(torch.device("cpu")),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
        "cores": torch.get_num_threads() if bound is None else len(bound),
    }


def hold(path: str, unit: Unit, contest: Contest, effort: Effort) -> Row:
    """Time a contest and return its row."""
    sides = [side for side in (contest.ours, contest.peer) if isinstance(side, Side)]
    speeds = speeds_by_turns(sides, effort)  # per side and round
    values = [unit.value(statistics.median(s)) for s in speeds]
    limit = contest.limit
    note = "; ".join(filter(None, (contest.note, limit and f"limit: {limit.how}")))
    row = {
        "path": path, "unit": unit.name, "peer_name": contest.peer.name, "memory": contest.memory, "note": note,
        "ours": values[0], "of_limit": limit and statistics.median(speeds[0]) / limit.speed,
    }  # fmt: skip
    if isinstance(contest.peer, Absent):
        return Row(**row, failed=contest.peer.reason)
    ratios = [ours / peer for ours, peer in zip(*speeds)]
    return Row(**row, peer=values[1], ratio=unit.times_faster(*values), ratio_range=(min(ratios), max(ratios)))


def speeds_by_turns(sides: Sequence[Side], effort: Effort) -> list[list[float]]:
    """Return the speed of each side in each round, in pieces of work a second."""
    repeats = [_repeats(side, effort.seconds) for side in sides]
    speeds: list[list[float]] = [[] for _ in sides]
    order = list(range(len(sides)))
    for _ in range(effort.rounds):
        for i in order:
            start = time.perf_counter()
            for _ in range(repeats[i]):
                sides[i].run()
            speeds[i].append(repeats[i] * sides[i].amount / (time.perf_counter() - start))
        order.reverse()
    return speeds


def _repeats(side: Side, seconds: float) -> int:
    """Return how often the side runs in about so many seconds; the first run, which sets things up, does not count."""
    side.run()
    start = time.perf_counter()
    side.run()
    return max(1, math.ceil(seconds / max(time.perf_counter() - start, 1e-9)))
