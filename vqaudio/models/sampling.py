"""Drawing from categorical distributions with uniform numbers given by the caller.

The draw is the inverse of the cumulative distribution in the order of the classes, so that any implementation
that follows the same few lines gives the same samples from the same uniforms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vqaudio.errors import VQAudioError


def check_sampling_options(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raise VQAudioError unless temperature > 0, top_k >= 1 and 0 < top_p <= 1 (None: no restriction)."""
    if not 0 < temperature < math.inf:
        hint = "; top_k=1 takes the most probable class" if temperature == 0 else ""
        raise VQAudioError(f"temperature: got {temperature!r}, expected a number greater than 0{hint}")
    if top_k is not None and (top_k < 1 or top_k != int(top_k)):
        raise VQAudioError(f"top_k: got {top_k!r}, expected a whole number of at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise VQAudioError(f"top_p: got {top_p!r}, expected a number in (0, 1]")


def filter_logits(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Return logits (..., K) divided by `temperature`, with the classes left out by top_k and top_p at -inf.

    top_k keeps the k most probable classes, and any that tie with the last of them. top_p then keeps the smallest
    set of most probable classes that holds at least the share `top_p` of what is left (Holtzman et al. 2020,
    *The Curious Case of Neural Text Degeneration*, sec. 3.1); equally probable ones enter in order of class.
    """
    check_sampling_options(temperature, top_k, top_p)
    if temperature != 1.0:
        logits = logits / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(int(top_k), dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    if top_p is not None and top_p < 1:
        ordered, classes = logits.sort(dim=-1, descending=True, stable=True)
        probabilities = ordered.softmax(-1)
        before = probabilities.cumsum(-1) - probabilities  # share held by the more probable classes
        # The first class always stays: rounding could put `before` of it above a tiny top_p.
        left_out = before >= top_p
        left_out[..., 0] = False
        logits = logits.masked_fill(torch.zeros_like(left_out).scatter(-1, classes, left_out), -math.inf)
    return logits


def sample_categorical(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Draw one class from each row of logits (B, K) with uniforms (B,) in [0, 1): LongTensor (B,).

    The class is the first whose cumulative probability exceeds the uniform, by float32 arithmetic; a class of
    probability 0 is never drawn.
    """
    cumulative = logits.float().softmax(-1).cumsum(-1)  # (B, K)
    # Relative to the sum, which rounding can leave below the uniform: some class always exceeds it.
    thresholds = uniforms[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, thresholds, right=True)[:, 0]


class Drawable(Protocol):
    """What one element can be drawn from; see `OutputDistribution`."""

    uniforms_per_sample: int

    def sample(
        self, parameters: Tensor, uniforms: Tensor, temperature: float, top_k: int | None, top_p: float | None
    ) -> Tensor:
        """Draw one element per row of parameters (B, P) with uniforms (B, U) in [0, 1)."""


@dataclass(frozen=True)
class Draw:
    """How the next element is drawn from its distribution's parameters.

    A function of tensors; and, for engines that draw without torch, the options that it is made of.
    """

    distribution: Drawable
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        check_sampling_options(self.temperature, self.top_k, self.top_p)

    def __call__(self, parameters: Tensor, uniforms: Tensor) -> Tensor:
        """Map parameters (B, P) and uniforms (B, U) to the next inputs of the stack (B,)."""
        return self.distribution.sample(parameters, uniforms, self.temperature, self.top_k, self.top_p)
