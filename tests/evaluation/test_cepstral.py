"""Mel-cepstra against numerical integrals on the warped axis, and what the distortion must and must not hear."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from vqaudio.errors import VQAudioError
from vqaudio.evaluation import cepstral
from vqaudio.evaluation.cepstral import WorldFrames
from vqaudio.evaluation.optional import NotMeasured

RATE = 8000


def denominator(resonance):
    """Of a filter with one resonance, in Hz, 80 Hz wide."""
    radius = 0.97
    return [1, -2 * radius * np.cos(2 * np.pi * resonance / RATE), radius**2]


def pulses(hz=120.0, seconds=0.5, resonance=500.0):
    """A pulse train through one resonance: voiced sound whose envelope is known."""
    from scipy.signal import lfilter

    train = np.diff(np.floor(np.arange(round(seconds * RATE)) * hz / RATE), prepend=0)
    return 0.1 * lfilter([1], denominator(resonance), train)


def frames_of(envelope, rate=RATE, f0=0.0):
    return WorldFrames(rate, np.full(len(envelope), f0), envelope)


def spectrum_of(cepstrum, alpha, bins=513):
    """Power at `bins` frequencies of exp Σ c_m cos(m ω̃), the definition read backwards: (1, bins)."""
    warped = cepstral.warped_frequency(np.linspace(0, np.pi, bins), alpha)
    return np.exp(2 * np.cos(np.outer(warped, np.arange(len(cepstrum)))) @ cepstrum)[None]


# --- frequency transform -------------------------------------------------------------------------------------------


def test_transform_of_hand_computed_sequences():
    # A constant stays. One delay, z⁻¹ = (z̃⁻¹ + α) / (1 + α z̃⁻¹), has the series α + (1 - α²) z̃⁻¹ - α (1 - α²) z̃⁻² …
    assert cepstral.frequency_transform([3.0], 2, 0.5) == pytest.approx([3, 0, 0])
    assert cepstral.frequency_transform([0, 1.0], 3, 0.5) == pytest.approx([0.5, 0.75, -0.375, 0.1875])
    assert cepstral.frequency_transform([1.0, 2.0, 3.0], 4, 0.0) == pytest.approx([1, 2, 3, 0, 0])
    assert cepstral.frequency_transform([1.0, 2.0], 0, 0.5) == pytest.approx([2])


def test_transform_is_the_cosine_transform_on_the_warped_axis():
    cepstrum, alpha, order = np.random.default_rng(0).normal(size=12), 0.35, 24
    warped = (np.arange(20000) + 0.5) * np.pi / 20000  # midpoints
    omega = cepstral.warped_frequency(warped, -alpha)  # the inverse warping
    spectrum = np.cos(np.outer(omega, np.arange(12))) @ cepstrum
    expected = [2 / np.pi * np.sum(spectrum * np.cos(m * warped)) * np.pi / 20000 for m in range(order + 1)]
    expected[0] /= 2
    # The midpoint rule is exact but for rounding on smooth periodic functions.
    assert cepstral.frequency_transform(cepstrum, order, alpha) == pytest.approx(expected, abs=1e-10)


def test_transform_of_columns_is_that_of_each():
    columns = np.random.default_rng(0).normal(size=(6, 3))
    together = cepstral.frequency_transform(columns, 5, 0.4)
    for one, column in zip(together.T, columns.T, strict=True):
        assert one == pytest.approx(cepstral.frequency_transform(column, 5, 0.4), abs=1e-14)


def test_warping_goes_from_0_to_pi_and_back():
    omega = np.linspace(0, np.pi, 50)
    warped = cepstral.warped_frequency(omega, 0.42)
    assert warped[[0, -1]] == pytest.approx([0, np.pi])
    assert np.all(np.diff(warped) > 0) and np.all(warped[1:-1] > omega[1:-1])  # low frequencies get more room
    assert cepstral.warped_frequency(warped, -0.42) == pytest.approx(omega)


def test_alpha_is_sptks():
    # SPTK's manual: 0.31 at 8 kHz, 0.35 at 10 kHz, 0.42 at 16 kHz; another range of the fit moves it by a hundredth.
    for rate, alpha in {8000: 0.31, 10000: 0.35, 16000: 0.42}.items():
        assert cepstral.mel_alpha(rate) == pytest.approx(alpha, abs=0.0101)


# --- mel-cepstra and the distortion of given frames ------------------------------------------------------------------


def test_mel_cepstra_give_back_the_cepstrum_of_a_spectrum():
    cepstrum = np.random.default_rng(1).normal(size=25) * 0.3
    # 513 bins hold what order 24, warped, spreads over: its tail at 512 is below the tolerance.
    assert cepstral.mel_cepstra(spectrum_of(cepstrum, 0.31), 24, 0.31)[0] == pytest.approx(cepstrum, abs=1e-9)


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        (0.31, [0.32711614, 1.12830791, 0.28676391, 0.19258425, 0.10979155, 0.07395867, 0.04989576]),
        (0.42, [0.47481519, 1.19170418, 0.20956367, 0.17788631, 0.08088396, 0.05735124, 0.03428607]),
    ],
)
def test_mel_cepstra_are_sptks(alpha, expected):
    """What SPTK's freqt gives (pysptk 1.0.1, `sp2mc`) for the power spectrum of one pole at 0.9; 8 decimals."""
    power = 1 / np.abs(1 - 0.9 * np.exp(-1j * np.linspace(0, np.pi, 257))) ** 2
    assert cepstral.mel_cepstra(power[None], 6, alpha)[0] == pytest.approx(expected, abs=1e-8)


