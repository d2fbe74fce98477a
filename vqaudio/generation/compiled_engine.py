"""Generation by the compiled kernels: the whole time loop in C++, one thread for each share of the streams.

The weights are laid out for `csrc/stack.cpp` in one block of memory, in the order in which a step reads them; see
`csrc/product.h` for what a precision makes of them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ctypes import POINTER, Structure, c_double, c_float, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from vqaudio.csrc import KernelsUnavailable, instruction_set, kernel
from vqaudio.errors import ModelError, VQAudioError
from vqaudio.generation.engine import EngineUnavailable, held_rows, require_precision
from vqaudio.generation.packed import PackedStack
from vqaudio.generation.state import SamplerState
from vqaudio.models.distributions import Categorical, MixtureOfLogistics
from vqaudio.models.sampling import Draw

BLOCK = 16
"""Widths are padded to multiples of it."""
LOOK_AHEAD = 8
"""Steps, times streams, whose past taps are taken at once. More spares little and fills the cache with results."""
PANELS = {"avx512": 128}
"""Outputs whose sums a product keeps in registers, where they are not 64."""
CACHE_LINE = 64

CATEGORICAL, LOGISTICS = 0, 1
OUT_OF_MEMORY, UNDEFINED = 1, 2


class _Matrix(Structure):
    _fields_ = [
        ("weights", c_void_p), ("scale", c_void_p), ("zero", c_void_p),
        ("inputs", c_int32), ("outputs", c_int32), ("panel", c_int32),
    ]  # fmt: skip


class _Stack(Structure):
    _fields_ = [
        ("layers", c_int32), ("tokens", c_int32),
        ("channels", c_int32), ("half", c_int32), ("skips", c_int32), ("outputs", c_int32),
        ("block", c_int32), ("precision", c_int32),
        ("dilations", c_void_p), ("input_weight", c_void_p), ("input_bias", c_void_p), ("bias", c_void_p),
        ("past", c_void_p), ("now", c_void_p), ("residual", c_void_p), ("head", c_void_p),
        ("head_bias", c_void_p * 3),
    ]  # fmt: skip


class _Draw(Structure):
    _fields_ = [
        ("kind", c_int32), ("classes", c_int32), ("top_k", c_int32), ("temperature", c_float),
        ("top_p", c_double), ("step", c_double), ("log_scale_least", c_float), ("log_scale_most", c_float),
    ]  # fmt: skip


class _Run(Structure):
    _fields_ = [
        ("ring", c_void_p), ("rows", c_int64), ("first", c_int64), ("count", c_int64),
        ("position", c_int64), ("steps", c_int64),
        ("inputs", c_void_p), ("condition", c_void_p), ("held", c_int64), ("uniforms", c_void_p),
        ("following", c_void_p), ("drawn", c_void_p), ("parameters", c_void_p), ("draw", POINTER(_Draw)),
    ]  # fmt: skip


class CompiledEngine:
    """Generates from packed weights with the kernels of `vqaudio.csrc`, on the CPU.

    In float32 every instruction set with fused multiply-add draws the same, to the last bit. In bfloat16, weights and
    what they are multiplied with are rounded, and sums are float32. In int8, weights have a scale for each output
    channel, activations one for each vector, and sums are exact.
    """

    name = "compiled"
    precisions = ("float32", "bfloat16", "int8")

    def __init__(self, packed: PackedStack, device: torch.device | str = "cpu", precision: str = "float32") -> None:
        require_precision(type(self), precision)
        self.packed, self.device, self.precision = packed, torch.device(device), precision
        if self.device.type != "cpu":
            raise EngineUnavailable(f"engine {self.name} runs on cpu, not on {self.device}")
        try:
            self.instructions = instruction_set()
            self._advance = kernel("vqaudio_advance", self.instructions)
        except KernelsUnavailable as error:
            raise EngineUnavailable(str(error)) from error
        self._weights = _Weights(packed, precision, PANELS.get(self.instructions, 64))

    def describe(self) -> str:
        """Return the engine's name, instruction set and precision."""
        return f"{self.name} ({self.instructions}, {self.precision})"

    def generate(self, state: SamplerState, condition: Tensor | None, uniforms: Tensor, draw: Draw) -> Tensor:
        """Draw the next T elements of each sequence: see `Engine.generate`."""
        B, T, U = uniforms.shape
        wanted = draw.distribution.uniforms_per_sample
        if state.batch != B or wanted != U:
            raise ValueError(f"uniforms (B, T, U) of shape {(B, T, U)}, expected ({state.batch}, T, {wanted})")
        drawn = torch.empty(B, T, dtype=state.inputs.dtype)
        uniforms = uniforms.to(device="cpu", dtype=torch.float32).contiguous()
        options = _draw_options(draw, self.packed)
        self._run(state, condition, T, uniforms=uniforms, drawn=drawn, draw=options)
        return drawn

    def follow(self, state: SamplerState, condition: Tensor | None, inputs: Tensor) -> Tensor:
        """Return the parameters at each of T given elements: see `Engine.follow`."""
        B, T = inputs.shape
        if state.batch != B:
            raise ValueError(f"elements of {B} sequences, expected {state.batch}")
        following = inputs.to(device="cpu", dtype=state.inputs.dtype).contiguous()
        self._check_symbols(following)
        parameters = torch.empty(B, T, self.packed.output.shape[1])
        self._run(state, condition, T, following=following, parameters=parameters)
        return parameters

    def _run(self, state: SamplerState, condition: Tensor | None, T: int, draw: _Draw | None = None, **tensors) -> None:
        self._check_symbols(state.inputs)
        held = self._weights.padded_condition(condition, state.batch, T)
        state.ring, state.inputs = state.ring.contiguous(), state.inputs.contiguous()
        common = {
            "ring": state.ring.data_ptr(), "rows": state.ring.shape[1], "position": state.position, "steps": T,
            "inputs": state.inputs.data_ptr(), "condition": held.data_ptr(), "held": held.shape[1],
            **{name: tensor.data_ptr() for name, tensor in tensors.items()},
        }  # fmt: skip
        if draw is not None:
            common["draw"] = ctypes.pointer(draw)
        runs = [_Run(first=first, count=count, **common) for first, count in _shares(state.batch)]
        self._run_all(runs)
        state.position += T

    def _run_all(self, runs: Sequence[_Run]) -> None:
        """Make the runs side by side; the library is left to itself while Python goes on."""
        stack = ctypes.byref(self._weights.stack)
        if len(runs) == 1:  # starting a thread takes as long as some steps
            failed = [self._advance(stack, ctypes.byref(runs[0]))]
        else:
            with ThreadPoolExecutor(max_workers=max(1, len(runs))) as pool:
                failed = list(pool.map(lambda run: self._advance(stack, ctypes.byref(run)), runs))
        if OUT_OF_MEMORY in failed:
            raise VQAudioError("generation: not enough memory for the step; give a smaller batch_size")
        if UNDEFINED in failed:
            raise ModelError("the model's outputs are NaN: there is nothing to draw from")

    def _check_symbols(self, inputs: Tensor) -> None:
        """Refuse symbols outside the table of inputs: the kernel would read outside its memory."""
        tokens = self.packed.tokens
        if tokens is not None and inputs.numel() and not 0 <= int(inputs.min()) <= int(inputs.max()) < tokens:
            raise ValueError(f"inputs from {int(inputs.min())} to {int(inputs.max())}, expected 0 to {tokens - 1}")


