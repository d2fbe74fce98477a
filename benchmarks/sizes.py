"""The size of decoder that the figures are for, and how much work a step of a stack is."""

from __future__ import annotations

from vqaudio.config import StackConfig

PAPER = StackConfig(layers=30, stacks=3, residual_channels=64, gate_channels=128, skip_channels=256)
"""The decoder's stack, with CLASSES in and out: 1.23 million multiply-adds a sample."""
CLASSES = 256
HOP = 64
"""Samples for which a row of the condition is held."""
CONDITION_CHANNELS = 64
"""Channels at the unit rate that are projected to the condition of all layers."""


def multiply_adds(config: StackConfig, outputs: int) -> int:
    """Return the multiply-adds of one step, which are the weights that it reads; an embedding's row is not counted."""
    L, R, G, S = config.layers, config.residual_channels, config.gate_channels, config.skip_channels
    return L * 2 * R * G + (L - 1) * G // 2 * R + L * G // 2 * S + S * S + S * outputs
