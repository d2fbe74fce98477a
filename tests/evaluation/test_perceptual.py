"""Ratings against direct calls of the packages, with every kind of utterance that they cannot hear."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from vqaudio.audio.resample import resample
from vqaudio.errors import VQAudioError
from vqaudio.evaluation import perceptual
from vqaudio.evaluation.optional import NotMeasured

RATE = 8000


def speech(seconds=1.5, rate=RATE, seed=0):
    """Bursts of harmonics and noise, about four a second: what passes for speech with these models."""
    generator = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    voice = sum(np.sin(2 * np.pi * (110 + 30 * seed) * k * t) / k for k in range(1, 25))
    bursts = np.clip(np.sin(2 * np.pi * (3.7 + 0.4 * seed) * t + seed), 0, None)
    return 0.05 * bursts * (voice + 0.3 * generator.normal(size=len(t)))


def noisy(waveform, share=0.3, seed=9):
    return waveform + np.random.default_rng(seed).normal(size=len(waveform)) * waveform.std() * share


def direct_pesq(*arguments):
    return pytest.importorskip("pesq").pesq(*arguments)


# --- PESQ ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "mode", "best", "key"),
    [(8000, "nb", 4.549, "pesq_narrowband"), (16000, "wb", 4.644, "pesq_wideband")],
)
def test_pesq_is_the_packages(rate, mode, best, key):
    natural = [speech(seed=i, rate=rate) for i in range(3)]
    made = [noisy(x) for x in natural]
    rating = perceptual.pesq_score(natural, made, rate)
    assert rating.scores.tolist() == [direct_pesq(rate, a, b, mode) for a, b in zip(natural, made, strict=True)]
    assert rating.mean == pytest.approx(rating.scores.mean()) and rating.scored == 3
    assert rating.scores.min() <= rating.interval[0] < rating.mean < rating.interval[1] <= rating.scores.max()
    # The mapping of the raw score 4.5: 0.999 + 4 / (1 + e^(4.6607 - 1.4945 · 4.5)), wide: e^(3.8224 - 1.3669 · 4.5).
    assert perceptual.pesq_score(natural[:1], natural[:1], rate).mean == pytest.approx(best, abs=1e-3)
    assert perceptual.pesq_key(rate) == key


@pytest.mark.parametrize(("rate", "to", "mode"), [(11025, 8000, "nb"), (22050, 16000, "wb"), (44100, 16000, "wb")])
def test_pesq_of_other_rates_is_that_of_the_converted_audio(rate, to, mode):
    natural = speech(rate=rate)
    made = noisy(natural)
    direct = direct_pesq(to, resample(natural, rate, to), resample(made, rate, to), mode)
    assert perceptual.pesq_score([natural], [made], rate).mean == pytest.approx(direct)


def test_pesq_of_a_long_recording_is_the_mean_of_its_pieces():
    natural = speech(41)  # more than 50 bursts: in one piece, the reference code would overrun its memory
    made = noisy(natural)
    pieces = zip(np.array_split(natural, 3), np.array_split(made, 3), strict=True)
    rating = perceptual.pesq_score([natural], [made], RATE)
    assert rating.mean == pytest.approx(np.mean([direct_pesq(RATE, a, b, "nb") for a, b in pieces]))
    assert rating.interval is None


def test_pesq_survives_the_most_bursts_that_a_piece_can_hold():
    pytest.importorskip("pesq")
    burst = np.concatenate([np.random.default_rng(0).normal(size=1700) * 0.1, np.zeros(1700)])
    natural = np.tile(burst, 150)  # 64 s; PESQ joins what is less than 0.2 s apart and drops what is shorter
    assert 1 <= perceptual.pesq_score([natural], [noisy(natural)], RATE).mean <= 4.55


def test_pesq_skips_pieces_without_speech():
    natural = np.concatenate([speech(19), np.zeros(19 * RATE)])
    made = np.concatenate([noisy(speech(19)), np.zeros(19 * RATE)])
    direct = direct_pesq(RATE, natural[: 19 * RATE], made[: 19 * RATE], "nb")
    assert perceptual.pesq_score([natural], [made], RATE).mean == pytest.approx(direct)


def test_pesq_names_what_it_refuses():
    pytest.importorskip("pesq")
    good = speech()
    clicks = np.zeros(RATE)
    clicks[1000:1400] = 0.1 * np.random.default_rng(0).normal(size=400)  # 50 ms: too short to be speech
    natural = [good, good[:1000], np.zeros(RATE), good, clicks]
    rating = perceptual.pesq_score(natural, [good, good[:1000], good[:RATE], np.zeros(len(good)), clicks], RATE)
    assert rating.refused == {
        1: "PESQ: Buffer needs to be at least 1/4 of a second long",
        2: "the recording is silent",
        3: "the reconstruction is silent",
        4: "PESQ: No utterances detected",
    }
    assert rating.scored == 1 and np.isnan(rating.scores).tolist() == [False, True, True, True, True]
    assert rating.mean == rating.scores[0] and rating.interval is None


# --- STOI ------------------------------------------------------------------------------------------------------------


def test_stoi_is_the_packages():
    stoi = pytest.importorskip("pystoi").stoi
    natural = [speech(seed=i) for i in range(3)]
    made = [noisy(x, 1.0) for x in natural]
    rating = perceptual.stoi_score(natural, made, RATE)
    assert rating.scores.tolist() == [stoi(a, b, RATE) for a, b in zip(natural, made, strict=True)]
    assert rating.mean < perceptual.stoi_score(natural, [noisy(x, 0.1) for x in natural], RATE).mean < 1


def test_stoi_of_the_same_and_of_silence():
    pytest.importorskip("pystoi")
    assert perceptual.stoi_score([speech()], [0.1 * speech()], RATE).mean == pytest.approx(1)
    assert perceptual.stoi_score([speech()], [np.zeros(12000)], RATE).mean == 0


def test_stoi_refuses_less_than_30_frames_of_speech():
    pytest.importorskip("pystoi")
    mostly_silent = np.concatenate([speech(0.2, seed=1), np.zeros(RATE)])
    pairs = [speech(), speech()[:2000], mostly_silent, speech()[:10]]
    rating = perceptual.stoi_score(pairs, pairs, RATE)
    assert rating.refused == dict.fromkeys((1, 2, 3), "less than 0.4 s of speech")
    assert rating.mean == pytest.approx(1)


# --- predicted opinion -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opinion_model():
    """The package's own model, loaded as its documentation says."""
    from vqaudio.audio.torchaudio_compat import import_torchaudio

    import_torchaudio()
    return pytest.importorskip("distillmos").ConvTransformerSQAModel().eval()


