"""No audio file crashes the toolkit, makes it wait or take memory, or brings into training what is no audio."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.reliability.audio_catalogue import CATALOGUE
from tests.reliability.audio_child import MOST_SECONDS, list_trials
from tests.reliability.audio_mutants import NAMES
from tests.reliability.promises import HELD, ROOT, Bench, Promise, Skipped

MUTANTS = 50_000
CASES = len(list_trials())
_SILENCE = 5 * MOST_SECONDS
"""Seconds without an outcome after which a child is ended that should have ended itself."""
_MOST_DEATHS = 5
"""Processes of one job after which it is given up: something ends them all."""


def trials(bench: Bench) -> Iterator[str | Skipped]:
    """Try the whole catalogue, and mutants."""
    if find_spec("av") is None:
        yield from [Skipped("PyAV is missing, which makes and reads G.722")] * bench.count
        return
    seed, count = int(bench.random.integers(1 << 30)), bench.count - CASES
    half = count // 2
    jobs = [
        Job(bench.folder / "catalogue", {"what": "catalogue"}, list(range(CASES))),
        Job(bench.folder / "mutants", {"what": "mutants", "seed": seed}, list(range(half))),
        Job(bench.folder / "mutants-too", {"what": "mutants", "seed": seed}, list(range(half, count))),
    ]
    try:
        while any(job.left for job in jobs):
            for job in jobs:
                if job.left:
                    yield from job.look()
            time.sleep(0.05)
    finally:
        for job in jobs:
            job.end()


class Job:
    """Trials by their numbers, done by one child after the other: where one dies, the next does what is left."""

    def __init__(self, folder: Path, order: dict[str, Any], numbers: list[int]) -> None:
        self.folder, self.order = folder, order
        self.left = dict.fromkeys(numbers)
        self.read, self.deaths, self.heard = 0, 0, 0.0
        self.child: subprocess.Popen | None = None
        folder.mkdir()
        for path in (folder.parent, folder):
            path.chmod(0o755)  # a trial without root's rights has to find its way

    def look(self) -> Iterator[str]:
        """Yield what has become of trials since the last look; see to the child."""
        if self.child is None:
            self.start()
        has_ended = self.child.poll() is not None  # asked first: what it has left is then all that it leaves
        yield from self.take()
        if has_ended and self.left:
            yield from self.take_death()
            self.child = None
        elif not has_ended and time.monotonic() - self.heard > _SILENCE:
            self.end()

    def start(self) -> None:
        """Start a child on what is left, in a folder of its own."""
        room = self.folder / f"child-{self.deaths}"
        room.mkdir()
        order = self.order | {"folder": str(room), "numbers": list(self.left)}
        (room / "order.json").write_text(json.dumps(order))
        with open(self.folder / "stderr", "ab") as said:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "tests.reliability.audio_child", str(room / "order.json")],
                cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
            )  # fmt: skip
        self.read, self.heard = 0, time.monotonic()

    @property
    def room(self) -> Path:
        """The folder of the child."""
        return self.folder / f"child-{self.deaths}"

    def take(self) -> Iterator[str]:
        """Yield the outcomes that were written since the last time."""
        if not (self.room / "outcomes").exists():
            return
        with open(self.room / "outcomes", encoding="utf-8") as file:
            file.seek(self.read)
            while (line := file.readline()).endswith("\n"):
                self.read, self.heard = file.tell(), time.monotonic()
                number, words = json.loads(line)
                del self.left[number]
                yield words or HELD

    def take_death(self) -> Iterator[str]:
        """Yield the outcome of the trial at which the child has died; after many deaths, that of all that is left."""
        at = self.room / "at"
        number = int((at.read_text() if at.exists() else "") or -1)
        number = number if number in self.left else next(iter(self.left))
        status, said = self.child.returncode, (self.folder / "stderr").read_text(errors="replace")[-300:]
        how = "hung" if status in (-signal.SIGALRM, -signal.SIGKILL) else f"ended with status {status}"
        del self.left[number]
        yield f"number {number} of {self.order}: the process {how}. It said last: {said}"
        self.deaths += 1
        if self.deaths == _MOST_DEATHS:
            yield from (f"number {number} was not tried: too many processes have ended" for number in self.left)
            self.left.clear()

    def end(self) -> None:
        """End the child, where there is one."""
        if self.child is not None and self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()


PROMISE = Promise(
    name="audio",
    words="no audio file crashes, hangs or lies",
    trial=f"{len(CATALOGUE)} kinds of good and bad files, each read, formatted, extracted and trained on; "
    f"{MUTANTS:,} mutants of {len(NAMES)} formats, in 2 GB of memory",
    count=CASES + MUTANTS,
    trials=trials,
    least=CASES + 1000,
)
