"""SIGKILL at random moments of a training, which is resumed again and again until it is done.

begin ─▶ killed ─▶ resumed ─▶ killed ─▶ … ─▶ resumed ─▶ done: bitwise what it would have been without
          │ each time: what can be loaded is at most an interval behind, and nothing piles up
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.reliability.kill_moments import (
    NOT_MET,
    ByTheClock,
    draw_by_the_clock,
    draw_in_writing,
    train_until_killed,
)  # fmt: skip
from tests.reliability.promises import HELD, Bench, Promise
from tests.reliability.small_training import (
    LIMIT,
    SmallTraining,
    Told,
    begin,
    final_state,
    prepare,
    wait_until,
    what_is_wrong,
)  # fmt: skip
from vqaudio.audio.atomic import UNFINISHED

STEPS, LONGEST_CHAIN = 60, 20


def trials(bench: Bench) -> Iterator[str]:
    """Kill trainings, half of the times while a checkpoint is written."""
    training = prepare(bench.folder / "corpus", max_steps=STEPS)
    done = 0
    for number in range(2 * bench.count):
        outcomes = kill_again_and_again(training, bench.folder / f"chain{number}", bench.count - done, bench.random)
        yield from outcomes
        done += len(outcomes)
        if done == bench.count:
            return


def kill_again_and_again(training: SmallTraining, folder: Path, most: int, random: np.random.Generator) -> list[str]:
    """Train in a new folder to the end, killed at most `most` times on the way; return an outcome for each time."""
    folder.mkdir()
    outcomes: list[str] = []
    while True:
        killing = len(outcomes) < min(most, LONGEST_CHAIN)
        status = run_once(training, folder, in_writing=bool(len(outcomes) % 2), killing=killing, random=random)
        problem = what_is_wrong(folder / "exp", Told(folder / "told").heard())
        if status == -signal.SIGKILL and killing:
            outcomes.append(problem)
            continue
        problem = problem or what_differs(training, folder, status)
        if outcomes:
            outcomes[-1] = outcomes[-1] or problem
        elif problem:
            outcomes.append(problem)
        return outcomes  # none, where it came to its end before it could be killed


def run_once(
    training: SmallTraining, folder: Path, in_writing: bool, killing: bool, random: np.random.Generator
) -> int | None:
    """Run the training once, and return its status; None where it hangs."""
    moment = (draw_in_writing if in_writing else draw_by_the_clock)(random) if killing else None
    begun = Told(folder / "told.begun")
    begun.tell(0)
    process = begin(train_until_killed, training, folder / "exp", folder / "told", moment)
    if isinstance(moment, ByTheClock):
        wait_until(lambda: not moment.in_steps or begun.heard() or process.exitcode is not None)
        time.sleep(moment.seconds)
        process.kill()
    process.join(LIMIT)
    status = process.exitcode
    process.kill()
    return status


def what_differs(training: SmallTraining, folder: Path, status: int | None) -> str:
    """Say what is wrong with a training that was killed and resumed to its end; '' if nothing."""
    if status != 0:
        end = {None: "hangs", NOT_MET: "wrote a checkpoint without coming to its phase"}
        said = (folder / "said").read_text()[-2000:]
        return f"resumed, it {end.get(status, f'ends with the status {status}')}:\n{said}"
    if left := [path.name for path in folder.rglob(f"{UNFINISHED}*")]:
        return f"unfinished files are left at the end: {left}"
    return HELD if final_state(folder / "exp") == training.final else "the end is not that of a training without kills"


PROMISE = Promise(
    "kill",
    "a killed training loses at most the interval since its last checkpoint",
    "SIGKILL at random moments, half of them while a checkpoint is written; resume with the newest valid one",
    200,
    trials,
    least=4,
    in_tests=8,
)
