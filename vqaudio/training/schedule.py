"""The length of a training and its learning rate: warm-up, a constant stretch, linear decay.

rate   ╭──────────────────╮
      ╱│                  │╲
     ╱ │                  │ ╲___ final
    ├──┤                  ├────┤
    warm-up            decay_share of all steps

Steps that learn spectra alone come before it, with a warm-up of their own and then at the full rate. With `max_minutes`
there are fewer of them where they would take more than `spectral_share` of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from vqaudio.config import OptimizationConfig

NOTICE = 10
"""Steps before their end at which the spectral steps are shortened: the batches of the next few are made already."""


@dataclass
class Schedule:
    """How many steps there are, and the learning rate of each.

    With `max_minutes`, `total_steps` is unknown (None) while the rate is constant, and is fixed when the decay begins,
    from the speed measured until then. From there on, and in a checkpoint, all depends on the step alone.
    """

    config: OptimizationConfig
    total_steps: int | None = None

    def __post_init__(self) -> None:
        self.spectral_steps = self.config.spectral_steps
        if self.config.max_steps is not None:
            self.total_steps = self.config.max_steps

    def shorten_spectra(self, step: int, elapsed: float, least: int) -> bool:
        """Let the spectral steps end soon if their time is over after `step` of them. True if they become fewer.

        There will be `least` of them, whatever time these take.
        """
        budget = (self.config.max_minutes or 0) * 60 * self.config.spectral_share
        end = max(step + NOTICE, least)
        if self.config.max_minutes is None or elapsed < budget or end >= self.spectral_steps:
            return False
        self.spectral_steps = end
        return True

    def plan(self, step: int, elapsed: float, spectral_seconds: float = 0.0) -> bool:
        """Fix `total_steps` if it is time to: `elapsed` seconds have gone by after `step` steps. True if it was.

        `spectral_seconds` of them went into the spectral steps, whose speed says nothing of that of the others.
        """
        budget = (self.config.max_minutes or 0) * 60 - spectral_seconds
        step, elapsed = step - self.spectral_steps, elapsed - spectral_seconds
        if self.total_steps is not None or step <= 0 or elapsed < budget * (1 - self.config.decay_share):
            return False
        step_seconds = elapsed / step
        self.total_steps = self.spectral_steps + step + round(max(0.0, budget - elapsed) / step_seconds)
        return True

    def learning_rate(self, step: int) -> float:
        """Return the rate for the step after `step` steps."""
        spectral = self.spectral_steps
        since = step if step < spectral else step - spectral  # the stack's first steps want a warm-up as well
        rate = self.config.learning_rate * min(1.0, (since + 1) / max(1, self.config.warmup_steps))
        if self.total_steps is None:
            return rate
        decay_steps = max(1, round((self.total_steps - spectral) * self.config.decay_share))
        left = (self.total_steps - step) / decay_steps
        return rate * max(self.config.final_rate_share, min(1.0, left))

    def is_done(self, step: int) -> bool:
        """Whether `step` steps are all."""
        return self.total_steps is not None and step >= self.total_steps

    def seconds_left(self, step: int, elapsed: float, spectral_seconds: float = 0.0) -> float:
        """Estimate the seconds to go after `step` steps that took `elapsed` seconds; see `plan`."""
        if self.total_steps is None:
            return max(0.0, (self.config.max_minutes or 0) * 60 - elapsed)
        if step > self.spectral_steps:
            elapsed, taken = elapsed - spectral_seconds, step - self.spectral_steps
        else:
            taken = max(1, step)
        return (self.total_steps - step) * elapsed / taken
