"""The causal stack: dilated gated convolutions in time-major layout.

Decoder and prior are two uses of it: over samples (van den Oord et al. 2016, *WaveNet*, sec. 2) and over units.

    tokens ─embed─▶ x ─┬─▶ x(t-d)·Wp + x(t)·Wx + condition ─▶ tanh ⊙ sigmoid ─▶ z ─┬─▶ x ← x + z·Wr ─▶ next layer
                       └────────────────────────────────────────────────────────── │ ──▲
                                                            all z of all layers ◀──┘
                                                                    └─▶ ·Ws ─relu─▶ ·Wh ─relu─▶ ·Wo ─▶ parameters

Within the layers, a batch is laid out as one matrix of T·B rows, time first: the past tap of every position is the
same matrix d·B rows earlier, so that each tap is one matrix product on a view, without padding, gathering or
transposing. `GatedLayers` holds the gradient of that arrangement, written by hand: no buffer is copied. In bfloat16
on two CPU cores a step takes two thirds of the time that torch's own operations take (`benchmarks/training_speed.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqaudio.config import StackConfig


class GatedLayers(torch.autograd.Function):
    """All gated layers at once, with a hand-written gradient (tested against torch's own in float64).

    Inputs: x (T, B, R); condition (N, B, L·G), each of its rows held for T/N positions; taps (L, 2, R, G), the
    weights of x(t-d) and of x(t); residual (L-1, G/2, R); dilations. Output: the gates z of all layers
    (T, B, L·G/2). All tensors of one dtype.
    """

    @staticmethod
    def forward(ctx, x: Tensor, condition: Tensor, taps: Tensor, residual: Tensor, dilations: Sequence[int]) -> Tensor:
        T, B, R = x.shape
        L, _, _, G = taps.shape
        N, Z = condition.shape[0], G // 2
        history = max(dilations) * B  # rows of zeros before the first sample
        # inputs[l] is the input of layer l, preceded by its zero history.
        inputs = x.new_empty(L, history + T * B, R)
        inputs[:, :history] = 0
        inputs[0, history:] = x.reshape(T * B, R)
        activations = x.new_empty(L, T * B, G)  # tanh in the first half of the channels, sigmoid in the second
        gates = x.new_empty(T * B, L * Z)
        held = condition.view(N, 1, B, L, G)
        for layer, dilation in enumerate(dilations):
            now = inputs[layer, history:]
            past = inputs[layer, history - dilation * B :][: T * B]
            h = activations[layer]
            h.view(N, T // N, B, G).copy_(held[:, :, :, layer])
            h.addmm_(past, taps[layer, 0]).addmm_(now, taps[layer, 1])
            h[:, :Z].tanh_()
            h[:, Z:].sigmoid_()
            z = gates[:, layer * Z : (layer + 1) * Z]
            torch.mul(h[:, :Z], h[:, Z:], out=z)
            if layer + 1 < L:
                after = inputs[layer + 1, history:]
                torch.addmm(now, z, residual[layer], out=after)
        ctx.save_for_backward(inputs, activations, gates, taps, residual)
        ctx.dilations, ctx.held_rows, ctx.shape = tuple(dilations), N, (T, B, R)
        return gates.view(T, B, L * Z)

    @staticmethod
    def backward(ctx, d_gates: Tensor):
        inputs, activations, gates, taps, residual = ctx.saved_tensors
        (T, B, R), N = ctx.shape, ctx.held_rows
        L, _, _, G = taps.shape
        Z = G // 2
        history = inputs.shape[1] - T * B
        d_gates = d_gates.reshape(T * B, L * Z)
        d_taps, d_residual = torch.empty_like(taps), torch.empty_like(residual)
        d_condition = d_gates.new_empty(N, B, L, G)
        d_h = d_gates.new_empty(T * B, G)
        d_x = d_gates.new_zeros(T * B, R)  # gradient of the next layer's input: at the end nothing depends on it
        for layer in reversed(range(L)):
            now = inputs[layer, history:]
            past_rows = ctx.dilations[layer] * B
            past = inputs[layer, history - past_rows :][: T * B]
            d_z = d_gates[:, layer * Z : (layer + 1) * Z]
            if layer + 1 < L:
                d_z = torch.addmm(d_z, d_x, residual[layer].t())
                torch.mm(gates[:, layer * Z : (layer + 1) * Z].t(), d_x, out=d_residual[layer])
            tanh, sigmoid = activations[layer, :, :Z], activations[layer, :, Z:]
            _backward_into(d_h[:, :Z], torch.ops.aten.tanh_backward.grad_input, d_z, sigmoid, tanh)
            _backward_into(d_h[:, Z:], torch.ops.aten.sigmoid_backward.grad_input, d_z, tanh, sigmoid)
            torch.sum(d_h.view(N, T // N, B, G), dim=1, out=d_condition[:, :, layer])
            torch.mm(past.t(), d_h, out=d_taps[layer, 0])
            torch.mm(now.t(), d_h, out=d_taps[layer, 1])
            # x goes on to the next layer as it is, into this layer's gate, and into it once more d positions later.
            d_x.addmm_(d_h, taps[layer, 1].t())
            if past_rows < T * B:
                d_x[: T * B - past_rows].addmm_(d_h[past_rows:], taps[layer, 0].t())
        return d_x.view(T, B, R), d_condition.view(N, B, L * G), d_taps, d_residual, None


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
        gates = GatedLayers.apply(x, held.contiguous(), taps, residual, self.dilations)  # (T, B, L·G/2)
        h = F.relu(self.skip(self.dropout(gates)))
        return self.output(F.relu(self.hidden(h))).transpose(0, 1)  # (B, T, outputs)


def _backward_into(out: Tensor, backward: Callable[..., Tensor], d_z: Tensor, other: Tensor, output: Tensor) -> None:
    """Write the gradient of one factor of z = output · other before its nonlinearity, without a copy in between."""
    torch.mul(d_z, other, out=out)
    backward(out, output, grad_input=out)


def compute_dtype(x: Tensor) -> torch.dtype:
    """The dtype of matrix products on x's device: autocast's where it is on, else x's own."""
    return torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
