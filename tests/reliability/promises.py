"""A promise, and the trials that could break it.

A module of this folder makes one promise: `PROMISE = Promise("kill", …, trials)`. `trials(bench)` does `bench.count`
trials and yields one word on each: HELD, or a sentence that says what went wrong.
"""

from __future__ import annotations

import importlib
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
HELD = ""
NAMES = (
    "kill", "resume", "replicas", "elastic", "preemption", "disk", "extraction", "audio", "data_dirs", "models",
    "archives", "shell", "numbers",
)  # fmt: skip


@dataclass(frozen=True)
class Skipped:
    """A trial that cannot be done here, and why: it counts neither as tried nor as held."""

    reason: str


@dataclass(frozen=True)
class Bench:
    """What trials are given: how many to do, an empty folder to do them in, and random numbers."""

    count: int
    folder: Path
    random: np.random.Generator


@dataclass(frozen=True)
class Promise:
    """What is promised, in a sentence; what a trial does; how many there are in full, and how many at least."""

    name: str
    words: str
    trial: str
    count: int
    trials: Callable[[Bench], Iterator[str | Skipped]]
    least: int = 1
    """Trials that every run does, however small its share: enough to meet each kind of case."""
    in_tests: int | None = None
    """Trials among the tests (`least`, where not given); seconds all together."""

    def share(self, share: float) -> int:
        """Return how many trials a share of the full count is."""
        return min(self.count, max(self.least, round(share * self.count)))


@dataclass
class Account:
    """How a promise has fared."""

    promise: str
    tried: int = 0
    held: int = 0
    broken: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def row(self) -> dict[str, str | int]:
        """Return the row of the report."""
        return {"promise": self.promise, "tried": self.tried, "held": self.held}

    def take(self, outcome: str | Skipped) -> None:
        """Count one trial."""
        if isinstance(outcome, Skipped):
            self.skipped.append(outcome.reason)
            return
        self.tried += 1
        if outcome == HELD:
            self.held += 1
        else:
            self.broken.append(outcome)


def find_promise(name: str) -> Promise:
    """Return the promise of the module `name`."""
    return importlib.import_module(f"tests.reliability.{name}").PROMISE


def hold_to_account(
    promise: Promise, count: int, seed: int = 0, told: Callable[[Account], object] = lambda account: None
) -> Account:
    """Do `count` trials of a promise. An exception of the trials themselves is a promise that did not hold.

    `told` hears the account after every trial.
    """
    account = Account(promise.name)
    with tempfile.TemporaryDirectory(prefix=f"vqaudio-{promise.name}-") as folder:
        random = np.random.default_rng([seed, *promise.name.encode()])
        try:
            for outcome in promise.trials(Bench(count, Path(folder), random)):
                account.take(outcome)
                told(account)
        except Exception:
            account.take(f"the trial itself failed:\n{traceback.format_exc()}")
    missing = count - account.tried - len(account.skipped)
    if missing > 0 and not account.broken:
        account.take(f"{missing} of {count} trials were not done")
    return account
