"""The gated layers of the causal stack, all at once, with gradients written by hand.

Inputs: x (T, B, R); condition (N, B, L·G), each of its rows held for T/N positions; taps (L, 2, R, G), the weights of
x(t-d) and of x(t); residual (L-1, G/2, R); dilations. Output: the gates z of all layers (T, B, L·G/2). All tensors are
of one dtype.

A batch is laid out as one matrix of T·B rows, time first: the past tap of every position is the same matrix d·B rows
earlier, so that each tap is one matrix product on a view, without padding, gathering or transposing.

    rows   0 … 0 │ t=0: b=0 … b=B-1 │ t=1: … │ … │ t=T-1: …
           └ max(d)·B rows of zeros, the past of the first positions

`GatedLayers` makes torch's products of that. `GatedLayersByKernel` has csrc/gated.cpp do all that a layer needs of some
rows while they are in the caches, in float32 on a processor. What either is worth: `benchmarks/training_speed.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import POINTER, Structure, byref, c_int64, c_void_p
from functools import cache, partial

import torch
from torch import Tensor

from vqaudio.csrc import instruction_set, kernel
from vqaudio.models.nearest import kernel_available, over_shares

BLOCK = 96
"""Rows that the kernel takes at a time: a share of the rows has whole blocks."""


def gated_layers(x: Tensor, condition: Tensor, taps: Tensor, residual: Tensor, dilations: Sequence[int]) -> Tensor:
    """Return the gates of all layers, by the kernel where it serves, else by torch."""
    layers = GatedLayersByKernel if kernel_serves(x, taps) else GatedLayers
    return layers.apply(x, condition.contiguous(), taps, residual, dilations)


def kernel_serves(x: Tensor, taps: Tensor) -> bool:
    """Say whether the kernel takes these layers.

    That is in float32 on the CPU, with channels in whole panels of the kernel's, where it was built and the processor
    has fused multiply-add.
    """
    if not (x.dtype == torch.float32 and x.is_cpu and x.numel()) or not kernel_available("vqaudio_gated_forward"):
        return False
    if instruction_set() == "baseline":  # torch takes what the processor has, whatever this library was built for
        return False
    panel = _kernels(instruction_set()).panel()
    return taps.shape[2] % panel == 0 and taps.shape[3] // 2 % panel == 0


class GatedLayers(torch.autograd.Function):
    """By torch's products, in any dtype and on any device (tested against torch's own gradient in float64)."""

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


def _backward_into(out: Tensor, backward: Callable[..., Tensor], d_z: Tensor, other: Tensor, output: Tensor) -> None:
    """Write the gradient of one factor of z = output · other before its nonlinearity, without a copy in between."""
    torch.mul(d_z, other, out=out)
    backward(out, output, grad_input=out)


class GatedLayersByKernel(torch.autograd.Function):
    """By the kernel of the instruction set in use. The gradient can be taken once: it takes the activations' place."""

    @staticmethod
    def forward(ctx, x: Tensor, condition: Tensor, taps: Tensor, residual: Tensor, dilations: Sequence[int]) -> Tensor:
        T, B, R = x.shape
        L, _, _, G = taps.shape
        N, Z, rows = condition.shape[0], G // 2, T * B
        history = max(dilations) * B
        inputs = x.new_empty(L, history + rows, R)
        inputs[:, :history] = 0
        inputs[0, history:] = x.reshape(rows, R)
        activations, gates = x.new_empty(L, rows, G), x.new_empty(rows, L * Z)
        kernels = _kernels(instruction_set())
        # They live as long as this call; the way back reads their transposes.
        weights = _in_panels(taps, kernels.panel()), _in_panels(residual, kernels.panel())
        layers = [
            _Layer(
                channels=R, half=Z, rows=rows, batch=B, hold=T // N, past=dilation * B,
                past_weights=weights[0][layer, 0].data_ptr(), now_weights=weights[0][layer, 1].data_ptr(),
                residual_weights=weights[1][layer].data_ptr() if layer + 1 < L else None,
                condition=condition.data_ptr() + 4 * layer * G, condition_step=L * G,
                inputs=inputs[layer, history:].data_ptr(), activations=activations[layer].data_ptr(),
                gates=gates.data_ptr() + 4 * layer * Z, gates_step=L * Z,
                next=inputs[layer + 1, history:].data_ptr() if layer + 1 < L else None,
            )
            for layer, dilation in enumerate(dilations)
        ]  # fmt: skip
        for layer in layers:
            _over_rows(partial(kernels.forward, byref(layer)), rows, 3 * R * G)
        ctx.save_for_backward(inputs, activations, gates, taps, residual)
        ctx.layers, ctx.held_rows, ctx.shape, ctx.kernels = layers, N, (T, B, R), kernels
        return gates.view(T, B, L * Z)

    @staticmethod
    def backward(ctx, d_gates: Tensor):
        # Unpacked so that torch sees to their versions: the kernel reads them where `ctx.layers` says.
        _inputs, _activations, _gates, taps, residual = ctx.saved_tensors
        if ctx.layers is None:
            raise RuntimeError("the gradient of GatedLayersByKernel was asked for twice: it can be taken once")
        layers, ctx.layers = ctx.layers, None
        (T, B, R), N, kernels = ctx.shape, ctx.held_rows, ctx.kernels
        L, _, _, G = taps.shape
        Z, rows = G // 2, T * B
        d_gates = d_gates.reshape(rows, L * Z).contiguous()
        d_taps, d_residual = torch.empty_like(taps), torch.empty_like(residual)
        d_condition = d_gates.new_zeros(N, B, L, G)
        d_x = d_gates.new_zeros(rows, R)  # gradient of the next layer's input: at the end nothing depends on it
        taps_back, residual_back = (_in_panels(w.transpose(-1, -2), kernels.panel()) for w in (taps, residual))
        for number in reversed(range(L)):
            layer = layers[number]
            layer.past_back, layer.now_back = taps_back[number, 0].data_ptr(), taps_back[number, 1].data_ptr()
            layer.residual_back = residual_back[number].data_ptr() if number + 1 < L else None
            layer.d_gates, layer.d_next = d_gates.data_ptr() + 4 * number * Z, d_x.data_ptr()
            shares = _backward_shares(kernels, layer)
            _over_rows(partial(kernels.inputs, byref(layer)), rows, 2 * R * G)
            d_taps[number] = sum(share.taps for share in shares)
            if number + 1 < L:
                d_residual[number] = sum(share.residual for share in shares)
            for share in shares:
                d_condition[share.heard.start : share.heard.stop, :, number] += share.condition
        return d_x.view(T, B, R), d_condition.view(N, B, L * G), d_taps, d_residual, None


