"""Generation with torch's own operations, on any device, a batch of sequences in step.

What lies before the step is kept as each layer's last d inputs, in one ring of slots:

    layer      0  1 1  2 2 2 2  3 …          a layer of dilation d owns d slots
    slot       0  1 2  3 4 5 6  7 …          at time t it reads x(t-d) from its slot number t mod d,
                                             and then writes x(t) over it

so one gather and one batched product give all layers' past taps; then each layer is two matrix products and two
elementwise operations, written in place. At 64 sequences the products take most of the time; below, the calls do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from vqaudio.generation.packed import PackedStack

Draw = Callable[[Tensor, Tensor], Tensor]
"""Maps parameters (B, P) and uniforms (B, U) to the next inputs (B,)."""


class TorchState:
    """Where a batch of B sequences stands: ring, position, next inputs; and the memory that a step works in."""

    def __init__(self, ring: Tensor, position: int, inputs: Tensor, batch: int, layers: int, gate: int) -> None:
        rows, residual = ring.shape[1:]
        half = gate // 2
        self.ring = ring  # (slots, rows, R)
        self.position = position
        self.inputs = inputs  # (rows,)
        self.batch = batch
        self.slots = ring.unbind(0)
        self.past = ring.new_empty(layers, rows, residual)
        self.activations = ring.new_empty(layers, rows, gate)
        self.gates = ring.new_empty(rows, layers * half)
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

    def __init__(self, packed: PackedStack, device: torch.device | str = "cpu") -> None:
        def tensor(array):
            return torch.from_numpy(array).to(device)

        self.device = torch.device(device)
        self.tokens = packed.tokens
        self.layers, _, self.gate = packed.past.shape
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

    @torch.inference_mode()
    def init_state(self, first_inputs: Tensor) -> TorchState:
        """Return the state before the first step of B sequences with these first inputs (B,)."""
        batch = len(first_inputs)
        rows = batch + -batch % self.row_multiple
        dtype = torch.float32 if self.tokens is None else torch.long
        inputs = torch.zeros(rows, dtype=dtype, device=self.device)
        inputs[:batch] = first_inputs.to(self.device)
        ring = torch.zeros(sum(self.dilations), rows, self.past.shape[1], device=self.device)
        return TorchState(ring, 0, inputs, batch, self.layers, self.gate)

    @torch.inference_mode()
    def keep(self, state: TorchState, rows: Sequence[int]) -> TorchState:
        """Return a state of only the sequences `rows` of `state`, in this order."""
        # Rows that fill up repeat the first one: any finite content will do.
        index = torch.tensor([*rows, *[rows[0]] * (-len(rows) % self.row_multiple)], device=self.device)
        ring, inputs = state.ring.index_select(1, index), state.inputs[index]
        return TorchState(ring, state.position, inputs, len(rows), self.layers, self.gate)

    @torch.inference_mode()
    def generate(self, state: TorchState, condition: Tensor | None, uniforms: Tensor, draw: Draw) -> Tensor:
        """Draw the next T elements of each sequence, advancing `state`; return them as inputs (B, T).

        `condition`: (B, N, L·G), each of its rows held for T / N steps; T must be a multiple of N. `uniforms`:
        (B, T, U) in [0, 1), handed to `draw` step by step.
        """
        T = uniforms.shape[1]
        held = self._held_conditions(state, condition)
        if T % len(held):
            raise ValueError(f"a condition of {len(held)} rows cannot be held over {T} steps evenly")
        hold = T // len(held)
        uniforms = uniforms.transpose(0, 1).to(self.device).contiguous()  # (T, B, U)
        slots, index = self._slots(state.position, T)
        drawn = torch.empty(T, state.batch, dtype=state.inputs.dtype, device=self.device)
        with one_thread():
            for t in range(T):
                if t % hold == 0:
                    row = self._expand_condition(state, held[t // hold])  # (L, rows, G)
                parameters = self._step(state, row, slots[t], index[t])
                drawn[t] = draw(parameters[: state.batch], uniforms[t])
                state.inputs[: state.batch] = drawn[t]
        state.position += T
        return drawn.t()

    def _step(self, state: TorchState, condition: Tensor, slots: list[int], index: Tensor) -> Tensor:
        """Return the parameters (rows, P) after the inputs of `state`, and put each layer's input into its slot."""
        torch.index_select(state.ring, 0, index, out=state.past)
        torch.baddbmm(condition, state.past, self.past, out=state.activations)
        x = self._embed(state.inputs, out=state.slots[slots[0]])
        for layer, (h, tanh, sigmoid, gate) in enumerate(state.layer_views):
            h.addmm_(x, self.now[layer]).sigmoid_()
            torch.addcmul(sigmoid, tanh, sigmoid, value=-2, out=gate)
            if layer + 1 < self.layers:
                after = state.slots[slots[layer + 1]]
                x = torch.addmm(x, gate, self.residual[layer], out=after)
        s = torch.addmm(self.skip_bias, state.gates, self.skip).relu_()
        s = torch.addmm(self.hidden_bias, s, self.hidden).relu_()
        return torch.addmm(self.output_bias, s, self.output)

    def _embed(self, inputs: Tensor, out: Tensor) -> Tensor:
        if self.tokens is None:
            return torch.addcmul(self.input_bias, inputs[:, None], self.input_weight, out=out)
        return torch.index_select(self.input_weight, 0, inputs, out=out)

    def _held_conditions(self, state: TorchState, condition: Tensor | None) -> Tensor:
        """Return condition (B, N, L·G) as (N, B, L·G)."""
        if condition is None:
            return torch.zeros(1, 1, self.layers * self.gate, device=self.device)
        if condition.shape[0] != state.batch:
            raise ValueError(f"a condition of {condition.shape[0]} sequences, expected {state.batch}")
        return condition.to(self.device).transpose(0, 1)

    def _expand_condition(self, state: TorchState, condition: Tensor) -> Tensor:
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
