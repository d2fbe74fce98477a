"""A voice is moved in pitch, and nothing is moved in time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.audio.voice import GRAIN_SECONDS, LOWEST_PITCH, shift_voice

RATE = 8000
TIME = np.arange(RATE) / RATE


def peak_hz(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 8 * len(waveform)))
    return spectrum.argmax() * RATE / (8 * len(waveform))


@settings(deadline=None, max_examples=30)
@given(pitch=st.floats(90, 1500), factor=st.floats(0.7, 1.4))
def test_a_tone_is_moved_by_the_factor(pitch, factor):
    tone = np.sin(2 * np.pi * pitch * TIME).astype(np.float32)
    shifted = shift_voice(tone, factor, RATE)[800:-800]
    # Grains are moved by whole steps of 2 samples: their phases are off by up to 1, of which the period has 5.
    assert peak_hz(shifted) == pytest.approx(pitch * factor, rel=0.03, abs=3)
    assert 0.8 < np.sqrt(2 * np.mean(shifted**2)) < 1.1


def test_both_pitch_and_formants_are_moved():
    pulses = np.zeros(RATE, np.float32)
    pulses[::80] = 1.0  # 100 Hz
    resonance = np.exp(-300 * TIME[:400]) * np.sin(2 * np.pi * 1000 * TIME[:400])
    voice = np.convolve(pulses, resonance)[:RATE].astype(np.float32)
    shifted = shift_voice(voice, 1.2, RATE)[800:-800]
    spectrum = np.abs(np.fft.rfft(shifted * np.hanning(len(shifted))))
    hertz = np.fft.rfftfreq(len(shifted), 1 / RATE)
    assert hertz[spectrum.argmax()] == pytest.approx(1200, abs=60)  # the nearest harmonic of 120 Hz
    autocorrelation = np.correlate(shifted[:4000], shifted[:4000], "full")[4000:]
    assert RATE / (autocorrelation[40:120].argmax() + 41) == pytest.approx(120, rel=0.03)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_what_sounds_stays_where_it_was(factor):
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    noise[: 3 * RATE // 8] = 0
    noise[5 * RATE // 8 :] = 0
    loud = np.flatnonzero(np.abs(shift_voice(noise, factor, RATE)) > 0.1)
    slack = (GRAIN_SECONDS + 0.5 / LOWEST_PITCH) * RATE
    assert abs(loud[0] - 3 * RATE // 8) < slack and abs(loud[-1] - 5 * RATE // 8) < slack


def test_a_factor_of_one_changes_nothing():
    noise = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    np.testing.assert_array_equal(shift_voice(noise, 1.0, RATE), noise)


@pytest.mark.parametrize("samples", [0, 1, 100])
def test_a_waveform_may_be_short(samples):
    assert len(shift_voice(np.ones(samples, np.float32), 1.2, RATE)) == samples
