"""How far a training is, and what to say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `vqaudio info` does without torch
    from torch import Tensor


@dataclass
class Progress:
    """What is known of a run beside its weights; kept in checkpoints."""

    step: int = 0
    elapsed: float = 0.0
    """Seconds of training, over all resumptions."""
    spectral_seconds: float = 0.0
    """Those of them that went into the steps which leave the samples out."""
    spectral_steps: int | None = None
    """Their number, where there was no time for as many as configured."""
    total_steps: int | None = None
    accumulate_steps: int = 1
    """Micro-batches of the last steps: another run may take more or fewer, as it may have more or fewer ranks."""
    precision: str | None = None
    """As chosen at the beginning: measured again, another one could come out."""
    throughput: float = 0.0
    """Items per second of the steps alone, over the last interval of the log."""


@dataclass
class Interval:
    """Sums since the last line of the log."""

    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Of each scalar, and over how many steps: not every step has all."""
    items: int = 0
    seconds: float = 0.0

    def add(self, scalars: Mapping[str, Tensor | float], seconds: float, items: int) -> None:
        """Take in one step."""
        for name, value in scalars.items():
            total, steps = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + float(value), steps + 1
        self.items += items
        self.seconds += seconds

    def means(self) -> dict[str, float]:
        """Return the mean of each scalar."""
        return {name: total / steps for name, (total, steps) in self.sums.items()}


def format_seconds(seconds: float) -> str:
    """Return 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
