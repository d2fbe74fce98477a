"""A moving average of the weights, which is what is evaluated and published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a model's parameters; buffers are the model's own (the codebook has its average).

    The decay grows with the steps, min(decay, (1 + step) / (10 + step)), so that the first weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        self.average = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after `step` steps."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        parameters = dict(self.model.named_parameters())
        torch._foreach_lerp_(list(self.average.values()), [parameters[n].detach() for n in self.average], share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights within the block."""
        own = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self._assign(self.average)
        try:
            yield
        finally:
            self._assign(own)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged parameters by name."""
        return self.average

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over averaged parameters by name."""
        for name, tensor in self.average.items():
            tensor.copy_(state[name])

    @torch.no_grad()
    def _assign(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.copy_(values[name])
