"""WORLD's frames of a recording, and how far the mel-cepstra of a reconstruction lie from those of the recording.

A waveform is float, mono, shape (T,), in [-1, 1], beside its rate in Hz.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.audio_statistics import level_dbfs
from vqaudio.evaluation.optional import NotMeasured, load_optional
from vqaudio.evaluation.uncertainty import Interval, ratio_interval

FRAME_SECONDS = 0.005
LOWEST_F0 = 71.0
HIGHEST_F0 = 800.0
"""Range in which WORLD looks for F0, in Hz: its own default."""
ORDER = 24
"""Coefficients compared, c_1 to c_24: as in most reports of the measure."""
AUDIBLE_DB = 40.0
"""Frames of the recording that lie further below its loudest one are pauses: the range of Taal et al. (2011)."""
SILENT_DBFS = -90.0
"""A waveform whose level is lower has nothing but the last bit of 16."""
POWER_FLOOR = 1e-16
"""Least power density that is compared, so that digital silence has a logarithm."""


@dataclass(frozen=True)
class WorldFrames:
    """What WORLD (Morise et al. 2016) finds in a waveform, every 5 ms; frame n is centred on n · 5 ms.

    Attributes:
        sample_rate: of the waveform, in Hz.
        f0: float64 (F,), fundamental frequency in Hz; 0 where unvoiced.
        envelope: float64 (F, W / 2 + 1), power spectrum without the harmonics, at W / 2 + 1 frequencies from 0 to half
            the rate.
    """

    sample_rate: int
    f0: np.ndarray
    envelope: np.ndarray

    @property
    def voiced(self) -> np.ndarray:
        """Which frames are voiced: bool (F,)."""
        return self.f0 > 0


def world_frames(waveform: ArrayLike, sample_rate: int) -> WorldFrames:
    """Analyse a waveform (T,): F0 by DIO and StoneMask, envelope by CheapTrick; about 20 ms per second of audio.

    DIO and not Harvest, which takes 10 times as long and calls nearly all frames voiced, where
    `pitch.compare_pitch` wants to know which are.

    Raises:
        VQAudioError: no mono waveform of finite samples.
        NotMeasured: pyworld cannot be imported.
    """
    level_dbfs(waveform)  # refuses what is no waveform
    pyworld = load_optional("pyworld")
    samples = np.ascontiguousarray(waveform, dtype=np.float64)
    rough, times = pyworld.dio(
        samples, sample_rate, f0_floor=LOWEST_F0, f0_ceil=HIGHEST_F0, frame_period=1000 * FRAME_SECONDS
    )
    f0 = pyworld.stonemask(samples, rough, times, sample_rate)
    return WorldFrames(sample_rate, f0, pyworld.cheaptrick(samples, f0, times, sample_rate, f0_floor=LOWEST_F0))


def mel_cepstral_distortion(natural: ArrayLike, reconstructed: ArrayLike, sample_rate: int) -> float:
    """Mel-cepstral distortion of a reconstruction (T,) from its recording (T,), in dB: 0 for the same envelope.

    MCD = mean over frames of 10 / ln 10 · sqrt(2 Σ_{d=1..24} (c_d - c'_d)²)   (Kubichek 1993, *Mel-cepstral distance
    measure for objective speech quality assessment*; in this form Kominek, Schultz and Black 2008, *Synthesizer voice
    quality of new languages calibrated with mean mel cepstral distortion*), where

    - c are the mel-cepstra of WORLD's envelopes (`mel_cepstra`), order 24, every 5 ms, warped by `mel_alpha`;
    - c_0 is left out, so that a change of level does not count;
    - frames are compared at equal times: a reconstruction keeps the time of its recording, and nothing is aligned;
    - frames that lie more than 40 dB below the recording's loudest one are left out: in pauses the shape of the
      noise would be compared, which nobody hears.

    It is the root mean square, over the warped frequencies, of the difference of the two envelopes in dB, their levels
    and their finest detail apart. Unrelated utterances of one voice have about 10 dB, good vocoders 2 to 5. Values of
    other rates, orders, warpings or alignments cannot be compared.

    Raises:
        VQAudioError: no mono waveforms of the same length.
        NotMeasured: pyworld cannot be imported, or the recording is silent.
    """
    frames = world_frames(natural, sample_rate), world_frames(reconstructed, sample_rate)
    return float(np.mean(frame_distortions(*frames)))


def frame_distortions(natural: WorldFrames, reconstructed: WorldFrames) -> np.ndarray:
    """Return the mel-cepstral distortion of each frame in which the recording speaks: float64 (S,), S ≥ 1, in dB.

    Raises:
        VQAudioError: frames of other rates or lengths.
        NotMeasured: the recording is silent.
    """
    check_same_frames(natural, reconstructed)
    spoken = audible_frames(natural)
    alpha = mel_alpha(natural.sample_rate)
    cepstra = [mel_cepstra(frames.envelope[spoken], ORDER, alpha) for frames in (natural, reconstructed)]
    difference = (cepstra[0] - cepstra[1])[:, 1:]  # (S, ORDER)
    return 10 / math.log(10) * np.sqrt(2 * np.sum(difference**2, axis=1))


def mean_distortion(distortions: Sequence[np.ndarray]) -> tuple[float, Interval | None]:
    """Mean of all frames' distortions, and its interval over utterances; (S,) each, from `frame_distortions`.

    The interval is None for a single utterance. Raises NotMeasured where there is none.
    """
    if not distortions:
        raise NotMeasured("no reconstructions to compare")
    return ratio_interval([d.sum() for d in distortions], [len(d) for d in distortions])


def audible_frames(frames: WorldFrames) -> np.ndarray:
    """Return which frames lie within 40 dB of the loudest one, by the mean power of their envelopes: bool (F,).

    Raises NotMeasured where even the loudest has less than 16 bits can hold.
    """
    power = np.mean(frames.envelope, axis=1)  # (F,)
    if 10 * math.log10(max(power.max(), 1e-30)) < SILENT_DBFS:
        raise NotMeasured("the recording is silent")
    return power > power.max() * 10 ** (-AUDIBLE_DB / 10)


def check_same_frames(natural: WorldFrames, reconstructed: WorldFrames) -> None:
    """Refuse frames of two rates or lengths, with a VQAudioError."""
    if natural.sample_rate != reconstructed.sample_rate:
        raise VQAudioError(f"frames at {natural.sample_rate} and {reconstructed.sample_rate} Hz, expected one rate")
    if len(natural.f0) != len(reconstructed.f0):
        raise VQAudioError(
            f"recording of {len(natural.f0)} and reconstruction of {len(reconstructed.f0)} frames of 5 ms, "
            "expected the same length"
        )


def mel_cepstra(envelope: np.ndarray, order: int, alpha: float) -> np.ndarray:
    """Mel-cepstra (F, order + 1) of power spectra (F, W / 2 + 1): log |H| ≈ Σ_m c_m cos(m ω̃), ω̃ warped by `alpha`.

    Fukada et al. (1992), *An adaptive algorithm for mel-cepstral analysis of speech*, eq. 1; here from a given
    envelope, by its cepstrum and `frequency_transform`.
    """
    log_amplitude = 0.5 * np.log(np.maximum(envelope, POWER_FLOOR))
    cepstra = np.fft.irfft(log_amplitude, axis=1)[:, : envelope.shape[1]]
    cepstra[:, 1:-1] *= 2  # both halves of the even sequence
    return cepstra @ _transform_matrix(envelope.shape[1], order, alpha).T


def frequency_transform(cepstrum: ArrayLike, order: int, alpha: float) -> np.ndarray:
    """Warp cepstra, (M + 1,) or (M + 1, columns), by an all-pass of coefficient `alpha`: (order + 1, …).

    With z̃⁻¹ = (z⁻¹ - α) / (1 - α z⁻¹), Σ_m c_m z⁻ᵐ = Σ_m c̃_m z̃⁻ᵐ, by the recursion of Oppenheim and Johnson (1972),
    *Discrete representation of signals*, in the form of Tokuda et al. (1994), *Recursive calculation of mel-cepstrum
    from LP coefficients*: one step per coefficient, from the last to the first.
    """
    cepstrum = np.asarray(cepstrum, dtype=np.float64)
    warped = np.zeros((order + 1, *cepstrum.shape[1:]))
    for coefficient in cepstrum[::-1]:
        before, warped = warped, np.empty_like(warped)
        warped[0] = coefficient + alpha * before[0]
        if order > 0:
            warped[1] = (1 - alpha**2) * before[0] + alpha * before[1]
        for m in range(2, order + 1):
            warped[m] = before[m - 1] + alpha * (before[m] - warped[m - 1])
    return warped


@functools.lru_cache(maxsize=16)
def mel_alpha(sample_rate: int) -> float:
    """Coefficient of the all-pass whose phase is nearest to the mel scale, in hundredths: 0.31 at 8 kHz, 0.41 at 16.

    Least squares over the frequencies up to half the rate, both scales running from 0 to 1 there; the mel scale is
    Fant's (1968), log(1 + f / 1000 Hz). SPTK's manual names 0.31 for 8 kHz, 0.35 for 10 kHz and 0.42 for 16 kHz.
    """
    omega = np.linspace(0, math.pi, 1001)  # (1001,)
    mel = np.log1p(omega / math.pi * sample_rate / 2 / 1000)
    alphas = np.arange(0, 1, 0.01)[:, None]
    error = warped_frequency(omega, alphas) / math.pi - mel / mel[-1]  # (100, 1001)
    return float(round(alphas[np.argmin(np.sum(error**2, axis=1)), 0], 2))


def warped_frequency(omega: ArrayLike, alpha: ArrayLike) -> np.ndarray:
    """Phase of the all-pass: ω̃ = ω + 2 atan(α sin ω / (1 - α cos ω)), in radians, from 0 to π as ω is."""
    omega = np.asarray(omega)
    return omega + 2 * np.arctan(alpha * np.sin(omega) / (1 - alpha * np.cos(omega)))


@functools.lru_cache(maxsize=4)
def _transform_matrix(coefficients: int, order: int, alpha: float) -> np.ndarray:
    """Return the frequency transform, which is linear, as a matrix (order + 1, coefficients)."""
    return frequency_transform(np.eye(coefficients), order, alpha)