def test_mos_is_the_packages_alone_and_in_a_batch(opinion_model):
    import torch

    waveforms = [speech(0.3, 16000), speech(8.5, 16000, seed=1)]  # padded, and two windows
    rating = perceptual.mos_prediction(waveforms, 16000)
    with torch.inference_mode():
        alone = [opinion_model(torch.from_numpy(x).float()[None]).item() for x in waveforms]
    # float32, summed in another order in a batch
    assert rating.scores == pytest.approx(alone, abs=1e-4)
    assert rating.mean == pytest.approx(np.mean(alone), abs=1e-4) and 1 <= min(alone) <= max(alone) <= 5


def test_mos_hears_8_khz_converted_and_refuses_silence(opinion_model):
    pair = perceptual.mos_prediction([speech(), np.zeros(RATE)], RATE)
    converted = perceptual.mos_prediction([resample(speech(), RATE, 16000)], 16000)
    assert pair.mean == pytest.approx(converted.mean, abs=1e-4)
    assert pair.refused == {1: "the waveform is silent"} and np.isnan(pair.scores[1])


def test_mos_prints_nothing(opinion_model, capsys):
    perceptual._opinion_model.cache_clear()
    perceptual.mos_prediction([speech(0.5)], RATE)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("samples", [1, 122879, 122880, 122881, 138880, 138881, 300000])
def test_windows_are_the_packages(samples):
    waveform = np.arange(samples, dtype=np.float32)
    windows = perceptual._windows(waveform)
    assert {len(window) for window in windows} == {122880}
    assert windows[0][0] == 0 and windows[-1].max() == samples - 1
    starts = [window[0] for window in windows]
    assert len(starts) == max(0, -(-(samples - 122880) // 16000)) + 1
    assert all(0 < step <= 16000 for step in np.diff(starts))


# --- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [perceptual.pesq_score, perceptual.stoi_score])
@pytest.mark.parametrize(
    ("natural", "made", "error", "words"),
    [
        ([speech()], [], VQAudioError, "1 recordings and 0 reconstructions"),
        ([speech()], [speech(1.0)], VQAudioError, "12000 and 8000 samples"),
        ([speech()], [[[0.1]]], VQAudioError, r"shape \(1, 1\)"),
        ([], [], NotMeasured, "no waveforms"),
        ([np.zeros(800)] * 2, [speech(0.1)] * 2, NotMeasured, "none of 2 utterances can be scored: the recording is s"),
    ],
)
def test_what_cannot_be_scored_is_refused(score, natural, made, error, words):
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    with pytest.raises(error, match=words):
        score(natural, made, RATE)


def test_pesq_of_low_rates_is_refused():
    with pytest.raises(NotMeasured, match="8000 Hz or more, the audio has 6000 Hz"):
        perceptual.pesq_score([speech()], [speech()], 6000)


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("pesq", lambda: perceptual.pesq_score([speech()], [speech()], RATE)),
        ("pystoi", lambda: perceptual.stoi_score([speech()], [speech()], RATE)),
        ("distillmos", lambda: perceptual.mos_prediction([speech()], RATE)),
    ],
)
def test_a_missing_package_is_said(monkeypatch, package, call):
    perceptual._opinion_model.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NotMeasured, match=f"^{package} is not installed"):
        call()
