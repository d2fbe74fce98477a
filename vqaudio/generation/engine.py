"""The interface of generation engines, and their choice by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from vqaudio.errors import VQAudioError, did_you_mean
from vqaudio.generation.packed import PackedStack
from vqaudio.generation.torch_engine import Draw, TorchEngine

T = TypeVar("T")

ENGINES = {TorchEngine.name: TorchEngine}
"""Engines by name, in the order in which "auto" prefers them."""


class Engine(Protocol):
    """Advances B sequences of one stack in step; `state` is its own and opaque to the caller.

    The contract: from the same uniforms every engine draws the same elements, whatever the batch size and however
    the steps are divided into calls; its parameters are those of `CausalStack.forward` within 1e-5.
    """

    name: str
    device: torch.device

    def init_state(self, first_inputs: Tensor) -> Any:
        """Return the state before the first step of B sequences with these first inputs (B,)."""

    def keep(self, state: Any, rows: Sequence[int]) -> Any:
        """Return a state of only the sequences `rows` of `state`, in this order."""

    def generate(self, state: Any, condition: Tensor | None, uniforms: Tensor, draw: Draw) -> Tensor:
        """Draw the next T elements of each sequence, advancing `state`; return them as inputs (B, T).

        `condition`: (B, N, L·G), each of its rows held for T / N steps. `uniforms`: (B, T, U).
        """


def choose_engine(packed: PackedStack, name: str = "auto", device: torch.device | str = "cpu") -> Engine:
    """Return the engine called `name`, or the preferred one, with these weights on `device`."""
    if name == "auto":
        name = next(iter(ENGINES))
    if name not in ENGINES:
        known = ["auto", *ENGINES]
        raise VQAudioError(f"engine: got {name!r}, expected one of {', '.join(known)}.{did_you_mean(name, known)}")
    return ENGINES[name](packed, device)


def batches(items: Sequence[T], batch_size: int) -> Iterator[Sequence[T]]:
    """Yield `items` in their order, `batch_size` at a time."""
    if batch_size < 1:
        raise VQAudioError(f"batch_size: got {batch_size!r}, expected at least 1")
    for first in range(0, len(items), batch_size):
        yield items[first : first + batch_size]
