"""Levels, clipping, silence and spectral distance of waveforms: is a reconstruction speech at all?

A waveform is float, mono, shape (T,), in [-1, 1], beside its rate in Hz.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.errors import VQAudioError

FULL_SCALE_16_BIT = 32767 / 32768
SILENCE_DBFS = -50.0
"""Level below which a frame counts as silent: under soft speech, above the noise of common recordings."""
FRAME_SECONDS = 0.020
LOWEST_RMS = 1e-6
MEL_FLOOR = 1e-5
"""Least mel magnitude that is told from silence, -100 dB: inaudible differences do not count."""


def level_dbfs(waveform: ArrayLike) -> float:
    """Level, 20 log10 of the root mean square, in dB relative to an RMS of 1; in [-120, 0] for files.

    A sine wave of full scale has -3.01; speech at a good level lies between -30 and -15; digital silence is
    given as -120, below what 16 bits can hold.
    """
    rms = math.sqrt(float(np.mean(_checked(waveform) ** 2)))
    return 20 * math.log10(max(rms, LOWEST_RMS))


def peak(waveform: ArrayLike) -> float:
    """Largest magnitude of a sample, in [0, 1] for a waveform that fits into a file."""
    return float(np.max(np.abs(_checked(waveform))))


def clipped_share(waveform: ArrayLike) -> float:
    """Share of samples at or beyond the largest 16-bit value, in [0, 1]; 0 is right, 0.001 is audible."""
    return float(np.mean(np.abs(_checked(waveform)) >= FULL_SCALE_16_BIT))


def silence_share(waveform: ArrayLike, sample_rate: int, threshold_dbfs: float = SILENCE_DBFS) -> float:
    """Share of 20 ms frames whose level is below `threshold_dbfs`, in [0, 1].

    Much more than in natural recordings: the model falls silent; much less: it fills pauses with noise.
    A shorter last frame is left out, unless it is the only one.
    """
    x = _checked(waveform)
    size = min(max(1, round(FRAME_SECONDS * sample_rate)), len(x))
    frames = x[: len(x) // size * size].reshape(-1, size)  # (F, size)
    power = np.mean(frames**2, axis=1)  # (F,)
    return float(np.mean(power < 10 ** (threshold_dbfs / 10)))


def log_mel_distance(natural: ArrayLike, reconstructed: ArrayLike, sample_rate: int, n_mels: int = 40) -> float:
    """Mean absolute difference of log-mel magnitudes, over time and bands, in dB; 0 for the same sound.

    Frames of 32 ms every 8 ms, `n_mels` bands from 0 Hz to half the rate, magnitudes below -100 dB taken as
    -100 dB. Both waveforms must have the same length: decode trims to the length of the input. It hears the
    envelope of the spectrum and not its phase, which a decoder that samples does not restore.
    """
    natural, reconstructed = _checked(natural), _checked(reconstructed)
    if natural.shape != reconstructed.shape:
        raise VQAudioError(f"waveforms of {len(natural)} and {len(reconstructed)} samples, expected the same length")
    difference = _log_mel_db(natural, sample_rate, n_mels) - _log_mel_db(reconstructed, sample_rate, n_mels)
    return float(np.mean(np.abs(difference)))


def compare_audio(
    natural: Sequence[ArrayLike], reconstructed: Sequence[ArrayLike], sample_rate: int
) -> dict[str, float]:
    """Summarise pairs of natural and reconstructed waveforms by the keys that the report explains.

    Levels and shares are of all waveforms joined, so that each second counts alike; the distance is the mean
    over utterances, weighted by their lengths.
    """
    if len(natural) != len(reconstructed):
        raise VQAudioError(f"{len(natural)} recordings and {len(reconstructed)} reconstructions, expected pairs")
    if not natural:
        raise VQAudioError("no pairs of waveforms to compare")
    pairs = [(_checked(a), _checked(b)) for a, b in zip(natural, reconstructed, strict=True)]
    distances = [log_mel_distance(a, b, sample_rate) for a, b in pairs]
    summary = {"log_mel_distance_db": float(np.average(distances, weights=[len(a) for a, _ in pairs]))}
    for name, joined in zip(("natural", "reconstructed"), map(np.concatenate, zip(*pairs, strict=True)), strict=True):
        summary[f"level_{name}_dbfs"] = level_dbfs(joined)
        summary[f"silence_share_{name}"] = silence_share(joined, sample_rate)
        summary[f"clipped_share_{name}"] = clipped_share(joined)
    return summary


def _log_mel_db(waveform: np.ndarray, sample_rate: int, n_mels: int) -> np.ndarray:
    """Return 20 log10 of mel magnitudes (F, n_mels) of a waveform (T,), floored."""
    import torch

    from vqaudio.audio.spectrogram import LogMel  # here, since it loads torchaudio

    hop = max(1, round(0.008 * sample_rate))
    log_mel = LogMel(sample_rate, n_fft=4 * hop, hop_length=hop, n_mels=n_mels, floor=MEL_FLOOR)
    with torch.inference_mode():
        frames = log_mel(torch.from_numpy(waveform).float()[None])[0]  # (F, n_mels), natural logarithm
    return frames.numpy() * (20 / math.log(10))


def _checked(waveform: ArrayLike) -> np.ndarray:
    """Return the waveform as float64 (T,): squares of quiet float32 samples lose digits in long sums."""
    x = np.asarray(waveform, dtype=np.float64)
    if x.ndim != 1 or x.size == 0:
        raise VQAudioError(f"waveform of shape {x.shape}, expected mono samples (T,), T ≥ 1")
    if not np.isfinite(x).all():
        raise VQAudioError(f"waveform holds {np.count_nonzero(~np.isfinite(x))} samples that are NaN or infinite")
    return x
