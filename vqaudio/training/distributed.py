"""Training on several ranks: what they agree on, and gradients that are averaged over them.

    rank 0   crops ─▶ loss ─▶ gradients ─┐             ┌─▶ step ─▶ log · evaluate · checkpoint · model folder
    rank 1   crops ─▶ loss ─▶ gradients ─┼─▶ average ──┼─▶ step
    rank 2   crops ─▶ loss ─▶ gradients ─┘             └─▶ step          weights stay bitwise equal

Tensors of the model travel in the default process group (NCCL between GPUs, gloo between processors). All else goes
through a second group, `control`, always gloo, whose patience outlasts whatever rank 0 does alone.
"""

from __future__ import annotations

import inspect
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from vqaudio.models.ranks import mean_over_ranks

if TYPE_CHECKING:
    from vqaudio.training.task import Task

T = TypeVar("T")
COMPUTE_PATIENCE = timedelta(minutes=30)
"""Of a rank that waits for the others within a step: longer than any reading of a batch."""
CONTROL_PATIENCE = timedelta(hours=6)
"""Of a rank that waits between steps: longer than an evaluation. That a rank has ended is noticed long before, for its
connections close (see also torchrun.py)."""


@dataclass(frozen=True)
class Ranks:
    """This process among the ranks of a training; by default the only one.

    Every method but the properties is for all ranks to call, in the same order. Alone, they cost nothing.
    """

    rank: int = 0
    world_size: int = 1
    machines: int = 1
    control: dist.ProcessGroup | None = None

    @property
    def alone(self) -> bool:
        """Whether there is one rank."""
        return self.world_size == 1

    @property
    def first(self) -> bool:
        """Whether this is rank 0: the one that writes, and decides where the others could come to another result."""
        return self.rank == 0

    def from_first(self, make: Callable[[], T]) -> T:
        """Return what `make` returns on rank 0, the only one to call it: plain values, and tensors on the CPU."""
        if self.alone:
            return make()
        box = [make() if self.first else None]
        dist.broadcast_object_list(box, src=0, group=self.control)
        return box[0]

    def gathered(self, value: T) -> list[T]:
        """Return the values of all ranks, in their order."""
        if self.alone:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value, group=self.control)
        return values

    def means(self, scalars: Mapping[str, float]) -> dict[str, float]:
        """Return the mean over the ranks of each scalar; all have the same names."""
        if self.alone:
            return dict(scalars)
        values = torch.tensor(list(scalars.values()), dtype=torch.float64)
        dist.all_reduce(values, group=self.control)
        return dict(zip(scalars, (values / self.world_size).tolist()))

    def agreed_stop(self, request: signal.Signals | None) -> signal.Signals | None:
        """Return the signal that this or any other rank was asked to stop by; None where none was."""
        if self.alone:
            return request
        number = torch.tensor(request or 0)
        dist.all_reduce(number, dist.ReduceOp.MAX, group=self.control)
        return signal.Signals(number.item()) if number else None

    def wait(self) -> None:
        """Wait until all ranks are here."""
        if not self.alone:
            dist.barrier(group=self.control)


ALONE = Ranks()


def seed_of_rank(seed: int, rank: int, step: int = 0) -> int:
    """Return the seed of what a rank draws at random from a step on: `seed` itself for rank 0, at the beginning."""
    return seed if rank == step == 0 else int(np.random.SeedSequence([seed, rank, step]).generate_state(1)[0])


def changed_shares(before: tuple[int, int], now: tuple[int, int], batch_size: int, step: int) -> str:
    """Return what it means for a training, after `step` steps, that its ranks and the micro-batches of each change."""
    names = zip(("ranks", "accumulate_steps"), before, now)
    changes = ", ".join(f"{name}: {old} until here, {new} from here on" for name, old, new in names if old != new)
    old, new = (ranks * parts * batch_size for ranks, parts in (before, now))
    crops = f"A step takes {new} crops, as until here"
    if old != new:
        crops = f"A step takes {new} crops instead of {old}; the place in the data is that of step {step} with so many"
    return (
        f"{changes}. {crops}; ranks and micro-batches draw random numbers of their own. The result is not, bit for "
        "bit, that of a training without this change"
    )


_DDP_OPTIONS = inspect.signature(nn.parallel.DistributedDataParallel).parameters


class _Loss(nn.Module):
    """A task's loss as the forward pass of a module that holds its parameters, as DistributedDataParallel wants it."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.trained, self._loss = task.modules, task.loss

    def forward(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        loss, scalars = self._loss(batch, step)
        # Times 1, or NaN where the loss is not finite: then the gradients are not either, on every rank, and all come
        # to the same end at the same step.
        value = loss.detach()
        loss.register_hook(lambda gradient: gradient * (1 + 0 * value))
        return loss, scalars


class Replicas:
    """A task's loss, its gradients averaged over the ranks by DistributedDataParallel while they are computed.

    Buffers are not sent around: the codebook's statistics are summed by the quantizer itself, the rest is constant.
    DistributedDataParallel wants every parameter to have a part in every loss. `task.late_parameters`, which at first
    have none and then no gradient either, are averaged here instead.
    """

    def __init__(self, task: Task) -> None:
        self._late = task.late_parameters
        for parameter in self._late:
            parameter.requires_grad_(False)  # what it does not see at its construction, it leaves alone
        buffers = (
            "forward_sync_buffers" if "forward_sync_buffers" in _DDP_OPTIONS else "broadcast_buffers"
        )  # torch < 2.13
        self._module = nn.parallel.DistributedDataParallel(
            _Loss(task), gradient_as_bucket_view=True, **{buffers: False}
        )
        for parameter in self._late:
            parameter.requires_grad_(True)

    def loss(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of this rank's batch, and its scalars: their means over the ranks are those of all."""
        return self._module(batch, step)

    def kept_here(self) -> AbstractContextManager:
        """Return the context in which losses and their gradients, added up, stay with this rank."""
        return self._module.no_sync()

    def average_late_gradients(self) -> None:
        """Finish what `backward` began."""
        for parameter in self._late:
            if parameter.grad is not None:
                parameter.grad.copy_(mean_over_ranks(parameter.grad))
