"""Pre-emphasis, which whitens speech before quantization, and its exact inverse.

y[t] = x[t] - a x[t-1]           x[t] = y[t] + a x[t-1]          0 <= a < 1
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vqaudio.errors import VQAudioError


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

    `previous` is the waveform's sample before the first, so that blocks can be joined. The recursion runs in
    float64 on the CPU: rounding errors would otherwise add up over 1 / (1 - coefficient) samples.
    """
    from scipy.signal import lfilter

    _check_coefficient(coefficient)
    y = emphasised.detach().cpu().numpy().astype(np.float64)
    state = np.zeros((*y.shape[:-1], 1))
    if previous is not None:
        state += coefficient * torch.as_tensor(previous).detach().cpu().numpy()[..., None]
    x, _ = lfilter([1.0], [1.0, -coefficient], y, axis=-1, zi=state)
    return torch.from_numpy(x).to(dtype=emphasised.dtype, device=emphasised.device)


def _check_coefficient(coefficient: float) -> None:
    if not 0.0 <= coefficient < 1.0:
        raise VQAudioError(f"pre-emphasis coefficient {coefficient!r}: expected 0 <= coefficient < 1, such as 0.9")