def _shares(batch: int) -> list[tuple[int, int]]:
    """Return (first, count) of each thread's sequences: as many threads as torch may use, in even shares."""
    threads = min(torch.get_num_threads(), batch)
    bounds = [batch * i // threads for i in range(threads + 1)] if threads else []
    return [(first, last - first) for first, last in pairwise(bounds)]


def _draw_options(draw: Draw, packed: PackedStack) -> _Draw:
    distribution = draw.distribution
    common = {"top_k": draw.top_k or 0, "temperature": draw.temperature}
    common["top_p"] = 1.0 if draw.top_p is None else draw.top_p
    if isinstance(distribution, Categorical):
        if packed.tokens is None or packed.output.shape[1] > packed.tokens:
            raise ValueError(f"{packed.output.shape[1]} classes to draw, but the stack takes {packed.tokens} symbols")
        return _Draw(kind=CATEGORICAL, classes=packed.output.shape[1], **common)
    if isinstance(distribution, MixtureOfLogistics):
        least, most = distribution.log_scale_range
        return _Draw(kind=LOGISTICS, classes=distribution.mixtures, step=distribution.step, log_scale_least=least,
                     log_scale_most=most, **common)  # fmt: skip
    raise VQAudioError(f"engine {CompiledEngine.name}: cannot draw from {type(distribution).__name__}; torch can")


# ------------------------------------------------------------------------------------------- weights in memory


class _Weights:
    """The stack as the kernel reads it. Keeps alive what its pointers point to."""

    def __init__(self, packed: PackedStack, precision: str, panel: int) -> None:
        self.packed, self.precision = packed, precision
        L, R, G = packed.past.shape
        self.half = G // 2
        self._kept: list[object] = []
        matrices = self._matrices(packed)
        laid_out = {
            name: [_lay_out(m, precision, panel, positive=name == "head" and i > 0) for i, m in enumerate(group)]
            for name, group in matrices.items()
        }
        tables = self._place(laid_out, panel)
        pointer = self._pointer
        bias = _pad(packed.bias.reshape(L, 2, self.half), 2).reshape(L, -1)
        self.stack = _Stack(
            layers=L, tokens=packed.tokens or 0, channels=R, half=self.half, skips=packed.skip.shape[1],
            outputs=packed.output.shape[1], block=LOOK_AHEAD, precision=CompiledEngine.precisions.index(precision),
            dilations=pointer(np.array(packed.dilations, dtype=np.int32)),
            input_weight=pointer(_pad(packed.input_weight, 1)), input_bias=pointer(_pad(packed.input_bias, 0)),
            bias=pointer(bias), **tables,
        )  # fmt: skip
        for i, bias in enumerate((packed.skip_bias, packed.hidden_bias, packed.output_bias)):
            self.stack.head_bias[i] = pointer(_pad(bias, 0))

    def padded_condition(self, condition: Tensor | None, batch: int, steps: int) -> Tensor:
        """Return condition (B, N, L·G) with the halves of each layer's channels padded."""
        L, _, G = self.packed.past.shape
        condition, _ = held_rows(condition, batch, steps, L * G)
        condition = condition.to(device="cpu", dtype=torch.float32)
        if self.half % BLOCK:
            halves = condition.reshape(*condition.shape[:2], L, 2, self.half)
            condition = torch.nn.functional.pad(halves, (0, -self.half % BLOCK)).flatten(2)
        return condition.contiguous()

    def _matrices(self, packed: PackedStack) -> dict[str, list[np.ndarray]]:
        """Return padded matrices (K, N) by group."""
        L, R, _ = packed.past.shape
        by_half = (L, R, 2, self.half)
        past, now = (_pad(_pad(w.reshape(by_half), 3).reshape(L, R, -1), 1) for w in (packed.past, packed.now))
        skip = _pad(packed.skip.reshape(L, self.half, -1), 1).reshape(-1, packed.skip.shape[1])
        return {
            "now": list(now),
            "residual": [_pad(_pad(w, 0), 1) for w in packed.residual],
            "head": [_pad(_pad(w, 0), 1) for w in (skip, packed.hidden, packed.output)],
            "past": list(past),
        }

    def _place(self, laid_out: dict[str, list[_LaidOut]], panel: int) -> dict[str, int]:
        """Copy all weights into one block of memory; return a pointer to the table of each group of matrices."""
        in_order = _reading_order(laid_out)
        sizes = [_in_lines(laid_out[name][i].weights.nbytes) for name, i in in_order]
        memory = _aligned(sum(sizes))
        tables = {name: (_Matrix * max(1, len(group)))() for name, group in laid_out.items()}
        self._kept += [memory, *tables.values()]
        for (name, i), end, size in zip(in_order, np.cumsum(sizes), sizes):
            matrix, entry = laid_out[name][i], tables[name][i]
            place = memory[end - size :][: matrix.weights.nbytes]
            place[:] = matrix.weights.view(np.uint8)
            entry.weights, entry.inputs, entry.outputs = place.ctypes.data, matrix.inputs, matrix.outputs
            entry.panel = panel
            if matrix.scale is not None:
                entry.scale, entry.zero = self._pointer(matrix.scale), self._pointer(matrix.zero)
        return {name: ctypes.addressof(table) for name, table in tables.items()}

    def _pointer(self, array: np.ndarray) -> int:
        array = np.ascontiguousarray(array)
        self._kept.append(array)
        return array.ctypes.data


@dataclass(frozen=True)
class _LaidOut:
    """A matrix in panels: see csrc/product.h."""

    weights: np.ndarray
    inputs: int
    outputs: int
    scale: np.ndarray | None = None
    """int8: float32 (outputs,)."""
    zero: np.ndarray | None = None
    """int8: int32 (outputs,), the sum where all activations are 0."""


def _reading_order(groups: dict[str, list[_LaidOut]]) -> list[tuple[str, int]]:
    """Return (group, index) of all matrices as a step reads them.

    The past taps, read once in several steps, come last.
    """
    order = []
    for layer in range(len(groups["now"])):
        order += [("now", layer), ("residual", layer)]
    order += [("head", i) for i in range(len(groups["head"]))]
    order += [("past", layer) for layer in range(len(groups["past"]))]
    return [(name, i) for name, i in order if i < len(groups[name])]


def _in_lines(size: int) -> int:
    """Return `size` in bytes, rounded up to whole cache lines."""
    return -(-size // CACHE_LINE) * CACHE_LINE


def _lay_out(matrix: np.ndarray, precision: str, panel: int, positive: bool) -> _LaidOut:
    """Return a padded float32 matrix (K, N) as a precision keeps it. `positive`: its inputs are never below 0."""
    K, N = matrix.shape
    if precision == "float32":
        return _LaidOut(_panels(matrix, panel, 1), K, N)
    if precision == "bfloat16":
        bits = torch.from_numpy(matrix).bfloat16().view(torch.int16).numpy()
        return _LaidOut(_panels(bits, panel, 2), K, N)
    scale = np.abs(matrix).max(axis=0) / 127
    whole = np.rint(matrix / np.where(scale > 0, scale, 1)).astype(np.int8)
    zero = whole.sum(axis=0, dtype=np.int32) * (0 if positive else 128)
    return _LaidOut(_panels(whole, panel, 4), K, N, scale.astype(np.float32), zero)


def _panels(matrix: np.ndarray, panel: int, group: int) -> np.ndarray:
    """Return (K, N) as panels of `panel` outputs, `group` inputs of each output side by side."""
    K, N = matrix.shape
    grouped = matrix.reshape(K // group, group, N).transpose(0, 2, 1)  # (K/group, N, group)
    return np.concatenate([grouped[:, at : at + panel].reshape(-1) for at in range(0, N, panel)])


def _pad(array: np.ndarray, axis: int) -> np.ndarray:
    """Fill up one axis with zeros to a multiple of BLOCK."""
    widths = [(0, -size % BLOCK if i == axis else 0) for i, size in enumerate(array.shape)]
    return np.pad(array, widths)


def _aligned(size: int) -> np.ndarray:
    """Return so many bytes of memory that begin with a cache line.

    Large pages were tried: they changed the speed by less than what it varies by.
    """
    memory = np.zeros(size + CACHE_LINE, dtype=np.uint8)
    return memory[-memory.ctypes.data % CACHE_LINE :][:size]
