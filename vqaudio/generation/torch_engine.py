"""Generation with torch's own operations, on any device, a batch of sequences in step.

One gather from the state's ring and one batched product give all layers' past taps; then each layer is two matrix
products and two elementwise operations, written in place. At 64 sequences the products take most of the time; below,
the calls do. This is the reference for the other engines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from vqaudio.generation.engine import held_rows, require_precision
from vqaudio.generation.packed import PackedStack
from vqaudio.generation.state import SamplerState
from vqaudio.models.sampling import Draw


class Workspace:
    """The memory that a step of so many rows works in."""

    def __init__(self, rows: int, layers: int, residual: int, gate: int, device: torch.device) -> None:
        half = gate // 2
        self.past = torch.empty(layers, rows, residual, device=device)
        self.activations = torch.empty(layers, rows, gate, device=device)
        self.gates = torch.empty(rows, layers * half, device=device)
        self.layer_views = [
            (h, h[:, :half], h[:, half:], self.gates[:, layer * half : (layer + 1) * half])
            for layer, h in enumerate(self.activations)
        ]


class TorchEngine:
    """Generates from packed weights, in float32, on one thread of a CPU: several processes use several cores.

    Within, tanh(a) is 2σ(2a) - 1, so that one in-place sigmoid serves both halves of the gate, several times faster
    than tanh; and the gates are kept negated, -z = σ(b) - 2σ(2a)σ(b), which is one operation. The factors 2 and -1,
    exact in floating point, are in the weights. Against tanh the error is 1e-7 of full scale.
    """

    name = "torch"
    precisions = ("float32",)

    def __init__(self, packed: PackedStack, device: torch.device | str = "cpu", precision: str = "float32") -> None:
        def tensor(array):
            return torch.from_numpy(array).to(device)

        require_precision(type(self), precision)
        self.packed, self.device, self.precision = packed, torch.device(device), precision
        self.tokens = packed.tokens
        self.layers, self.channels, self.gate = packed.past.shape
        self.row_multiple = row_multiple(self.gate)
        self.dilations = packed.dilations
        self.gain = torch.ones(self.gate, device=device)
        self.gain[: self.gate // 2] = 2
        self.input_weight, self.input_bias = tensor(packed.input_weight), tensor(packed.input_bias)
        self.past, self.now = tensor(packed.past) * self.gain, tensor(packed.now) * self.gain
        self.bias = (tensor(packed.bias) * self.gain)[:, None]  # (L, 1, G)
        self.residual = -tensor(packed.residual)
        self.skip, self.skip_bias = -tensor(packed.skip), tensor(packed.skip_bias)
        self.hidden, self.hidden_bias = tensor(packed.hidden), tensor(packed.hidden_bias)
        self.output, self.output_bias = tensor(packed.output), tensor(packed.output_bias)
        dilations = torch.tensor(self.dilations)
        self.first_slots = dilations.cumsum(0) - dilations  # (L,)

    def describe(self) -> str:
        """Return the engine's name and the device."""
        return f"{self.name} ({self.device}, {self.precision})"

    @torch.inference_mode()
    def generate(self, state: SamplerState, condition: Tensor | None, uniforms: Tensor, draw: Draw) -> Tensor:
        """Draw the next T elements of each sequence: see `Engine.generate`."""
        uniforms = uniforms.transpose(0, 1).to(self.device).contiguous()  # (T, B, U)
        drawn = torch.empty(uniforms.shape[:2], dtype=state.inputs.dtype, device=self.device)

        def following(t: int, parameters: Tensor) -> Tensor:
            drawn[t] = draw(parameters, uniforms[t])
            return drawn[t]

        self._advance(state, condition, len(drawn), following)
        return drawn.t()

    @torch.inference_mode()
    def follow(self, state: SamplerState, condition: Tensor | None, inputs: Tensor) -> Tensor:
        """Return the parameters at each of T given elements: see `Engine.follow`."""
        elements = inputs.t().to(device=self.device, dtype=state.inputs.dtype)
        seen = []

        def following(t: int, parameters: Tensor) -> Tensor:
            seen.append(parameters.clone())
            return elements[t]

        self._advance(state, condition, len(elements), following)
        return torch.stack(seen, dim=1)

    def _advance(
        self, state: SamplerState, condition: Tensor | None, T: int, following: Callable[[int, Tensor], Tensor]
    ) -> None:
        """Make T steps; `following` maps step number and parameters (B, P) to the next inputs (B,)."""
        condition, hold = held_rows(condition, state.batch, T, self.layers * self.gate)
        held = condition.to(self.device).transpose(0, 1)  # (N, B, L·G)
        state.fill_up(self.row_multiple)
        work = Workspace(len(state.inputs), self.layers, self.channels, self.gate, self.device)
        slot_rows = state.ring.unbind(0)
        slots, index = self._slots(state.position, T)
        with one_thread():
            for t in range(T):
                if t % hold == 0:
                    row = self._expand_condition(state, held[t // hold])  # (L, rows, G)
                places = [slot_rows[slot] for slot in slots[t]]
                parameters = self._step(state, work, row, places, index[t])
                state.inputs[: state.batch] = following(t, parameters[: state.batch])
        state.position += T

    def _step(
        self, state: SamplerState, work: Workspace, condition: Tensor, places: Sequence[Tensor], index: Tensor
    ) -> Tensor:
        """Return the parameters (rows, P) after the inputs of `state`, and put each layer's input into its slot.

        `places`: the slots of all layers, (rows, R) each; `index`: their numbers.
        """
        torch.index_select(state.ring, 0, index, out=work.past)
        torch.baddbmm(condition, work.past, self.past, out=work.activations)
        x = self._embed(state.inputs, out=places[0])
        for layer, (h, tanh, sigmoid, gate) in enumerate(work.layer_views):
            h.addmm_(x, self.now[layer]).sigmoid_()
            torch.addcmul(sigmoid, tanh, sigmoid, value=-2, out=gate)
            if layer + 1 < self.layers:
                x = torch.addmm(x, gate, self.residual[layer], out=places[layer + 1])
        s = torch.addmm(self.skip_bias, work.gates, self.skip).relu_()
        s = torch.addmm(self.hidden_bias, s, self.hidden).relu_()
        return torch.addmm(self.output_bias, s, self.output)

    def _embed(self, inputs: Tensor, out: Tensor) -> Tensor:
        if self.tokens is None:
            return torch.addcmul(self.input_bias, inputs[:, None], self.input_weight, out=out)
        return torch.index_select(self.input_weight, 0, inputs, out=out)

    def _expand_condition(self, state: SamplerState, condition: Tensor) -> Tensor:
        """Return condition (B, L·G) of one row, with the bias, for all rows and layer by layer: (L, rows, G)."""
        out = self.bias.repeat(1, state.inputs.shape[0], 1)
        by_layer = condition.view(len(condition), self.layers, self.gate).transpose(0, 1)
        out[:, : state.batch].addcmul_(by_layer, self.gain)
        return out

    def _slots(self, position: int, steps: int) -> tuple[list[list[int]], Sequence[Tensor]]:
        """Return the slot of each layer at each step from `position` on, as numbers and as index tensors."""
        times = torch.arange(position, position + steps)[:, None]
        slots = self.first_slots + times % torch.tensor(self.dilations)  # (steps, L)
        return slots.tolist(), slots.to(self.device).unbind(0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: products of a step are so small that threads wait for each other most of the time.

    On two cores that another program used too, a step on two threads took six times as long as on one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def row_multiple(gate: int) -> int:
    """Return what batches are filled up to a multiple of, so that a sequence does not depend on the others in it.

    A BLAS rounds the rows that its kernels and threads leave over differently, and vectorised sigmoids the last few
    elements of a tensor. On CPUs with MKL and AVX-512 all bits are equal for any number of
    rows that is a multiple of 8 and makes a multiple of 32 elements; but for products of less than 400
    multiplications, which torch computes in another way.
    """
    return 8 if gate % 4 == 0 else 16
