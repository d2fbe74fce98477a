"""One update of the weights: loss, gradients, and the optimizer's step. Nothing changes where either is not finite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vqaudio.config import OptimizationConfig
from vqaudio.training.precision import autocast

if TYPE_CHECKING:
    from vqaudio.training.distributed import Replicas
    from vqaudio.training.loop import Task


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

    def step(self, batch: Any, step: int, rate: float, precision: torch.dtype) -> dict[str, Tensor | float]:
        """Update the weights at learning rate `rate`; return the scalars of the step. Raises NonFinite."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with autocast(self.device, precision):
            loss, scalars = (self.replicas or self.task).loss(batch, step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.replicas is not None:
            self.replicas.average_late_gradients()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.gradient_clip)
        if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
            raise NonFinite(loss.item(), norm.item())
        self.optimizer.step()
        return {**scalars, "loss/total": loss.detach(), "train/gradient_norm": norm, "train/learning_rate": rate}
