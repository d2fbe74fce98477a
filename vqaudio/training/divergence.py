"""Whether a training is lost: a loss that stays finite and yet will never come to anything.

Gradients are clipped and Adam divides them by their size, so that a learning rate hundreds of times too high seldom
makes a loss infinite. What it did make, over rates from 0.02 to 10^6, VQ-VAE and prior, was one of two things:

- the network forgets everything but how often each symbol occurs, and is no better than counting (Frequencies);
- the quantizer's terms, or the surprise itself, explode, to 10^3 and far more.

Either must hold for most of WINDOW steps. Medians are compared, not means: in a training that ended well, a single step
of 14,322 had a loss of 90,000, and the mean over the 400 steps around it was 60 times the usual.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from torch import Tensor

from vqaudio.training.distributed import Ranks
from vqaudio.training.schedule import Schedule

WINDOW = 100
"""Steps over which a loss must be bad."""
RECENT = 10
"""Steps before a checkpoint of which none may have exploded for the checkpoint to count as good."""
INTERVAL = 20
"""Steps between looks: the ranks agree on what they see."""
MARGIN = 0.03
"""Bits by which a network may miss what counting gives, where there is no more to be known: it learns with noise."""
EXPLODED = 10.0
"""Times the loss of an even guess. Healthy ones, of any output, began at less than twice that."""


class Divergence:
    """Watches the loss of each step. `bits`, `unigram`: the scalars of a step (bits per item) that are compared.

    `chance`: bits per item of an even guess.
    """

    def __init__(self, schedule: Schedule, bits: str, unigram: str, chance: float) -> None:
        self.schedule, self.chance = schedule, chance
        self._bits, self._unigram = bits, unigram
        self._window: deque[tuple[float, float, float]] = deque(maxlen=WINDOW)
        self.good_step: int | None = None
        """Of the last checkpoint that was saved while all was well."""
        self._learned = False  # whether a checkpoint was better than counting

    @property
    def patience(self) -> int:
        """Steps in which a network may know nothing: warm-up, and as many as let Adam move every weight by 1.

        Adam's steps are about the learning rate in size; weights begin at a tenth of 1 or less. Steps that learn
        spectra alone come before.
        """
        config = self.schedule.config
        moving = max(WINDOW, math.ceil(1 / config.learning_rate))
        return self.schedule.spectral_steps + config.warmup_steps + moving

    def _moved(self, step: int) -> float:
        """Return how far Adam can have moved a weight in `step` steps: the sum of their rates."""
        rate, warmup = self.schedule.config.learning_rate, self.schedule.config.warmup_steps
        step = max(0, step - self.schedule.spectral_steps)
        return rate * (step**2 / (2 * warmup) if step < warmup else step - warmup / 2)

    def take(self, scalars: Mapping[str, Tensor | float]) -> None:
        """Take in the scalars of a step. One that predicts nothing may explode; its surprise counts as none."""
        names = (self._bits, self._unigram, "loss/total")
        self._window.append(tuple(float(scalars.get(name, 0.0)) for name in names))

    def verdict(self, step: int, ranks: Ranks) -> str:
        """Return in a sentence why the training is lost after `step` steps; '' where it is not, or not for sure.

        For all ranks to call, at the same steps: they come to the same verdict.
        """
        if step % INTERVAL or len(self._window) < WINDOW:
            return ""
        seen = ranks.means(_medians(self._window))
        if self._is_exploded(seen):
            return (
                f"the loss has been about {seen['total']:.4g} for {WINDOW} steps, where an even guess among all values "
                f"would have {self._chance_nats:.3g}"
            )
        if step >= self.patience + WINDOW and seen["above"] > MARGIN:
            return (
                f"nothing is learned: for {WINDOW} steps the network has needed about {seen['bits']:.4g} bits for what "
                f"costs {seen['bits'] - seen['above']:.4g} by knowing only how often each value occurs (an even guess: "
                f"{self.chance:.4g})"
            )
        return ""

    def saved(self, step: int) -> None:
        """Take note of a checkpoint after `step` steps: it is good where the network is better than counting.

        At the very beginning, when no weight can have moved by 1, it need not be, until it was once.
        """
        recent = list(self._window)[-RECENT:]
        if not recent or any(self._is_exploded({"total": total}) for _, _, total in recent):
            return
        learned = _medians(recent)["above"] <= MARGIN
        if learned or (not self._learned and self._moved(step) <= 1):
            self.good_step, self._learned = step, self._learned or learned

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        window = [list(values) for values in self._window]
        return {"window": window, "good_step": self.good_step, "learned": self._learned}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self._window.clear()
        self._window.extend(tuple(map(float, values)) for values in state["window"])
        self.good_step, self._learned = state["good_step"], state["learned"]

    @property
    def _chance_nats(self) -> float:
        return self.chance * math.log(2)

    def _is_exploded(self, seen: Mapping[str, float]) -> bool:
        return seen["total"] > EXPLODED * self._chance_nats


def _medians(window: Iterable[tuple[float, float, float]]) -> dict[str, float]:
    """Return the medians of surprise (bits), its excess over counting (bits) and loss (nats)."""
    rows = list(window)
    return {
        "bits": median(bits for bits, _, _ in rows),
        "above": median(bits - unigram for bits, unigram, _ in rows),
        "total": median(total for _, _, total in rows),
    }
