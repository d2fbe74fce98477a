"""Convolutions over frames without a gradient: a compiled kernel (csrc/convolve.cpp), faster than torch's products.

Each sum is taken in the order of its inputs, whatever frames and batches lie around: a frame's result has the same
bits in a window of any size, and on any number of threads.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_void_p
from functools import cache

import torch
from torch import Tensor

from vqaudio.csrc import instruction_set, kernel
from vqaudio.models.nearest import kernel_available, over_shares

BLOCK = 64
"""Outputs, of which a share has whole ones: a panel of the kernel, or several."""


def kernel_serves(x: Tensor, weight: Tensor) -> bool:
    """Say whether `convolve` takes frames x (B, M, in) and weight (…, in).

    That is in float32 on the CPU, outside autocast, where no gradient is recorded and the kernel was built.
    """
    if torch.is_grad_enabled() or not (x.dtype == weight.dtype == torch.float32) or not (x.is_cpu and weight.is_cpu):
        return False
    fits = x.dim() == 3 and x.shape[2] == weight.shape[1]
    return fits and not torch.is_autocast_enabled("cpu") and kernel_available("vqaudio_convolve")


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor, width: int, gelu: bool = False, instructions: str | None = None
) -> Tensor:
    """Return the valid convolution of frames x (B, M, in) with `width` taps, (B, M - width + 1, out), float32.

    weight (width · out, in): one tap after the other; bias (out,). y[m] = bias + Σ_t weight_t · x[m + t], and of that
    the GELU (by erf, to 2e-7 of its argument) where `gelu` is set. `instructions`: the instruction set, by default the
    one in use. Raises ValueError for fewer frames than `width`.
    """
    x, weight, bias = x.contiguous(), weight.contiguous(), bias.contiguous()
    (B, M, frame), outputs, rows = x.shape, len(bias), x.shape[1] - width + 1
    if rows < 1:
        raise ValueError(f"{M} frames, expected at least the {width} of the convolution")
    blocks = -(-outputs // BLOCK)
    y = torch.empty(B, rows, blocks * BLOCK, dtype=torch.float32)
    multiply = _multiply(instructions or instruction_set())

    def run(first: int, count: int) -> None:
        begin, end = first * BLOCK, min((first + count) * BLOCK, outputs)
        for b in range(B):
            multiply(
                x.data_ptr() + 4 * b * x.stride(0), rows, weight.data_ptr(), bias.data_ptr(), width, outputs, frame,
                begin, end - begin, y.data_ptr() + 4 * b * y.stride(0), y.stride(1), gelu,
            )  # fmt: skip

    over_shares(run, blocks, B * rows * width * frame * outputs)
    return y if outputs == y.shape[2] else y[..., :outputs]


def gelu(x: Tensor, instructions: str | None = None) -> Tensor:
    """Return the GELU of a tensor that `kernel_serves`, computed as `convolve` does."""
    x = x.contiguous()
    y = torch.empty_like(x)
    _gelu(instructions or instruction_set())(x.data_ptr(), x.numel(), y.data_ptr())
    return y


@cache
def _gelu(instructions: str) -> ctypes._NamedFuncPointer:
    function = kernel("vqaudio_gelu", instructions)
    function.argtypes = [c_void_p, c_int64, c_void_p]
    return function


@cache
def _multiply(instructions: str) -> ctypes._NamedFuncPointer:
    function = kernel("vqaudio_convolve", instructions)
    sizes = [c_int64] * 5
    function.argtypes = [c_void_p, c_int64, c_void_p, c_void_p, *sizes, c_void_p, c_int64, c_int64]
    return function
