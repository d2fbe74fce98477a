"""What torchrun starts in place of `-m vqaudio`: the same command, which notes every step of its rank.

python -m tests.reliability.elastic_rank FOLDER train --config … ─▶ FOLDER/rank-<r>: a line for each step that begins,
"<attempt> <step> <pid> <seconds>"
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PAUSE = 0.02
"""Seconds that a step takes beside its own: the training should not have ended before it is killed."""


@dataclass(frozen=True)
class Step:
    """A step that a rank has begun: by which attempt of torchrun's, which one, in which process, and when."""

    attempt: int
    number: int
    pid: int
    seconds: float


def steps_of(folder: Path, rank: int) -> list[Step]:
    """Return the steps that a rank has begun until now."""
    path = folder / f"rank-{rank}"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []  # the last one may be half written
    return [Step(int(a), int(n), int(p), float(s)) for a, n, p, s in map(str.split, lines)]


def main() -> int:
    """Run the command."""
    from vqaudio.cli.main import main as command
    from vqaudio.training import loop

    folder, *words = sys.argv[1:]
    attempt = os.environ["TORCHELASTIC_RESTART_COUNT"]
    notes = (Path(folder) / f"rank-{os.environ['RANK']}").open("a")
    original = loop.Trainer._step

    def step(trainer, batch):
        print(attempt, trainer.progress.step, os.getpid(), time.time(), file=notes, flush=True)
        time.sleep(PAUSE)
        return original(trainer, batch)

    loop.Trainer._step = step
    return command(words)


if __name__ == "__main__":
    sys.exit(main())
