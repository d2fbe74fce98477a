"""Pre-emphasis, which whitens speech before quantization, and its exact inverse.

y[t] = x[t] - a x[t-1]           x[t] = y[t] + a x[t-1]          0 <= a < 1
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vqaudio.errors import VQAudioError

FEW_SAMPLES = 4096
"""So many take half a millisecond in Python, while importing scipy's filter takes a second: too long for whoever waits
for the first 40 ms of a stream."""


def pre_emphasis(waveform: Tensor, coefficient: float, previous: Tensor | float | None = None) -> Tensor:
    """Return y[t] = x[t] - coefficient * x[t-1] along the last axis, shape (..., T).

    `previous` is the sample before the first, a number or shape (...); without it the signal starts from 0.
    """
    _check_coefficient(coefficient)
    first = torch.zeros_like(waveform[..., :1])
    if previous is not None:
        first = first + torch.as_tensor(previous, dtype=waveform.dtype, device=waveform.device)[..., None]
    return waveform - coefficient * torch.cat([first, waveform[..., :-1]], dim=-1)


def de_emphasis(emphasised: Tensor, coefficient: float, previous: Tensor | float | None = None) -> Tensor:
    """Return the waveform whose `pre_emphasis` is `emphasised`, shape (..., T), on the same device and dtype.

    `previous` is the waveform's sample before the first, so that blocks can be joined, but for the rounding of that
    sample; `DeEmphasis` joins them exactly.
    """
    return DeEmphasis(coefficient, previous)(emphasised)


class DeEmphasis:
    """`de_emphasis` of a signal that comes in blocks (..., T_i): all bits are the same whatever the blocks are.

    The recursion runs in float64 on the CPU, and its state is kept in float64 between blocks: rounding errors would
    otherwise add up over 1 / (1 - coefficient) samples.
    """

    def __init__(self, coefficient: float, previous: Tensor | float | None = None) -> None:
        """Begin after the sample `previous`, a number or shape (...); without it the signal starts from 0."""
        _check_coefficient(coefficient)
        self.coefficient = coefficient
        before = 0.0 if previous is None else torch.as_tensor(previous).detach().cpu().numpy()
        self._state = coefficient * np.asarray(before, dtype=np.float64)[..., None]

    def __call__(self, emphasised: Tensor) -> Tensor:
        """Return the next block of the waveform, of the same shape, device and dtype."""
        if not emphasised.shape[-1]:
            return emphasised.detach().clone()  # lfilter would return a state that is not one
        y = emphasised.detach().cpu().numpy().astype(np.float64)
        recursion = self._of_few if y.ndim == 1 and len(y) <= FEW_SAMPLES else self._of_many
        return torch.from_numpy(recursion(y)).to(dtype=emphasised.dtype, device=emphasised.device)

    def _of_many(self, y: np.ndarray) -> np.ndarray:
        from scipy.signal import lfilter

        state = np.broadcast_to(self._state, (*y.shape[:-1], 1))
        x, self._state = lfilter([1.0], [1.0, -self.coefficient], y, axis=-1, zi=state)
        return x

    def _of_few(self, y: np.ndarray) -> np.ndarray:
        """Do as `_of_many`, whose every step is the same product and sum of the same float64 numbers."""
        x, scaled, a = [], float(self._state[0]), self.coefficient
        for value in y.tolist():
            x.append(value + scaled)
            scaled = a * x[-1]
        self._state = np.array([scaled])
        return np.array(x)


def _check_coefficient(coefficient: float) -> None:
    if not 0.0 <= coefficient < 1.0:
        raise VQAudioError(f"pre-emphasis coefficient {coefficient!r}: expected 0 <= coefficient < 1, such as 0.9")
