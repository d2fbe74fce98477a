"""Generation as a CUDA graph: one step is recorded once, and replayed for every sample without work of the host.

A step of 30 layers is about 200 small kernels. Launched one by one they wait for Python; in a graph they follow each
other on the device. So that one recording serves every step, whatever differs between steps lies in device memory:

    position ──% dilations──▶ slots ─▶ ring.index_select … ring.index_copy_
    made ──// hold──▶ row of the condition          made ──▶ row of the uniforms, and where the draw is written

and is counted up by the step itself. Nothing in a step may look at a number on the host, nor may what draws.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vqaudio.generation.engine import EngineUnavailable, held_rows, require_precision
from vqaudio.generation.packed import PackedStack
from vqaudio.generation.state import SamplerState
from vqaudio.models.sampling import Draw

WARM_UP_STEPS = 3
"""Steps made before recording, in which libraries choose kernels and take their memory."""

LEAST_STEPS = 256
"""A recording has room for at least so many steps a call: the room costs little, recording again costs much."""

Recorder = Callable[[Callable[[], None], torch.device], Callable[[int], None]]
"""Takes a step and its device, may make some steps, and returns what repeats the step so many times."""


def as_cuda_graph(step: Callable[[], None], device: torch.device) -> Callable[[int], None]:
    """Record `step` as a CUDA graph, after some steps on a side stream; the result replays it."""
    with torch.cuda.device(device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # In this mode other threads, such as a data loader's, may go on allocating.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            step()

    def repeat(times: int) -> None:
        for _ in range(times):
            graph.replay()

    return repeat


class Weights:
    """The weights of a stack on the device; the matrices of its layers in `dtype`.

    The embedding and the last product stay in float32: with eight bits, the means of a mixture of logistics would
    not resolve its levels, nor would inputs that are such levels.
    """

    def __init__(self, packed: PackedStack, device: torch.device, dtype: torch.dtype) -> None:
        def tensor(array, dtype=dtype):
            return torch.from_numpy(array).to(device, dtype)

        self.device, self.dtype, self.tokens = device, dtype, packed.tokens
        self.input_dtype = torch.float32 if packed.tokens is None else torch.long
        self.layers, self.channels, self.gate = packed.past.shape
        self.outputs = packed.output.shape[1]
        self.past, self.now, self.residual = tensor(packed.past), tensor(packed.now), tensor(packed.residual)
        self.skip, self.skip_bias = tensor(packed.skip), tensor(packed.skip_bias)
        self.hidden, self.hidden_bias = tensor(packed.hidden), tensor(packed.hidden_bias)
        # The rest in float32. Biases of layers are added to the condition, before it is rounded.
        self.bias = tensor(packed.bias, torch.float32)[:, None]  # (L, 1, G)
        self.input_weight = tensor(packed.input_weight, torch.float32)
        self.input_bias = tensor(packed.input_bias, torch.float32)
        self.output, self.output_bias = tensor(packed.output, torch.float32), tensor(packed.output_bias, torch.float32)
        self.slots = sum(packed.dilations)
        self.dilations = torch.tensor(packed.dilations, device=device)  # (L,)
        self.first_slots = self.dilations.cumsum(0) - self.dilations

    def embed(self, inputs: Tensor) -> Tensor:
        """Map inputs (rows,) to the first layer's (rows, R), in float32."""
        if self.tokens is None:
            return torch.addcmul(self.input_bias, inputs[:, None], self.input_weight)
        return self.input_weight.index_select(0, inputs)

    def head(self, gates: Tensor) -> Tensor:
        """Map the gates of all layers (rows, L·Z) to parameters (rows, P), in float32."""
        s = torch.addmm(self.skip_bias, gates, self.skip).relu_()
        s = torch.addmm(self.hidden_bias, s, self.hidden).relu_()
        return torch.addmm(self.output_bias, s.float(), self.output)


