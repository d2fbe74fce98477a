"""Which crop comes when: crop slots in a random order, as a pure function of seed and place in the stream.

An utterance of n samples offers max(1, round(n / crop_length)) crop slots. Epoch e is a permutation of all slots,
drawn from (seed, e), and gives each slot a uniformly random place in its utterance. Of an epoch the permutation alone
is kept, 4 bytes a slot; a slot's place is drawn again when it is asked for, by advancing the generator to it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_KEPT = 2  # epochs: a batch, and the batches that threads prepare ahead, touch two that follow each other


@dataclass(frozen=True)
class _Epoch:
    """The order (slots,) in which an epoch meets the slots, and the generator's state when it had drawn it."""

    order: np.ndarray
    state: dict[str, Any]

    def places(self, slots: Sequence[int]) -> np.ndarray:
        """Return the place in [0, 1) of these slots: those of `random(number of slots)` drawn after the order."""
        bits = np.random.PCG64(0)
        generator, places = np.random.Generator(bits), np.empty(len(slots))
        for i, slot in enumerate(slots):
            bits.state = self.state
            places[i] = (bits.advance(int(slot)), generator.random())[1]
        return places


class CropSlots:
    """The endless stream of crops of utterances of `lengths` samples (int64, (n,))."""

    def __init__(self, lengths: np.ndarray, crop_length: int, seed: int) -> None:
        self._lengths, self._crop_length, self._seed = lengths, crop_length, seed
        self._ends = np.cumsum(np.maximum(1, np.rint(lengths / crop_length).astype(np.int64)))
        self._epochs: dict[int, _Epoch] = {}
        self._lock = threading.Lock()  # the threads of `prefetch` wait for one drawing rather than draw each their own

    def __len__(self) -> int:
        """Crop slots in an epoch."""
        return int(self._ends[-1])

    def crops(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return utterances and first samples, int64 (count,) each, of the stream's crops from `first` on."""
        epochs, indices = np.divmod(np.arange(first, first + count), len(self))
        slots, places = np.empty(count, dtype=np.int64), np.empty(count)
        for number in np.unique(epochs):
            own, epoch = epochs == number, self._epoch(int(number))
            slots[own] = epoch.order[indices[own]]
            places[own] = epoch.places(slots[own])
        utterances = np.searchsorted(self._ends, slots, side="right")
        room = np.maximum(0, self._lengths[utterances] - self._crop_length)
        return utterances, (places * (room + 1)).astype(np.int64)

    def _epoch(self, number: int) -> _Epoch:
        with self._lock:
            if number not in self._epochs:
                for old in sorted(self._epochs)[: 1 - _KEPT]:
                    del self._epochs[old]
                self._epochs[number] = self._draw(number)
            return self._epochs[number]

    def _draw(self, number: int) -> _Epoch:
        generator = np.random.default_rng([self._seed, number])
        # `generator.permutation(slots)` shuffles likewise, but in eight bytes a slot
        order = np.arange(len(self), dtype=np.uint32 if len(self) < 1 << 32 else np.int64)
        generator.shuffle(order)
        return _Epoch(order, generator.bit_generator.state)