def test_distortion_by_hand():
    alpha = cepstral.mel_alpha(RATE)
    a, b = np.zeros(25), np.zeros(25)
    b[[0, 1, 7]] = 5, 0.3, -0.4  # c_0 does not count; 0.3² + 0.4² = 0.5²
    made = cepstral.frame_distortions(frames_of(spectrum_of(a, alpha)), frames_of(spectrum_of(b, alpha)))
    assert made == pytest.approx([10 / math.log(10) * math.sqrt(2) * 0.5])


def test_distortion_is_the_rms_of_decibels_over_warped_frequencies():
    alpha, generator = cepstral.mel_alpha(RATE), np.random.default_rng(2)
    a, b = generator.normal(size=(2, 25)) * 0.2
    a[0] = b[0]
    angles = (np.arange(4096) + 0.5) * np.pi / 4096
    decibels = 20 * np.log10(np.exp(np.cos(np.outer(angles, np.arange(25))) @ (a - b)))
    made = cepstral.frame_distortions(frames_of(spectrum_of(a, alpha)), frames_of(spectrum_of(b, alpha)))
    assert made == pytest.approx([np.sqrt(np.mean(decibels**2))])


def test_pauses_of_the_recording_are_left_out():
    flat = np.ones((1, 257))
    natural = frames_of(np.concatenate([flat, flat * 1e-3, flat * 1e-5]))  # 0, -30 and -50 dB
    assert cepstral.audible_frames(natural).tolist() == [True, True, False]
    wild = np.exp(np.random.default_rng(0).normal(size=(1, 257)))
    assert cepstral.frame_distortions(natural, frames_of(np.concatenate([flat, flat, wild]))) == pytest.approx([0, 0])


def test_mean_counts_frames_alike():
    mean, interval = cepstral.mean_distortion([np.array([2.0]), np.array([4.0, 4.0, 4.0])])
    assert mean == 3.5 and interval == (2, 4)  # a draw of one utterance twice is a 2 or a 4
    assert cepstral.mean_distortion([np.array([2.0, 3.0])]) == (2.5, None)


# --- waveforms, through WORLD ----------------------------------------------------------------------------------------