class Drawing:
    """The next inputs are drawn: `given` are uniforms (steps, rows, U), and `kept` what was drawn (steps, rows)."""

    def __init__(self, draw: Draw, weights: Weights, steps: int, rows: int) -> None:
        self.draw = draw
        self.given = torch.zeros(steps, rows, draw.distribution.uniforms_per_sample, device=weights.device)
        self.kept = torch.zeros(steps, rows, dtype=weights.input_dtype, device=weights.device)

    def __call__(self, made: Tensor, parameters: Tensor) -> Tensor:
        """Return the inputs (rows,) after step number `made` (1,), which gave these parameters (rows, P)."""
        drawn = self.draw(parameters, self.given.index_select(0, made)[0])
        self.kept.index_copy_(0, made, drawn[None])
        return drawn


class Following:
    """The next inputs are known: `given` are they (steps, rows), and `kept` all parameters (steps, rows, P)."""

    def __init__(self, weights: Weights, steps: int, rows: int) -> None:
        self.given = torch.zeros(steps, rows, dtype=weights.input_dtype, device=weights.device)
        self.kept = torch.zeros(steps, rows, weights.outputs, device=weights.device)

    def __call__(self, made: Tensor, parameters: Tensor) -> Tensor:
        """Return the inputs (rows,) after step number `made` (1,), which gave these parameters (rows, P)."""
        self.kept.index_copy_(0, made, parameters[None])
        return self.given.index_select(0, made)[0]


