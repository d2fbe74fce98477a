"""Units of sound as it comes, in pieces of any size, each as soon as it is known; equal to those of the whole.

    samples so far    ░░left░░│ 0 │ 1 │ 2 │ 3 │▒▒right▒▒            units 0 to 3 are known, the next is not yet
    window            ░░left░░│ 0 │ 1 │ 2 │ 3 │ ?   zeros   ? │     computed in the shape of `VQVAE.encode_stream`

Every computation is of one of its windows, whole, with zeros for the samples to come. Those change nothing in a unit
whose receptive field has come, nor in its rounding, which is a matter of shape.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vqaudio.audio.waveform import as_waveform
from vqaudio.errors import VQAudioError
from vqaudio.models.vqvae import VQVAE, WINDOW_UNITS


class StreamEncoder:
    """Encodes one waveform while it comes: all units together are exactly those of `VQVAE.encode`.

        encoder = StreamEncoder(model)
        for samples in microphone:
            units = encoder.push(samples)       # often none, then one or more
        units = encoder.finish()                # the rest

    Exact at the same number of torch's threads. Memory is bounded by a window and a piece.
    """

    def __init__(self, model: VQVAE, step_units: int = 1) -> None:
        """Begin a waveform at the model's rate.

        A window is computed whenever `step_units` units more are known, and costs the same however many they are:
        a larger number costs less, and comes later by as much.
        """
        if not 1 <= step_units <= WINDOW_UNITS:
            raise VQAudioError(f"step_units: got {step_units!r}, expected 1 to {WINDOW_UNITS}, the units of a window")
        self._model, self._step_units = model, step_units
        self._device = next(model.parameters()).device
        self._left, self._right = model.context
        self._window_samples = WINDOW_UNITS * model.hop_length
        self._pending = torch.zeros(self._left, device=self._device)  # samples from `left` before the window on
        self._total = 0  # samples pushed
        self._given = 0  # units of the window that have been given away
        self._before = 0  # units of the windows before
        self._finished = False

    @property
    def latency_samples(self) -> int:
        """Samples from a unit's first to the last that must have come before `push` returns the unit.

        They are the unit's own, those of the units that are gathered with it, and the context that it sees after it.
        """
        return self._step_units * self._model.hop_length + self._right

    @property
    def latency_seconds(self) -> float:
        """The same in seconds; computing takes its time besides."""
        return self.latency_samples / self._model.config.sample_rate

    @torch.no_grad()
    def push(self, samples: np.ndarray | Tensor) -> Tensor:
        """Take the next samples, float (T,) in [-1, 1]; return the new units, LongTensor (M,). Both may be none.

        Raises VQAudioError for samples that are not mono or not float, NaN, infinite or of another scale, after which
        it goes on as if they had not been pushed; and after `finish`.
        """
        self._require_unfinished("push")
        new = torch.from_numpy(as_waveform(samples, "samples", self._total)).to(self._device)
        self._total += len(new)
        self._pending = torch.cat([self._pending, new])
        units = []
        while len(self._pending) >= self._left + self._window_samples + self._right:
            units.append(self._units_up_to(WINDOW_UNITS))
            self._next_window()
        known = (len(self._pending) - self._left - self._right) // self._model.hop_length
        if known >= self._given + self._step_units:
            units.append(self._units_up_to(known))
        return _joined(units)

    @torch.no_grad()
    def finish(self) -> Tensor:
        """End the waveform, and return the units that are left, (M,): N = ceil(T / hop_length) are all together."""
        self._require_unfinished("finish")
        self._finished = True
        count, units = -(-self._total // self._model.hop_length), []
        while count > self._before + self._given:
            units.append(self._units_up_to(min(WINDOW_UNITS, count - self._before)))
            self._next_window()
        return _joined(units)

    def _units_up_to(self, stop: int) -> Tensor:
        """Return the units of the window from the first that was not given away to number `stop`."""
        size = self._left + self._window_samples + self._right
        window = F.pad(self._pending[:size], (0, max(0, size - len(self._pending))))
        units = self._model._window_units(window)[self._given : stop].cpu()
        self._given = stop
        return units

    def _next_window(self) -> None:
        self._pending = self._pending[self._window_samples :]
        self._before, self._given = self._before + WINDOW_UNITS, 0

    def _require_unfinished(self, call: str) -> None:
        if self._finished:
            raise VQAudioError(
                f"{call} after finish: this waveform has ended, the next takes a StreamEncoder of its own"
            )


def _joined(units: list[Tensor]) -> Tensor:
    return torch.cat(units) if units else torch.zeros(0, dtype=torch.long)
