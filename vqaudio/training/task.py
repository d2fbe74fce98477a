"""What a training learns, as the loop sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from vqaudio.training.frequencies import Frequencies
from vqaudio.training.monitor import Monitor
from vqaudio.training.monitor_layout import Charts


class Task(Protocol):
    """What is learned. `model` is averaged and published; `modules` (with it) are trained and kept in checkpoints."""

    model: nn.Module
    modules: nn.ModuleDict
    items: str
    """What `items_per_step` counts, in the plural: 'samples' or 'units'."""
    items_per_step: int
    """Of one rank, in the step at hand."""
    late_parameters: list[nn.Parameter]
    """Those on which the loss of the first steps does not depend."""
    idle_parameters: list[nn.Parameter]
    """Those that the step at hand leaves as they are; set by `begin_step`."""
    spectral_steps: int
    """Steps at the beginning that leave the samples out. The trainer may set fewer, `NOTICE` steps ahead."""
    least_spectral_steps: int
    """As few as that they may become, where they are to be fewer than configured."""
    config: Any
    """The whole configuration, a dataclass."""
    charts: Charts
    """How TensorBoard groups the scalars."""
    frequencies: Frequencies
    """Of the symbols to be predicted; among `modules`, so that they are in checkpoints."""
    score: str
    """The scalar of `evaluate` by which checkpoints are compared; the lower, the better. It may be missing at first."""
    interruptible: Callable[[], AbstractContextManager]
    """Set by the trainer: the context of long work within `begin_step`, which a signal may break off."""

    def batches(self, start_step: int) -> Iterator[Any]:
        """Yield this rank's batches of steps `start_step`, …: a function of seed and step alone."""

    def names(self, batch: Any) -> str:
        """Name the utterances of a batch, for messages."""

    def begin_step(self, batch: Any, step: int) -> Sequence[Any]:
        """Return the micro-batches of a step's batch, all of one size. `loss` follows for each, then `after_step`."""

    def loss(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a micro-batch, and scalars for the log by their TensorBoard names.

        The step's are their means over micro-batches and ranks. Among them are 'loss/bits_per_sample' (or …_unit), the
        surprise at each item, and 'loss/unigram_bits_per_sample', what guessing by `frequencies` alone would cost;
        not in the first `spectral_steps` steps, which leave the samples out.
        """

    def after_step(self, step: int) -> None:
        """Do what follows the optimizer's step number `step` (0, 1, …): the codebook's own learning."""

    def window_scalars(self) -> dict[str, float]:
        """Return scalars over the window since the last call and over all ranks, and begin a new one."""

    def evaluate(self, monitor: Monitor, step: int, last: bool) -> dict[str, float]:
        """Return scalars on the dev set, and show what there is to see and hear. On rank 0 alone."""

    def publish(self, folder: Path) -> None:
        """Write the model folder. On rank 0 alone."""
