"""Levels of known signals, and the log-mel distance against librosa and against what it must and must not hear."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vqaudio.errors import VQAudioError
from vqaudio.evaluation import audio_statistics as audio

RATE = 8000


def sine(amplitude=1.0, hz=500.0, seconds=1.0):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


def noise(seed=0, level=0.1):
    return np.random.default_rng(seed).normal(size=RATE) * level


def test_level_of_a_sine_and_of_silence():
    assert audio.level_dbfs(sine()) == pytest.approx(-3.0103, abs=1e-4)
    assert audio.level_dbfs(sine(0.1)) == pytest.approx(-23.0103, abs=1e-4)
    assert audio.level_dbfs(np.zeros(100)) == pytest.approx(-120)


def test_peak():
    assert audio.peak([0.1, -0.75, 0.5]) == 0.75


def test_clipped_share_counts_both_ends_of_16_bits():
    assert audio.clipped_share([32767 / 32768, -1.0, 32766 / 32768, 0.0]) == 0.5
    assert audio.clipped_share(sine(0.99)) == 0


def test_silence_share():
    half = np.concatenate([sine(0.1), np.zeros(RATE)])
    assert audio.silence_share(half, RATE) == 0.5
    # -50 dBFS is an RMS of 0.00316, a sine of amplitude 0.00447.
    assert audio.silence_share(sine(0.0044), RATE) == 1
    assert audio.silence_share(sine(0.0046), RATE) == 0
    assert audio.silence_share(sine(0.1), RATE, threshold_dbfs=-20) == 1


def test_silence_share_of_less_than_a_frame():
    assert audio.silence_share([0.5], RATE) == 0
    assert audio.silence_share([0.0], RATE) == 1


def test_log_mel_distance_is_librosas():
    import librosa

    natural, other = noise(0), noise(1, 0.02) + sine(0.1)
    levels = [
        20 * np.log10(np.maximum(1e-5, librosa.feature.melspectrogram(
            y=x, sr=RATE, n_fft=256, hop_length=64, n_mels=40, power=1.0, pad_mode="constant")[:, :125]))
        for x in (natural, other)
    ]  # fmt: skip
    # float32 spectra and filters.
    expected = np.mean(np.abs(levels[0] - levels[1]))
    assert audio.log_mel_distance(natural, other, RATE) == pytest.approx(expected, rel=1e-4)


def test_log_mel_distance_hears_level_in_db():
    # 20 dB down, everywhere above the floor; float32.
    assert audio.log_mel_distance(noise(), noise() / 10, RATE) == pytest.approx(20, abs=1e-3)
    assert audio.log_mel_distance(noise(), noise(), RATE) == 0


def test_log_mel_distance_does_not_hear_polarity_or_what_is_inaudible():
    assert audio.log_mel_distance(noise(), -noise(), RATE) == 0
    assert audio.log_mel_distance(np.zeros(RATE), np.full(RATE, 1e-9), RATE) == pytest.approx(0, abs=1e-6)


def test_log_mel_distance_takes_short_waveforms():
    assert math.isfinite(audio.log_mel_distance([0.1], [0.2], RATE))


def test_comparison_weighs_by_length():
    natural = [sine(0.1, seconds=1), sine(0.1, seconds=3)]
    reconstructed = [natural[0] / 10, natural[1]]
    summary = audio.compare_audio(natural, reconstructed, RATE)
    per_pair = audio.log_mel_distance(natural[0], reconstructed[0], RATE)
    assert summary["log_mel_distance_db"] == pytest.approx(per_pair / 4)
    assert summary["level_natural_dbfs"] == pytest.approx(-23.0103, abs=1e-4)
    power = (0.01**2 / 2 + 3 * 0.1**2 / 2) / 4
    assert summary["level_reconstructed_dbfs"] == pytest.approx(10 * math.log10(power))
    assert summary["silence_share_natural"] == summary["clipped_share_reconstructed"] == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: audio.level_dbfs([]), r"shape \(0,\)"),
        (lambda: audio.peak([[0.1, 0.2]]), r"shape \(1, 2\)"),
        (lambda: audio.level_dbfs([0.1, math.nan, math.inf]), "2 samples that are NaN or infinite"),
        (lambda: audio.log_mel_distance(np.zeros(10), np.zeros(11), RATE), "10 and 11 samples"),
        (lambda: audio.compare_audio([], [], RATE), "no pairs"),
        (lambda: audio.compare_audio([sine()], [], RATE), "1 recordings and 0 reconstructions"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, words):
    with pytest.raises(VQAudioError, match=words):
        call()
