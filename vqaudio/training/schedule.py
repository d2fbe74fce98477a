"""The length of a training and its learning rate: warm-up, a constant stretch, linear decay.

rate   ╭──────────────────╮
      ╱│                  │╲
     ╱ │                  │ ╲___ final
    ├──┤                  ├────┤
    warm-up            decay_share of all steps
"""

from __future__ import annotations

from dataclasses import dataclass

from vqaudio.config import OptimizationConfig


@dataclass
class Schedule:
    """How many steps there are, and the learning rate of each.

    With `max_minutes`, `total_steps` is unknown (None) while the rate is constant, and is fixed when the decay begins,
    from the speed measured until then. From there on, and in a checkpoint, all depends on the step alone.
    """

    config: OptimizationConfig
    total_steps: int | None = None

    def __post_init__(self) -> None:
        if self.config.max_steps is not None:
            self.total_steps = self.config.max_steps

    def plan(self, step: int, elapsed: float) -> bool:
        """Fix `total_steps` if it is time to: `elapsed` seconds have gone by after `step` steps. True if it was."""
        budget = (self.config.max_minutes or 0) * 60
        if self.total_steps is not None or step == 0 or elapsed < budget * (1 - self.config.decay_share):
            return False
        self.total_steps = step + round(max(0.0, budget - elapsed) / (elapsed / step))
        return True

    def learning_rate(self, step: int) -> float:
        """Return the rate for the step after `step` steps."""
        rate = self.config.learning_rate * min(1.0, (step + 1) / max(1, self.config.warmup_steps))
        if self.total_steps is None:
            return rate
        decay_steps = max(1, round(self.total_steps * self.config.decay_share))
        left = (self.total_steps - step) / decay_steps
        return rate * max(self.config.final_rate_share, min(1.0, left))

    def is_done(self, step: int) -> bool:
        """Whether `step` steps are all."""
        return self.total_steps is not None and step >= self.total_steps

    def seconds_left(self, step: int, elapsed: float) -> float:
        """Estimate the seconds to go after `step` steps that took `elapsed` seconds."""
        if self.total_steps is None:
            return max(0.0, (self.config.max_minutes or 0) * 60 - elapsed)
        return (self.total_steps - step) * elapsed / max(1, step)