@pytest.fixture
def world():
    return pytest.importorskip("pyworld")


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_frames_of_white_noise(world, rate):
    frames = cepstral.world_frames(np.random.default_rng(0).normal(size=rate) * 0.1, rate)
    assert len(frames.f0) == len(frames.envelope) == 201  # every 5 ms of 1 s, both ends
    assert frames.voiced.mean() < 0.05
    # Its power is -20 dB, which is what the limits in dBFS count on; single frames scatter.
    assert 10 * np.log10(frames.envelope.mean()) == pytest.approx(-20, abs=0.5)


def test_frames_of_a_pulse_train(world):
    frames = cepstral.world_frames(pulses(), RATE)
    inner = slice(10, -10)
    assert frames.voiced[inner].all() and frames.f0[inner] == pytest.approx(np.full(81, 120), rel=0.02)
    peak = frames.envelope[inner].mean(axis=0).argmax() * RATE / 2 / (frames.envelope.shape[1] - 1)
    assert peak == pytest.approx(500, abs=60)  # half the distance of the harmonics


def test_distortion_hears_the_envelope_and_not_the_level(world):
    natural = pulses()
    assert cepstral.mel_cepstral_distortion(natural, natural, RATE) == 0
    # CheapTrick adds noise of -240 dB, which does not scale.
    assert cepstral.mel_cepstral_distortion(natural, natural / 10, RATE) == pytest.approx(0, abs=1e-4)
    assert cepstral.mel_cepstral_distortion(natural, pulses(hz=126), RATE) < 1.5  # another pitch, one envelope


@pytest.mark.parametrize("resonance", [600, 1000, 2000])
def test_distortion_of_a_moved_resonance_is_that_of_the_filters(world, resonance):
    filters = [frames_of(1 / np.abs(np.fft.rfft(denominator(hz), 512)[None]) ** 2) for hz in (500, resonance)]
    expected = cepstral.frame_distortions(*filters)[0]
    made = cepstral.mel_cepstral_distortion(pulses(), pulses(resonance=resonance), RATE)
    # The envelope is sampled at harmonics 120 Hz apart, which rounds off the peaks.
    assert made == pytest.approx(expected, rel=0.25)


def test_distortion_takes_silent_reconstructions_and_short_waveforms(world):
    assert 10 < cepstral.mel_cepstral_distortion(pulses(), np.zeros(4000), RATE) < 100
    short = np.random.default_rng(0).normal(size=(2, 20)) * 0.1  # less than a frame
    assert 0 < cepstral.mel_cepstral_distortion(*short, RATE) < 100


@pytest.mark.parametrize(
    ("natural", "reconstructed", "error", "words"),
    [
        (np.zeros(0), np.zeros(0), VQAudioError, r"shape \(0,\)"),
        ([0.1, math.nan], [0.1, 0.1], VQAudioError, "1 samples that are NaN"),
        (np.full(800, 0.1), np.full(1600, 0.1), VQAudioError, "recording of 21 and reconstruction of 41 frames"),
        (np.zeros(800), np.full(800, 0.1), NotMeasured, "the recording is silent"),
    ],
)
def test_what_cannot_be_compared_is_refused(world, natural, reconstructed, error, words):
    with pytest.raises(error, match=words):
        cepstral.mel_cepstral_distortion(natural, reconstructed, RATE)


def test_frames_of_other_rates_are_refused():
    with pytest.raises(VQAudioError, match="8000 and 16000 Hz"):
        cepstral.frame_distortions(frames_of(np.ones((1, 257))), frames_of(np.ones((1, 257)), 16000))


def test_nothing_to_average_is_said():
    with pytest.raises(NotMeasured, match="no reconstructions"):
        cepstral.mean_distortion([])


def test_a_missing_package_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(NotMeasured, match="pyworld is not installed"):
        cepstral.world_frames(pulses(), RATE)
