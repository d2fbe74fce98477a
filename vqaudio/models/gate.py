"""The gate of the causal stack in training, tanh(a) ⊙ σ(b) of activations and a condition, and its gradient.

In bfloat16 on a CPU by a compiled kernel (csrc/gate.cpp), one pass over memory each; else by torch's operations.
"""

from __future__ import annotations

from ctypes import c_int64, c_void_p
from functools import cache

import torch
from torch import Tensor

from vqaudio.csrc import instruction_set, kernel
from vqaudio.models.nearest import kernel_available, over_shares

WORTH = 16
"""Multiply-adds that one gate takes as long as, for dividing the work among threads."""


def gate(h: Tensor, condition: Tensor, out: Tensor) -> None:
    """Add a condition to h, replace it by tanh of its first Z columns and sigmoid of the others, and multiply these.

    h: (T·B, 2Z), time first. condition: (N, B, 2Z), each of its rows held for T/N time steps. out: (T·B, Z), for the
    product. Columns lie side by side in memory.
    """
    half, (held_rows, batch, _) = h.shape[1] // 2, condition.shape
    held = len(h) // (held_rows * batch)
    if not _kernel_serves(h, out, condition[0]):
        h.view(held_rows, held, batch, -1).add_(condition[:, None])
        h[:, :half].tanh_()
        h[:, half:].sigmoid_()
        torch.mul(h[:, :half], h[:, half:], out=out)
        return
    forward, _ = _kernels(instruction_set())
    if condition.stride(0) != batch * condition.stride(1):
        condition = condition.contiguous()

    def run(first: int, count: int) -> None:
        forward(h.data_ptr(), first, count, half, condition.data_ptr(), condition.stride(1), batch, held,
                out.data_ptr(), out.stride(0))  # fmt: skip

    over_shares(run, len(h), WORTH * out.numel())


def gate_backward(d_z: Tensor, activations: Tensor, d_h: Tensor) -> None:
    """Write to d_h (M, 2Z) the gradient of h, from that of z (M, Z) and what `gate` has made of h."""
    half = d_h.shape[1] // 2
    if not _kernel_serves(activations, d_h, d_z):
        tanh, sigmoid = activations[:, :half], activations[:, half:]
        d_h[:, :half] = torch.ops.aten.tanh_backward(d_z * sigmoid, tanh)
        d_h[:, half:] = torch.ops.aten.sigmoid_backward(d_z * tanh, sigmoid)
        return
    _, backward = _kernels(instruction_set())

    def run(first: int, count: int) -> None:
        backward(_row(d_z, first), d_z.stride(0), _row(activations, first), count, half, _row(d_h, first))

    over_shares(run, len(d_h), WORTH * d_z.numel())


def _kernel_serves(*tensors: Tensor) -> bool:
    """Say whether all are bfloat16 in the CPU's memory with their columns side by side, and the kernel was built."""
    plain = all(t.dtype == torch.bfloat16 and t.is_cpu and t.stride(1) == 1 for t in tensors)
    return plain and kernel_available("vqaudio_gate_forward")


def _row(matrix: Tensor, row: int) -> int:
    """Return the address of a row."""
    return matrix.data_ptr() + row * matrix.stride(0) * matrix.element_size()


@cache
def _kernels(instructions: str):
    forward, backward = (kernel(f"vqaudio_gate_{way}", instructions) for way in ("forward", "backward"))
    forward.argtypes = [c_void_p, *[c_int64] * 3, c_void_p, *[c_int64] * 3, c_void_p, c_int64]
    backward.argtypes = [c_void_p, c_int64, c_void_p, c_int64, c_int64, c_void_p]
    return forward, backward
