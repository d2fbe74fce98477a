"""Errors of pitch counted by hand on given F0, and on sounds whose F0 is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.cepstral import WorldFrames
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.pitch import PitchErrors, PitchScores, compare_pitch, pitch_errors, pitch_scores

RATE = 8000


def track(*f0, loud=None):
    envelope = np.ones((len(f0), 257)) if loud is None else np.repeat(np.asarray(loud)[:, None], 257, axis=1)
    return WorldFrames(RATE, np.array(f0, dtype=float), envelope)


def tone(hz, seconds=0.5, rate=RATE):
    """Sum of all harmonics: voiced sound of `hz`, which may change: float or (T,)."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hz, round(seconds * rate))) / rate
    count = int(0.45 * rate / np.max(hz))
    return 0.1 * sum(np.sin(k * phase) / k for k in range(1, count + 1))


def noise(seconds=0.5, seed=0):
    return np.random.default_rng(seed).normal(size=round(seconds * RATE)) * 0.1


# --- counted by hand -------------------------------------------------------------------------------------------------


def test_errors_by_hand():
    natural, made = track(100, 100, 100, 100, 0, 0, 200), track(100, 200, 119, 0, 0, 90, 158)
    errors = pitch_errors(natural, made)
    assert (errors.frames, errors.voicing_errors, errors.voiced, errors.gross_errors) == (7, 2, 4, 2)
    cents = [0, 1200, 1200 * math.log2(1.19), 1200 * math.log2(0.79)]
    assert errors.squared_cents == pytest.approx(sum(c**2 for c in cents))
    scores = pitch_scores([errors])
    assert scores == PitchScores(math.sqrt(errors.squared_cents / 4), 2 / 4, 2 / 7)


def test_a_gross_error_is_more_than_a_fifth_of_the_recordings_f0_either_way():
    assert pitch_errors(track(100, 100, 100, 100), track(119.9, 120.1, 80.1, 79.9)).gross_errors == 2


def test_pauses_of_the_recording_do_not_count():
    # 50 dB below the loudest frame
    errors = pitch_errors(track(100, 0, 0, loud=[1, 1, 1e-5]), track(100, 0, 300))
    assert (errors.frames, errors.voicing_errors) == (2, 0)


def test_utterances_are_pooled_by_frames():
    scores = pitch_scores([PitchErrors(10, 1, 4, 1, 400.0), PitchErrors(30, 7, 6, 0, 2100.0)])
    assert scores.voicing_error == pytest.approx(8 / 40)
    assert scores.gross_pitch_error == pytest.approx(1 / 10)
    assert scores.f0_rmse_cents == pytest.approx(math.sqrt(2500 / 10))
    # Two utterances: the ends of the interval are each drawn twice.
    assert scores.voicing_error_interval == pytest.approx((1 / 10, 7 / 30))
    assert scores.gross_pitch_error_interval == pytest.approx((0, 1 / 4))
    assert scores.f0_rmse_cents_interval == pytest.approx((10, math.sqrt(350)))


def test_no_frame_voiced_in_both_leaves_f0_open():
    scores = pitch_scores([pitch_errors(track(100, 0), track(0, 0))] * 2)
    assert scores.f0_rmse_cents is None and scores.gross_pitch_error is None
    assert scores.voicing_error == 0.5 and scores.voicing_error_interval == (0.5, 0.5)


# --- sounds, through WORLD -------------------------------------------------------------------------------------------


@pytest.fixture
def world():
    return pytest.importorskip("pyworld")


@pytest.mark.parametrize("hz", [90, 150, 300])
def test_the_same_sound_has_no_errors(world, hz):
    assert compare_pitch(tone(hz), tone(hz), RATE) == PitchScores(0, 0, 0)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("hz", [100, 200])
def test_a_semitone_is_100_cents_at_any_pitch(world, hz, rate):
    scores = compare_pitch(tone(hz, rate=rate), tone(hz * 2 ** (1 / 12), rate=rate), rate)
    # The first and last frames, half outside, may be some cents off.
    assert scores.f0_rmse_cents == pytest.approx(100, abs=5)
    assert scores.gross_pitch_error == 0 and scores.voicing_error < 0.05


def test_an_octave_is_1200_cents_and_gross(world):
    scores = compare_pitch(tone(110), tone(220), RATE)
    assert scores.f0_rmse_cents == pytest.approx(1200, abs=15)
    assert scores.gross_pitch_error == 1


def test_half_a_sound_off_by_half_an_octave(world):
    natural, made = tone(150, 1.0), tone(np.repeat([150, 150 * 2**0.5], RATE // 2), 1.0)
    scores = compare_pitch(natural, made, RATE)
    assert scores.gross_pitch_error == pytest.approx(0.5, abs=0.03)  # the step takes a few of 200 frames
    assert scores.f0_rmse_cents == pytest.approx(600 / math.sqrt(2), rel=0.05)


def test_whispered_where_it_was_voiced(world):
    scores = compare_pitch(tone(120), noise(), RATE)
    assert scores.voicing_error > 0.9
    half = np.concatenate([tone(120), noise()])
    assert compare_pitch(half, np.concatenate([tone(120), tone(120)]), RATE).voicing_error == pytest.approx(
        0.5, abs=0.05
    )


def test_level_and_polarity_do_not_count(world):
    scores = compare_pitch(tone(140), -0.2 * tone(140), RATE)
    assert scores.f0_rmse_cents < 1 and scores.voicing_error == 0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: pitch_errors(track(100), track(100, 100)),
            VQAudioError,
            "recording of 1 and reconstruction of 2 frames",
        ),
        (lambda: pitch_errors(track(100, loud=[0]), track(100)), NotMeasured, "the recording is silent"),
        (lambda: pitch_scores([]), NotMeasured, "no reconstructions"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
