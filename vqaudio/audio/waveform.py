"""What is accepted as a waveform from a user's hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vqaudio.errors import VQAudioError

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_SAMPLE = 8.0
"""Beyond it, samples are not in [-1, 1] with some overshoot but on another scale, such as that of 16-bit integers."""


def as_waveform(waveform: np.ndarray | Tensor, name: str, first: int = 0) -> np.ndarray:
    """Return the samples as float32 (T,), T >= 0.

    `name` is what errors call the waveform, `first` the number that they give its first sample. Raises VQAudioError
    for what is not mono or not float, holds NaN or infinite samples, or is not in [-1, 1] by far.
    """
    samples = _as_array(waveform)
    if samples.ndim != 1:
        raise VQAudioError(f"{name}: got shape {samples.shape}, expected mono samples (T,)")
    if not np.issubdtype(samples.dtype, np.floating):
        raise VQAudioError(f"{name}: got {samples.dtype} samples, expected floats in [-1, 1] (16-bit integers / 32768)")
    bad = np.flatnonzero(~np.isfinite(samples))
    if bad.size:
        raise VQAudioError(f"{name}: {bad.size} samples are NaN or infinite, the first is number {first + bad[0]}")
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > LARGEST_SAMPLE:
        raise VQAudioError(f"{name}: samples reach {peak:g}, expected a scale of [-1, 1]")
    return np.ascontiguousarray(samples, dtype=np.float32)


def _as_array(waveform: np.ndarray | Tensor) -> np.ndarray:
    if not hasattr(waveform, "detach"):
        return np.asarray(waveform)
    tensor = waveform.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # NumPy has no bfloat16
