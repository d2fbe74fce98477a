"""Where a batch of sequences stands: what every engine reads and advances, and can be saved and taken up by another.

What lies before the step is kept as each layer's last d inputs, in one ring of slots:

    layer      0  1 1  2 2 2 2  3 …          a layer of dilation d owns d slots
    slot       0  1 2  3 4 5 6  7 …          at time t it reads x(t-d) from its slot number t mod d,
                                             and then writes x(t) over it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vqaudio.errors import VQAudioError
from vqaudio.generation.packed import PackedStack


@dataclass
class SamplerState:
    """State of B sequences before step `position`; engines change it in place. All tensors lie on one device."""

    ring: Tensor
    """float32 (slots, rows, R): past inputs of the layers, R residual channels."""
    inputs: Tensor
    """(rows,): the stack's inputs at `position`, int64 symbols or float32 values."""
    position: int
    """Steps made since the beginning."""
    batch: int
    """B: the first B of the rows are sequences. Engines that compute in blocks of rows fill up what is left."""

    @classmethod
    def begin(cls, packed: PackedStack, first_inputs: Tensor, device: torch.device | str) -> SamplerState:
        """Return the state before the first step of B sequences with these first inputs (B,)."""
        residual = packed.past.shape[1]
        ring = torch.zeros(sum(packed.dilations), len(first_inputs), residual, device=device)
        dtype = torch.float32 if packed.tokens is None else torch.long
        return cls(ring, first_inputs.to(device=device, dtype=dtype, copy=True), 0, len(first_inputs))

    def keep(self, rows: Sequence[int]) -> SamplerState:
        """Return a state of only the sequences `rows`, in this order."""
        index = torch.tensor(list(rows), device=self.ring.device)
        return SamplerState(self.ring.index_select(1, index), self.inputs[index], self.position, len(index))

    def copy(self) -> SamplerState:
        """Return a state that goes its own way from here."""
        return self.keep(range(self.batch))

    def fill_up(self, multiple: int) -> None:
        """Make the number of rows a multiple of `multiple`; those added hold what the first one holds."""
        missing = -len(self.inputs) % multiple
        if missing:
            self.ring = torch.cat([self.ring, self.ring[:, :1].expand(-1, missing, -1)], dim=1)
            self.inputs = torch.cat([self.inputs, self.inputs[:1].expand(missing)])

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as tensors on the CPU, such as safetensors can save; `from_tensors` takes them."""
        kept = self.copy()
        return {
            "ring": kept.ring.cpu(),
            "inputs": kept.inputs.cpu(),
            "position": torch.tensor(self.position),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], device: torch.device | str = "cpu") -> SamplerState:
        """Return the state that `tensors` returned. Raises VQAudioError where they do not fit each other."""
        ring, inputs = tensors["ring"].to(device), tensors["inputs"].to(device)
        if ring.dim() != 3 or inputs.shape != ring.shape[1:2]:
            raise VQAudioError(
                f"sampler state: ring {tuple(ring.shape)} and inputs {tuple(inputs.shape)}, "
                "expected (slots, B, R) and (B,)"
            )
        return cls(ring, inputs, int(tensors["position"]), len(inputs))