class _Share:
    """What some rows add to the gradients of a layer's weights, and to those of the rows of the condition they hear."""

    def __init__(self, layer: _Layer, first: int, count: int) -> None:
        R, Z, G, B = layer.channels, layer.half, 2 * layer.half, layer.batch
        position = B * layer.hold  # rows that hear one row of the condition of each sequence
        self.heard = range(first // position, (first + count - 1) // position + 1)
        self.taps, self.residual, self.condition = (
            torch.zeros(shape) for shape in ((2, R, G), (Z, R), (len(self.heard), B, G))
        )
        self.pointers = _Gradients(
            self.taps[0].data_ptr(), self.taps[1].data_ptr(), self.residual.data_ptr(), self.condition.data_ptr()
        )


def _backward_shares(kernels: _Kernels, layer: _Layer) -> list[_Share]:
    """Take the gradient of a layer's gates, and return its shares in the order of their rows, whoever came first."""
    shares: dict[int, _Share] = {}

    def run(first: int, count: int) -> None:
        share = shares[first] = _Share(layer, first, count)
        if kernels.backward(byref(layer), first, count, byref(share.pointers)):
            raise MemoryError("no memory for the gradient of the gated layers")

    _over_rows(run, layer.rows, 3 * layer.channels * 2 * layer.half)
    return [shares[first] for first in sorted(shares)]


class _Layer(Structure):
    """A GatedLayer of csrc/gated.cpp."""

    _sizes = ("channels", "half", "rows", "batch", "hold", "past")
    _weights = ("past_weights", "now_weights", "residual_weights", "past_back", "now_back", "residual_back")
    _fields_ = [
        *((name, c_int64) for name in _sizes),
        *((name, c_void_p) for name in _weights),
        ("condition", c_void_p),
        ("condition_step", c_int64),
        ("inputs", c_void_p),
        ("activations", c_void_p),
        ("gates", c_void_p),
        ("gates_step", c_int64),
        ("next", c_void_p),
        ("d_gates", c_void_p),
        ("d_next", c_void_p),
    ]


class _Gradients(Structure):
    """A GatedGradients of csrc/gated.cpp."""

    _fields_ = [(name, c_void_p) for name in ("past", "now", "residual", "condition")]


def _over_rows(run: Callable[[int, int], object], rows: int, work: int) -> None:
    """Call run(first, count) for shares of whole blocks of rows; `work`: multiply-adds of a row."""

    def of_blocks(first: int, count: int) -> None:
        run(first * BLOCK, min(count * BLOCK, rows - first * BLOCK))

    over_shares(of_blocks, -(-rows // BLOCK), rows * work)


def _in_panels(weights: Tensor, panel: int) -> Tensor:
    """Return matrices (…, inputs, outputs) as (…, outputs / panel, inputs, panel), contiguous."""
    return weights.detach().unflatten(-1, (-1, panel)).transpose(-2, -3).contiguous()


class _Kernels:
    """The functions of csrc/gated.cpp, of one instruction set."""

    def __init__(self, instructions: str) -> None:
        self.panel, self.forward, self.backward, self.inputs = (
            kernel(f"vqaudio_gated_{name}", instructions) for name in ("panel", "forward", "backward", "inputs")
        )
        self.panel.restype = c_int64
        rows = [POINTER(_Layer), c_int64, c_int64]
        self.forward.argtypes = self.inputs.argtypes = rows
        self.forward.restype = self.inputs.restype = None
        self.backward.argtypes = [*rows, POINTER(_Gradients)]


@cache
def _kernels(instructions: str) -> _Kernels:
    return _Kernels(instructions)
