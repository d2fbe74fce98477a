"""Generation by a Triton kernel with the time loop inside: one launch makes all steps of a call.

Sixteen sequences share a program, which keeps one multiprocessor busy and streams all weights through it at every
step; on one device as many programs run side by side as it has multiprocessors. See `triton_kernel.py` for a step.

What is drawn by temperature alone is drawn in the kernel, from classes as from mixtures of logistics. With top_k or
top_p the kernel makes one step a launch, and torch draws: both need a sort, top_p one that keeps equally probable
classes in their order, which Triton has not. That costs a launch of the kernel and some of torch for every step.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from vqaudio.generation.engine import EngineUnavailable, held_rows, require_precision
from vqaudio.generation.packed import PackedStack
from vqaudio.generation.state import SamplerState
from vqaudio.models.distributions import Categorical, MixtureOfLogistics
from vqaudio.models.sampling import Draw

TILE_BYTES = {"float32": 8 * 1024, "bfloat16": 16 * 1024}
"""Weights are fetched in tiles of so many bytes, or of 16 rows. Larger ones of float32 do not fit into registers."""

STAGES = (3, 2, 1)
"""How far ahead weights are fetched, less one: the first for which the device's multiprocessors have memory serves."""


@dataclass(frozen=True)
class Next:
    """How the kernel finds the next elements, in its own terms: see there. By default they are given."""

    draw: str = "follow"
    uniforms: int = 1
    temperature: float = 1.0
    mixtures: int = 1
    log_scale_range: tuple[float, float] = (0.0, 0.0)
    levels: float = 1.0

    @classmethod
    def of(cls, draw: Draw) -> Next | None:
        """Return how the kernel draws as `draw` does, or None where it cannot."""
        if draw.top_k is not None or draw.top_p is not None:
            return None
        distribution = draw.distribution
        if isinstance(distribution, Categorical):
            return cls("class", 1, draw.temperature)
        if isinstance(distribution, MixtureOfLogistics):
            levels = (2**distribution.bits - 1) / 2
            return cls("level", 2, draw.temperature, distribution.mixtures, distribution.log_scale_range, levels)
        return None


