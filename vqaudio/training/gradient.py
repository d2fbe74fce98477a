"""The gradient of a batch: in one piece, or on a CPU in parts that its cores compute side by side.

A step on a CPU is over a thousand operations of a tenth of a millisecond. With all cores in each operation they spend a
good part of it waiting for one another; with a part of the batch, and all of its operations, to each core, they meet
once a step:

    batch ─┬─▶ part 0 ─▶ loss ─▶ gradients ─┬─▶ mean ─▶ .grad
           └─▶ part 1 ─▶ loss ─▶ gradients ─┘
               (one thread each)
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vqaudio.training.precision import autocast


@dataclass
class Loss:
    """What a task makes of a batch, or of a part of one."""

    value: Tensor
    """The loss, a scalar: a mean, so that the mean over equal parts is that of the whole."""
    scalars: dict[str, Tensor]
    """For the log, by their TensorBoard names; means too."""
    kept: Any = None
    """What the task wants back after the step."""


class Differentiable(Protocol):
    """A task as far as its gradient is concerned."""

    draws_randomly: bool
    """Whether the loss draws random numbers: threads would take them from one source in no certain order."""

    def split(self, batch: Any, parts: int) -> Sequence[Any]:
        """Divide a batch into equal parts."""

    def loss(self, batch: Any, step: int) -> Loss:
        """Return the loss of a batch or part."""


class BatchGradient:
    """Sets the gradients of `parameters` from batches, in the parts that suit the device and the batch."""

    def __init__(
        self, task: Differentiable, parameters: Sequence[nn.Parameter], device: torch.device, batch_size: int
    ) -> None:
        self.task, self.parameters, self.device = task, parameters, device
        threads = torch.get_num_threads()
        alone = device.type != "cpu" or task.draws_randomly
        self.parts = 1 if alone else max(n for n in range(1, threads + 1) if batch_size % n == 0)
        self._pool = None
        if self.parts > 1:
            self._pool = ThreadPoolExecutor(self.parts, "part")
            started = Barrier(self.parts)

            def limit(_: int) -> None:
                torch.set_num_threads(max(1, threads // self.parts))  # of the thread that calls it
                started.wait()

            list(self._pool.map(limit, range(self.parts)))
            torch.set_num_threads(threads)  # a part of the setting, the BLAS's, is the whole process's

    def compute(self, batch: Any, step: int, precision: torch.dtype) -> Loss:
        """Set .grad of the parameters; the loss returned is the mean over the parts, `kept` a list of theirs."""
        if self._pool is None:
            found = [self._differentiate(batch, step, precision)]
        else:
            parts = self.task.split(batch, self.parts)
            found = list(self._pool.map(lambda part: self._differentiate(part, step, precision), parts))
        losses, gradients = zip(*found)
        for parameter, of_parts in zip(self.parameters, zip(*gradients)):
            parameter.grad = _mean(of_parts)
        scalars = {name: _mean([loss.scalars[name] for loss in losses]) for name in losses[0].scalars}
        return Loss(_mean([loss.value for loss in losses]), scalars, [loss.kept for loss in losses])

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _differentiate(self, part: Any, step: int, precision: torch.dtype) -> tuple[Loss, tuple[Tensor | None, ...]]:
        with autocast(self.device, precision):  # of this thread alone
            loss = self.task.loss(part, step)
        # Not backward(): threads would add to the same .grad at the same time.
        gradients = torch.autograd.grad(loss.value, self.parameters, allow_unused=True)
        loss.value = loss.value.detach()
        return loss, gradients


def _mean(tensors: Sequence[Tensor | None]) -> Tensor | None:
    """Return the mean of tensors, in their order; None where all are."""
    given = [tensor for tensor in tensors if tensor is not None]
    if len(tensors) == 1 or not given:
        return tensors[0]
    return torch.stack(given).sum(dim=0).div_(len(tensors))

