"""The causal stack: dilated gated convolutions in time-major layout.

Decoder and prior are two uses of it: over samples (van den Oord et al. 2016, *WaveNet*, sec. 2) and over units.

    tokens ─embed─▶ x ─┬─▶ x(t-d)·Wp + x(t)·Wx + condition ─▶ tanh ⊙ sigmoid ─▶ z ─┬─▶ x ← x + z·Wr ─▶ next layer
                       └────────────────────────────────────────────────────────── │ ──▲
                                                            all z of all layers ◀──┘
                                                                    └─▶ ·Ws ─relu─▶ ·Wh ─relu─▶ ·Wo ─▶ parameters

The layers, up to all their gates z, are in `vqaudio.models.gated`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqaudio.config import StackConfig
from vqaudio.models.gated import gated_layers


class CausalStack(nn.Module):
    """Map a sequence to parameters of the next element's distribution, seeing the past alone.

    `tokens`: number of input symbols, or None for real-valued input. `outputs`: parameters per position.
    The output at position t is a function of inputs 0..t: the caller shifts the sequence by one.
    """

    def __init__(self, config: StackConfig, tokens: int | None, outputs: int) -> None:
        super().__init__()
        self.config = config
        self.tokens = tokens
        layers, residual, gate = config.layers, config.residual_channels, config.gate_channels
        self.input = nn.Linear(1, residual) if tokens is None else nn.Embedding(tokens, residual)
        self.taps = nn.Parameter(torch.empty(layers, 2, residual, gate))
        """Weights of x(t-d) and of x(t) in each layer; in the last axis tanh comes first, then sigmoid."""
        self.bias = nn.Parameter(torch.zeros(layers, gate))
        # The residual output of the last layer would lead nowhere.
        self.residual = nn.Parameter(torch.empty(layers - 1, gate // 2, residual))
        self.skip = nn.Linear(layers * gate // 2, config.skip_channels)
        self.hidden = nn.Linear(config.skip_channels, config.skip_channels)
        self.output = nn.Linear(config.skip_channels, outputs)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.uniform_(self.taps, -((2 * residual) ** -0.5), (2 * residual) ** -0.5)
        nn.init.uniform_(self.residual, -((gate / 2) ** -0.5), (gate / 2) ** -0.5)

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of each layer, in positions."""
        return self.config.dilations

    @property
    def receptive_field(self) -> int:
        """Number of inputs, up to and including the current one, that an output depends on."""
        return 1 + sum(self.dilations)

    @property
    def condition_size(self) -> int:
        """Channels of the condition: the gate channels of all layers, layer by layer."""
        return self.config.layers * self.config.gate_channels

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return parameters (B, T, outputs).

        `inputs`: LongTensor (B, T), or floats (B, T) where `tokens` is None. `condition`: (B, N, L·G), each of its
        N rows held for T / N positions; T must be a multiple of N.
        """
        x = inputs.transpose(0, 1)  # (T, B)
        x = self.dropout(self.input(x if self.tokens is not None else x[..., None]))  # (T, B, R)
        bias = self.bias.reshape(1, 1, -1)
        held = bias.expand(1, x.shape[1], -1) if condition is None else bias + condition.transpose(0, 1)  # (N, B, L·G)
        if x.shape[0] % held.shape[0]:
            raise ValueError(f"a condition of {held.shape[0]} rows cannot be held over {x.shape[0]} positions evenly")
        dtype = compute_dtype(x)
        x, held, taps, residual = (t.to(dtype) for t in (x, held, self.taps, self.residual))
        gates = gated_layers(x, held, taps, residual, self.dilations)  # (T, B, L·G/2)
        h = F.relu(self.skip(self.dropout(gates)))
        return self.output(F.relu(self.hidden(h))).transpose(0, 1)  # (B, T, outputs)


def compute_dtype(x: Tensor) -> torch.dtype:
    """The dtype of matrix products on x's device: autocast's where it is on, else x's own."""
    return torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
