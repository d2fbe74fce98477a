"""The level of speech: whatever pauses there are, the loud parts come to the level asked for, and nothing clips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.audio.level import level_gain

RATE = 8000


def tone(seconds: float, rms: float) -> np.ndarray:
    """A sine of 400 Hz: every frame of 20 ms has whole periods, hence the same power."""
    return (rms * np.sqrt(2) * np.sin(2 * np.pi * 400 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def test_loud_parts_come_to_the_level_whatever_pauses_there_are():
    speech, hiss = tone(1.0, 0.01), tone(3.0, 0.01 * 10 ** (-45 / 20))
    for waveform in (speech, np.concatenate([hiss, speech, hiss])):
        assert 0.01 * level_gain([waveform], RATE, -26.0) == pytest.approx(10 ** (-26 / 20), rel=1e-4)  # float32


def test_a_peak_keeps_room():
    waveform = tone(1.0, 0.001)
    waveform[100] = 0.5
    assert 0.5 * level_gain([waveform], RATE, -6.0) == pytest.approx(10 ** (-1 / 20), abs=0.002)


@pytest.mark.parametrize("waveform", [np.zeros(RATE), np.zeros(0), np.ones(10)], ids=["silence", "nothing", "a click"])
def test_what_has_no_level_keeps_its_own(waveform):
    assert level_gain([waveform], RATE, -26.0) == 1.0


@given(cuts=st.lists(st.integers(0, 4000), max_size=8), seed=st.integers(0, 99), gain=st.floats(0.01, 1.0))
def test_blocks_and_the_level_before_make_no_difference(cuts, seed, gain):
    waveform = np.random.default_rng(seed).normal(0, 0.01, 4000) * np.linspace(0, 1, 4000)
    whole = level_gain([waveform], RATE, -26.0)
    blocks = np.split(gain * waveform, sorted(cuts))
    # float64 sums over the same frames: rounding alone differs
    assert gain * level_gain(blocks, RATE, -26.0) == pytest.approx(whole, rel=1e-9)