class Loop:
    """The memory in which steps are made, always the same, and one step in it.

    `draw`: how the next inputs come about, None for given ones; `rows`: sequences; `units`: rows of the condition that
    there is room for; `steps`: steps, likewise.
    """

    def __init__(self, weights: Weights, draw: Draw | None, rows: int, units: int, steps: int) -> None:
        def zeros(*shape: int, dtype: torch.dtype = weights.dtype) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=weights.device)

        layers, channels, gate = weights.layers, weights.channels, weights.gate
        self.weights, self.room = weights, (units, steps)
        self.position, self.made = zeros(1, dtype=torch.long), zeros(1, dtype=torch.long)
        self.hold = torch.full_like(self.made, steps)  # the first row of the condition throughout the warm-up
        self.inputs = zeros(rows, dtype=weights.input_dtype)
        self.next = Following(weights, steps, rows) if draw is None else Drawing(draw, weights, steps, rows)
        self.ring = zeros(weights.slots, rows, channels)
        self.condition = zeros(units, layers, rows, gate)
        self.x = zeros(layers, rows, channels)
        self.gates = zeros(rows, layers * gate // 2)

    def load(self, state: SamplerState, condition: Tensor, hold: int) -> None:
        """Take over where `state` stands; `condition`: (B, N, L·G), each of its rows held for `hold` steps."""
        w, batch = self.weights, state.batch
        self.ring[:, :batch].copy_(state.ring[:, :batch])
        self.inputs[:batch].copy_(state.inputs[:batch])
        by_layer = condition.to(w.device).unflatten(-1, (w.layers, w.gate)).permute(1, 2, 0, 3)  # (N, L, B, G)
        self.condition[: len(by_layer), :, :batch].copy_(by_layer + w.bias)
        self.position.fill_(state.position)
        self.hold.fill_(hold)
        self.made.zero_()

    def store(self, state: SamplerState, steps: int) -> None:
        """Put what `steps` steps since `load` have made of `state` into it."""
        state.ring[:, : state.batch].copy_(self.ring[:, : state.batch])
        state.inputs[: state.batch].copy_(self.inputs[: state.batch])
        state.position += steps

    def step(self) -> None:
        """Make one step, reading and writing device memory alone."""
        w, x = self.weights, self.x
        slots = self.position % w.dilations + w.first_slots  # (L,)
        unit = torch.div(self.made, self.hold, rounding_mode="floor")
        h = self.condition.index_select(0, unit)[0]  # (L, rows, G)
        h.baddbmm_(self.ring.index_select(0, slots), w.past)
        x[0].copy_(w.embed(self.inputs))
        for layer in range(w.layers):
            z = self._gate(layer, h[layer].addmm_(x[layer], w.now[layer]))
            if layer + 1 < w.layers:
                torch.addmm(x[layer], z, w.residual[layer], out=x[layer + 1])
        self.ring.index_copy_(0, slots, x)
        self.inputs.copy_(self.next(self.made, w.head(self.gates)))
        self.position += 1
        self.made += 1

    def _gate(self, layer: int, h: Tensor) -> Tensor:
        """Return tanh(a) ⊙ sigmoid(b) of h = [a, b] (rows, G), in its place among the gates of all layers."""
        half = self.weights.gate // 2
        z = self.gates[:, layer * half : (layer + 1) * half]
        return torch.mul(h[:, :half].tanh_(), h[:, half:].sigmoid_(), out=z)


class GraphEngine:
    """Generates from packed weights by replaying a step that was recorded as a CUDA graph.

    A recording serves all batches that fit into the power of two of rows that it is for: as utterances end, and leave
    their batch, there is little to record anew, and twice the memory of the largest batch holds all recordings. On
    longer calls than before, or with more rows of condition, the step is recorded again with more room.

    In float32, products are torch's, at the precision that `torch.set_float32_matmul_precision` has set. In bfloat16,
    activations are rounded as autocast rounds them in training. cuBLAS may add in another order for another number of
    rows, so that elements drawn in batches of other powers of two can differ where a uniform lies within rounding of
    a border, as between engines; within one, nothing depends on the batch or on the division into calls.
    """

    name = "cuda-graph"
    precisions = ("float32", "bfloat16")

    def __init__(
        self,
        packed: PackedStack,
        device: torch.device | str = "cuda",
        precision: str = "float32",
        record: Recorder | None = None,
    ) -> None:
        """`record`: how a step is made to repeat, on whatever device; by default as a CUDA graph.

        Raises EngineUnavailable without `record` where there is no CUDA, and for a precision that it has not.
        """
        require_precision(type(self), precision)
        self.packed, self.device, self.precision = packed, torch.device(device), precision
        if record is None:
            self._require_cuda()
        self._record = record or as_cuda_graph
        self._weights = Weights(packed, self.device, getattr(torch, precision))
        self._loops: dict[tuple[int, Draw | None], tuple[Loop, Callable[[int], None]]] = {}

    def describe(self) -> str:
        """Return the engine's name, the device and the precision."""
        return f"{self.name} ({self.device}, {self.precision})"

    def generate(self, state: SamplerState, condition: Tensor | None, uniforms: Tensor, draw: Draw) -> Tensor:
        """Draw the next T elements of each sequence: see `Engine.generate`."""
        return self._advance(state, condition, uniforms, draw)

    def follow(self, state: SamplerState, condition: Tensor | None, inputs: Tensor) -> Tensor:
        """Return the parameters at each of T given elements: see `Engine.follow`."""
        return self._advance(state, condition, inputs, None)

    @torch.inference_mode()
    def _advance(self, state: SamplerState, condition: Tensor | None, given: Tensor, draw: Draw | None) -> Tensor:
        """Make T steps with what is `given` (B, T, …) for each; return what is to be kept of them (B, T, …)."""
        batch, T = given.shape[:2]
        condition, hold = held_rows(condition, state.batch, T, self._weights.layers * self._weights.gate)
        loop, repeat = self._loop(draw, batch, condition.shape[1], T)
        loop.next.given[:T, :batch].copy_(given.transpose(0, 1))
        loop.load(state, condition, hold)
        repeat(T)
        loop.store(state, T)
        return loop.next.kept[:T, :batch].transpose(0, 1).clone()  # the next call writes over it

    def _loop(self, draw: Draw | None, batch: int, units: int, steps: int) -> tuple[Loop, Callable[[int], None]]:
        """Return a loop with room for so much, and what repeats its step."""
        key = _power_of_two(batch), draw
        room = self._loops[key][0].room if key in self._loops else (1, LEAST_STEPS)
        needed = max(room[0], _power_of_two(units)), max(room[1], _power_of_two(steps))
        if key not in self._loops or needed != room:
            self._loops.pop(key, None)  # before its memory is taken again
            loop = Loop(self._weights, draw, key[0], *needed)
            self._loops[key] = loop, self._record(loop.step, self.device)
        return self._loops[key]

    def _require_cuda(self) -> None:
        if self.device.type != "cuda":
            raise EngineUnavailable(f"{self.name} runs on cuda, not on {self.device}")
        if not torch.cuda.is_available():
            raise EngineUnavailable(f"{self.name} needs CUDA, which torch {torch.__version__} does not find here")


def _power_of_two(least: int) -> int:
    """Return the smallest power of two that is not below `least`."""
    return 1 << max(0, least - 1).bit_length()
