"""Resampling: pitch and level stay, aliases do not arise, and blocks change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.audio.resample import resample, resample_blocks
from vqaudio.errors import VQAudioError


def tone(hertz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(("orig", "target"), [(16000, 8000), (8000, 16000), (44100, 16000), (48000, 24000)])
def test_a_tone_stays_the_same_tone(orig, target):
    converted = resample(tone(1000, orig), orig, target)
    assert converted.dtype == np.float32
    assert len(converted) == target
    inner = slice(target // 10, -target // 10)  # the ends meet the filter's half-filled window
    # HQ passes 1 kHz within -90 dB of unchanged, in phase: no delay.
    assert np.abs(converted - tone(1000, target))[inner].max() < 2e-5


def test_what_lies_above_half_the_rate_is_removed():
    aliased = resample(tone(5000, 16000), 16000, 8000)  # would turn up at 3 kHz
    level = 20 * np.log10(np.abs(aliased[800:-800]).max() / 0.5)
    assert level < -100


def test_equal_rates_change_nothing():
    waveform = tone(300, 8000)
    assert resample(waveform, 8000, 8000) is waveform
    assert next(resample_blocks([waveform], 8000, 8000)) is waveform


@settings(deadline=None)
@given(
    st.sampled_from([(16000, 8000), (8000, 16000), (44100, 16000), (22050, 24000)]),
    st.lists(st.integers(1, 700), min_size=1, max_size=8),
)
def test_blocks_joined_equal_the_whole(rates, sizes):
    waveform = np.random.default_rng(sum(sizes)).uniform(-1, 1, sum(sizes)).astype(np.float32)
    blocks = np.split(waveform, np.cumsum(sizes)[:-1])
    whole = resample(waveform, *rates)
    np.testing.assert_array_equal(np.concatenate(list(resample_blocks(blocks, *rates))), whole)
    assert abs(len(whole) - len(waveform) * rates[1] / rates[0]) <= 0.5


@pytest.mark.parametrize("rate", [0, -8000, 8000.5, True])
def test_impossible_rates_are_echoed(rate):
    with pytest.raises(VQAudioError, match=f"sample rate {rate!r}"):
        resample(np.zeros(10, np.float32), 8000, rate)


def test_more_than_one_channel_is_refused():
    with pytest.raises(VQAudioError, match=r"shape \(2, 10\)"):
        resample(np.zeros((2, 10), np.float32), 8000, 16000)
