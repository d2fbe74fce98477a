"""Long sequences scored in windows: the results of a causal stack in one piece, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


def windows(length: int, size: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """Cover positions 0 … `length` - 1 by (begin, start, stop): read from `begin` on, keep [start, stop).

        ░░░│████████│            begin: ░    start … stop: █
               ░░░│████████│
                      ░░░│███│

    With `overlap` at least the receptive field less one, a causal stack that reads from `begin` gives at [start,
    stop) what it gives when it reads from 0: a position depends on no input before `begin`.
    """
    for start in range(0, length, size):
        yield max(0, start - overlap), start, min(start + size, length)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put `module` into evaluation mode (no dropout, no jitter) for the block, and back after it."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
