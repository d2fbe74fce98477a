"""One update of the weights: loss, gradients, and the optimizer's step. Nothing changes where either is not finite.

    batch ─▶ micro-batch 0 ─▶ loss ─▶ gradients ─┐
             micro-batch 1 ─▶ loss ─▶ gradients ─┴─▶ mean ─▶ clip ─▶ step

On several ranks, each does this with its share of the crops, and the mean is over all of them.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, closing, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vqaudio.config import OptimizationConfig
from vqaudio.training.distributed import Replicas
from vqaudio.training.precision import autocast
from vqaudio.training.random_state import random_state, set_random_state

if TYPE_CHECKING:
    from vqaudio.training.task import Task


class NonFinite(Exception):
    """The loss, or the norm of its gradient, is NaN or infinite; the weights are as they were."""

    def __init__(self, loss: float, norm: float) -> None:
        super().__init__(f"loss {loss}, gradient's norm {norm}")
        self.loss, self.norm = loss, norm


class Update:
    """Learns from a batch at a time. On several ranks, `replicas` averages the gradients over them."""

    def __init__(self, task: Task, config: OptimizationConfig, device: torch.device) -> None:
        self.task, self.config, self.device = task, config, device
        self.parameters = list(task.modules.parameters())
        # beta2 below the usual 0.999: a training of minutes has a few thousand steps.
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True
        )
        self.replicas: Replicas | None = None

    def replicate(self, precision: torch.dtype) -> None:
        """Average the gradients over all ranks from here on.

        The first gradients that DistributedDataParallel averages show it in which order they come, and it lays them out
        anew for all later ones. Of three ranks or more, sums are rounded otherwise where they are laid out otherwise.
        So that a training that goes on rounds as one that was never cut, its first gradients are not those of a step.
        """
        self.replicas, random = Replicas(self.task), random_state(self.device)
        with closing(self.task.batches(0)) as batches:
            self._gradients(next(batches), 0, precision)
        self.optimizer.zero_grad(set_to_none=True)
        set_random_state(random, self.device)

    def step(self, batch: Any, step: int, rate: float, precision: torch.dtype) -> dict[str, Tensor | float]:
        """Update the weights at learning rate `rate`; return the scalars of the step. Raises NonFinite."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss, scalars = self._gradients(batch, step, precision)
        if self.replicas is not None:
            self.replicas.average_late_gradients()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.gradient_clip)
        if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
            raise NonFinite(loss.item(), norm.item())
        for parameter in self.task.idle_parameters:
            parameter.grad = None  # neither momentum nor weight decay moves it then
        self.optimizer.step()
        return {**scalars, "loss/total": loss, "train/gradient_norm": norm, "train/learning_rate": rate}

    def _gradients(self, batch: Any, step: int, precision: torch.dtype) -> tuple[Tensor, dict[str, Tensor]]:
        """Leave the gradients of the step in the parameters; return its loss and scalars, means over micro-batches."""
        learner = self.replicas or self.task
        with autocast(self.device, precision):
            parts = self.task.begin_step(batch, step)
        total, means = torch.zeros((), device=self.device), {}
        for number, part in enumerate(parts, start=1):
            with self._exchanged(number == len(parts)):
                with autocast(self.device, precision):
                    loss, scalars = learner.loss(part, step)
                (loss / len(parts)).backward()
            total = total + loss.detach() / len(parts)
            for name, value in scalars.items():
                means[name] = means.get(name, 0.0) + value / len(parts)
        return total, means

    def _exchanged(self, last: bool) -> AbstractContextManager:
        """Return the context of a micro-batch's gradients: with those of the last one, the sums go around the ranks."""
        return nullcontext() if last or self.replicas is None else self.replicas.kept_here()