class TritonEngine:
    """Generates from packed weights with a Triton kernel, on CUDA devices.

    In bfloat16, weights and what they are multiplied with are rounded, sums and the ring are float32, and products
    run on tensor cores. In float32 they run on other, slower units. One sequence takes as long as sixteen. Programs
    are all alike and do not depend on each other: nothing that is drawn depends on the batch or on the division into
    calls, to the last bit.

    With Triton's interpreter (TRITON_INTERPRET=1) it runs on the CPU, very slowly: for tests.
    """

    name = "triton"
    precisions = ("float32", "bfloat16")

    def __init__(self, packed: PackedStack, device: torch.device | str = "cuda", precision: str = "float32") -> None:
        """Raises EngineUnavailable without Triton or CUDA, and for a stack that the kernel cannot be compiled for."""
        require_precision(type(self), precision)
        self.packed, self.device, self.precision = packed, torch.device(device), precision
        self._module = _import_kernel()
        self._require_cuda()
        self._constants = _constants(packed, precision, self._module.ROWS)
        self._weights = _lay_out(packed, self._constants, self.device, getattr(torch, precision))
        self._options = {"num_warps": _warps(self._constants, precision), "enable_fp_fusion": True}
        self._nothing = torch.zeros(1, device=self.device)
        self._choose_stages()

    def describe(self) -> str:
        """Return the engine's name, the device and the precision."""
        return f"{self.name} ({self.device}, {self.precision})"

    @torch.inference_mode()
    def generate(self, state: SamplerState, condition: Tensor | None, uniforms: Tensor, draw: Draw) -> Tensor:
        """Draw the next T elements of each sequence: see `Engine.generate`."""
        batch, T = uniforms.shape[:2]
        condition, hold = self._hold(state, condition, T)
        elements = self._elements(state, T)
        given = torch.zeros(T, elements.shape[1], uniforms.shape[2], device=self.device)
        given[:, :batch] = uniforms.transpose(0, 1)
        how = Next.of(draw)
        if how is not None:
            self._launch(state, T, condition, hold, elements, how, uniforms=given)
        else:
            self._draw_outside(state, condition, hold, elements, given, draw)
        state.inputs.copy_(elements[T])
        return elements[1:, :batch].t()

    @torch.inference_mode()
    def follow(self, state: SamplerState, condition: Tensor | None, inputs: Tensor) -> Tensor:
        """Return the parameters at each of T given elements: see `Engine.follow`."""
        batch, T = inputs.shape
        condition, hold = self._hold(state, condition, T)
        elements = self._elements(state, T)
        elements[1:, :batch] = inputs.t()
        parameters = torch.empty(T, elements.shape[1], self._constants["OUTPUTS"], device=self.device)
        self._launch(state, T, condition, hold, elements, Next(), parameters=parameters)
        state.inputs.copy_(elements[T])
        return parameters[:, :batch].transpose(0, 1)

    def _draw_outside(
        self, state: SamplerState, condition: Tensor, hold: int, elements: Tensor, uniforms: Tensor, draw: Draw
    ) -> None:
        """Fill `elements` (T + 1, rows) step by step, drawing from what the kernel returns."""
        batch = state.batch
        parameters = torch.empty(1, elements.shape[1], self._constants["OUTPUTS"], device=self.device)
        for t in range(len(elements) - 1):
            self._launch(state, 1, condition[t // hold :], 1, elements[t:], Next(), parameters=parameters)
            elements[t + 1, :batch] = draw(parameters[0, :batch], uniforms[t, :batch])

    def _hold(self, state: SamplerState, condition: Tensor | None, T: int) -> tuple[Tensor, int]:
        """Return the condition (N, L, rows, GATE) as the kernel reads it, and for how many steps each of N is held.

        Makes the rows of `state` a multiple of a program's.
        """
        layers, _, gate = self.packed.past.shape
        condition, hold = held_rows(condition, state.batch, T, layers * gate)
        state.fill_up(self._module.ROWS)
        state.ring = state.ring.contiguous()
        by_layer = condition.to(self.device).unflatten(-1, (layers, gate)).permute(1, 2, 0, 3)  # (N, L, B, G)
        by_turns = _by_turns(by_layer, self._constants["GATE"])
        held = self._weights["bias"][:, None].expand(layers, len(state.inputs), -1).repeat(len(by_turns), 1, 1, 1)
        held[:, :, : state.batch] += by_turns
        return held, hold

    def _elements(self, state: SamplerState, T: int) -> Tensor:
        """Return the inputs of T steps and after them (T + 1, rows): those of `state`, and room for more."""
        elements = state.inputs.new_zeros(T + 1, len(state.inputs))
        elements[0] = state.inputs
        return elements

    def _launch(
        self,
        state: SamplerState,
        steps: int,
        condition: Tensor,
        hold: int,
        elements: Tensor,
        how: Next,
        uniforms: Tensor | None = None,
        parameters: Tensor | None = None,
    ) -> None:
        """Make `steps` steps; tensors as the kernel describes them. Advances the ring and the position of `state`."""
        c, rows = self._constants, len(state.inputs)
        programs = rows // c["ROWS"]
        scratch = self._scratch(programs)
        weights = [tensor for name, tensor in self._weights.items() if name != "bias"]
        read, written = (self._nothing if tensor is None else tensor for tensor in (uniforms, parameters))
        with torch.cuda.device(self.device) if self.device.type == "cuda" else contextlib.nullcontext():
            self._module.make_steps[(programs,)](
                elements, read, written, condition, state.ring, *scratch, *weights,
                rows, steps, hold, state.position % 2 ** (c["PERIOD"] - 1),
                how.temperature, *how.log_scale_range, how.levels,
                DRAW=how.draw, MIXTURES=how.mixtures, UNIFORMS=how.uniforms, **c, **self._options,
            )  # fmt: skip
        state.position += steps

    def _scratch(self, programs: int) -> list[Tensor]:
        """Return the kernel's trail, gates, first and second, for so many programs."""
        c, dtype = self._constants, self._weights["past"].dtype
        sizes = [(c["LAYERS"] * c["RESIDUAL"], torch.float32), (c["LAYERS"] * c["GATE"] // 2, dtype)]
        sizes += [(c["SKIP"], dtype)] * 2
        return [torch.empty(programs, c["ROWS"] * n, dtype=dtype, device=self.device) for n, dtype in sizes]

    def _choose_stages(self) -> None:
        """Compile the kernel as it will most likely be wanted, fetching as far ahead as the device allows."""
        levels = Next("level", 2, mixtures=max(1, self._constants["OUTPUTS"] // 3))
        how = levels if self.packed.tokens is None else Next("class")
        state = SamplerState.begin(self.packed, torch.zeros(1), self.device)
        condition, _ = self._hold(state, None, 1)
        for stages in STAGES:
            self._options["num_stages"] = stages
            try:
                self._launch(state, 0, condition, 1, self._elements(state, 0), how)
                return
            except self._module.OutOfResources as error:
                reason = error
            except Exception as error:  # whatever it is, another engine can serve, and the log says why this one not
                raise EngineUnavailable(f"{self.name} cannot compile its kernel here: {error}") from error
        raise EngineUnavailable(f"{self.name}: the stack is too wide for this device: {reason}")

    def _require_cuda(self) -> None:
        if self._module.INTERPRETED:
            return
        if self.device.type != "cuda":
            raise EngineUnavailable(f"{self.name} runs on cuda, not on {self.device}")
        if not torch.cuda.is_available():
            raise EngineUnavailable(f"{self.name} needs CUDA, which torch {torch.__version__} does not find here")


def _import_kernel() -> ModuleType:
    try:
        from vqaudio.generation import triton_kernel
    except ImportError as error:
        raise EngineUnavailable(f"triton needs the package triton: {error}") from error
    return triton_kernel


def _constants(packed: PackedStack, precision: str, rows: int) -> dict[str, int]:
    """Return the kernel's constants for a stack: padded widths, and how much of the weights is read at a time."""
    layers, channels, gate = packed.past.shape
    skips, outputs = packed.output.shape
    residual, half, skip, out = (_padded(width) for width in (channels, gate // 2, skips, outputs))
    row_bytes = 4 if precision == "float32" else 2

    def chunk(rows: int, columns: int) -> int:  # both multiples of 16, `columns` a power of two
        return math.gcd(rows, max(16, TILE_BYTES[precision] // (row_bytes * columns)))

    return {
        "SYMBOLS": int(packed.tokens is not None),
        "LAYERS": layers, "PERIOD": _period(packed.dilations), "CHANNELS": channels, "OUTPUTS": outputs,
        "RESIDUAL": residual, "GATE": 2 * half, "SKIP": skip, "OUT": out,
        "CHUNK": chunk(math.gcd(residual, half), 2 * half), "GATES_CHUNK": chunk(layers * half, skip),
        "SKIP_CHUNK": chunk(skip, max(skip, out)), "ROWS": rows,
    }  # fmt: skip


def _warps(constants: dict[str, int], precision: str) -> int:
    """Return how many warps share a program.

    In float32, four compute 4 × 4 sums a thread of a product 128 wide, from half as many numbers as eight would read.
    Wider ones do not fit into the registers of four. Tensor cores read what is needed once, and eight hide more waits.
    """
    return 4 if precision == "float32" and max(constants[name] for name in ("GATE", "SKIP", "OUT")) <= 256 else 8


def _period(dilations: tuple[int, ...]) -> int:
    """Return after how many layers the dilations 1, 2, 4, … start anew."""
    period = max(dilations).bit_length()
    if dilations != tuple(2 ** (layer % period) for layer in range(len(dilations))):
        raise EngineUnavailable(f"triton serves dilations of 1, 2, 4, … anew, not {dilations}")
    return period


def _padded(width: int) -> int:
    """Return the power of two, of at least 16, that a width is padded to."""
    return max(16, 1 << (width - 1).bit_length())


def _lay_out(
    packed: PackedStack, constants: dict[str, int], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Return the weights as the kernel takes them, in its order, matrices in `dtype`; and `bias` (L, GATE)."""
    c, (layers, _, gate) = constants, packed.past.shape
    half, skip, out = c["GATE"] // 2, c["SKIP"], c["OUT"]

    def put(array, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return _into_corner(torch.as_tensor(array), shape).to(device, dtype)

    def by_turns(array) -> Tensor:
        return _by_turns(torch.from_numpy(array), c["GATE"])

    return {
        "input_weight": put(packed.input_weight, len(packed.input_weight), c["RESIDUAL"]),
        "input_bias": put(packed.input_bias, c["RESIDUAL"]),
        "past": put(by_turns(packed.past), layers, c["RESIDUAL"], c["GATE"], dtype=dtype),
        "now": put(by_turns(packed.now), layers, c["RESIDUAL"], c["GATE"], dtype=dtype),
        "residual": put(packed.residual, layers, half, c["RESIDUAL"], dtype=dtype),
        "skip": put(packed.skip.reshape(layers, gate // 2, -1), layers, half, skip, dtype=dtype),
        "skip_bias": put(packed.skip_bias, skip),
        "hidden": put(packed.hidden, skip, skip, dtype=dtype),
        "hidden_bias": put(packed.hidden_bias, skip),
        "output": put(packed.output, skip, out, dtype=dtype),
        "output_bias": put(packed.output_bias, out),
        "bias": put(by_turns(packed.bias), layers, c["GATE"]),
    }


def _by_turns(channels: Tensor, width: int) -> Tensor:
    """Return channels (…, G), tanh before sigmoid, by turns and padded: (…, `width`); those of tanh are doubled."""
    tanh, sigmoid = channels.unflatten(-1, (2, -1)).unbind(-2)
    pairs = torch.stack([2 * tanh, sigmoid], dim=-1)  # (…, Z, 2)
    return _into_corner(pairs, (*pairs.shape[:-2], width // 2, 2)).flatten(-2)


def _into_corner(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return zeros of `shape` with `tensor` at the beginning of each axis."""
    out = tensor.new_zeros(shape)
    out[tuple(slice(n) for n in tensor.shape)] = tensor
    return out
