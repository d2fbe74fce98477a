"""Cosines by hand on given embeddings, and Resemblyzer's own on sounds that its voice activity detector lets pass."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from vqaudio.audio.resample import resample
from vqaudio.errors import VQAudioError
from vqaudio.evaluation import speaker_similarity
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.speaker_similarity import SpeakerSimilarity

RATE = 16000


# --- by hand ---------------------------------------------------------------------------------------------------------


def at(degrees):
    """A waveform whose embedding `given` puts at this angle in the plane; None: one without speech."""
    return np.full(800, 0.5 if degrees is None else 0.1 + degrees / 1000)


@pytest.fixture
def given(monkeypatch):
    def embed(samples):
        degrees = (samples[0] - 0.1) * 1000
        vector = np.zeros(256)
        vector[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        return np.nan if samples[0] == 0.5 else vector

    monkeypatch.setattr(speaker_similarity, "_embedder", lambda: embed)


def cos(degrees):
    return np.cos(np.radians(degrees))


@pytest.fixture
def speakers(given):
    """Ann at 0°, the mean of two; Bo at 60°; Cy at 90°."""
    return SpeakerSimilarity({"ann": [at(-10), at(10)], "bo": [at(60), at(None)], "cy": [at(90)]}, RATE)


def test_cosines_with_the_mean_of_each_speaker(speakers):
    # The embeddings' angles pass through float32 samples.
    expected = [[cos(0), cos(60), cos(90)], [cos(50), cos(10), cos(40)]]
    assert speakers.cosines([at(0), at(50)], RATE) == pytest.approx(np.array(expected), abs=1e-4)
    assert speakers.speakers == ("ann", "bo", "cy") and speakers.refused == {"ann": 0, "bo": 1, "cy": 0}


def test_own_and_others(speakers):
    figures = speakers.own_and_others([at(0), at(60), at(None)], RATE, ["ann", "cy", "bo"])
    assert figures["own"] == pytest.approx([1, cos(30), np.nan], abs=1e-4, nan_ok=True)
    assert figures["others"] == pytest.approx(
        [(cos(60) + cos(90)) / 2, (cos(60) + 1) / 2, np.nan], abs=1e-4, nan_ok=True
    )


def test_conversions(speakers):
    figures = speakers.conversions([at(55), at(20), at(None)], RATE, ["ann", "cy", "ann"], ["bo", "bo", "cy"])
    assert figures["target"] == pytest.approx([cos(5), cos(40), np.nan], abs=1e-4, nan_ok=True)
    assert figures["source"] == pytest.approx([cos(55), cos(70), np.nan], abs=1e-4, nan_ok=True)
    assert figures["others"] == pytest.approx([cos(35), cos(20), np.nan], abs=1e-4, nan_ok=True)
    assert figures["is_target"].tolist()[:2] == [1, 0] and np.isnan(figures["is_target"][2])
    assert figures["over_source"].tolist()[:2] == [1, 1] and np.isnan(figures["over_source"][2])


def test_a_conversion_that_stays_with_its_speaker_is_not_over_the_source(speakers):
    figures = speakers.conversions([at(10), at(80)], RATE, ["ann", "ann"], ["cy", "cy"])
    assert figures["over_source"].tolist() == [0, 1]


def test_conversions_between_two_speakers_have_no_others(given):
    two = SpeakerSimilarity({"ann": [at(0)], "bo": [at(90)]}, RATE)
    figures = two.conversions([at(80)], RATE, ["ann"], ["bo"])
    assert np.isnan(figures["others"]).all() and figures["is_target"].tolist() == [1]


def test_no_utterances_have_no_figures(speakers):
    assert speakers.cosines([], RATE).shape == (0, 3)
    assert all(len(values) == 0 for values in speakers.conversions([], RATE, [], []).values())


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda s: s.own_and_others([at(0)], RATE, ["an"]), VQAudioError, "'an' is not enrolled. Did you mean 'ann'"),
        (lambda s: s.own_and_others([at(0)], RATE, []), VQAudioError, "0 speakers for 1 utterances"),
        (
            lambda s: s.conversions([at(0)] * 2, RATE, ["bo", "ann"], ["cy", "ann"]),
            VQAudioError,
            "1 is .*'ann' to itse",
        ),
        (lambda s: s.cosines([[0.1, np.inf]], RATE), VQAudioError, "NaN or infinite"),
        (lambda s: SpeakerSimilarity({"ann": [at(0)]}, RATE), VQAudioError, "1 speakers enrolled"),
        (lambda s: SpeakerSimilarity({"a": [at(0)], "b": []}, RATE), NotMeasured, "in the 0 utterances .* 'b'"),
        (lambda s: SpeakerSimilarity({"a": [at(0)], "b": [at(None)]}, RATE), NotMeasured, "in the 1 utterances .* 'b'"),
    ],
)
def test_what_cannot_be_compared_is_refused(speakers, call, error, words):
    with pytest.raises(error, match=words):
        call(speakers)


def test_a_missing_package_is_said(monkeypatch):
    speaker_similarity._embedder.cache_clear()
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    with pytest.raises(NotMeasured, match=r"^Resemblyzer is not installed"):
        speaker_similarity.embeddings([at(0)], RATE)


# --- Resemblyzer -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resemblyzer():
    return pytest.importorskip("resemblyzer")


def voice(hz, formants, seconds=2.0, seed=0, rate=RATE):
    """Syllables of a pulse train through resonances: a stylised voice of pitch `hz`."""
    from scipy.signal import lfilter

    generator = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    glide = hz * (1 + 0.1 * np.sin(2 * np.pi * 1.3 * t + generator.uniform(0, 6)))
    sound = np.diff(np.floor(np.cumsum(glide) / rate), prepend=0) + 0.01 * generator.normal(size=len(t))
    for formant in formants:
        sound = lfilter([1], [1, -2 * 0.98 * np.cos(2 * np.pi * formant / rate), 0.98**2], sound)
    syllables = np.clip(np.sin(2 * np.pi * 3 * t + generator.uniform(0, 6)) + 0.5, 0, None)
    return 0.2 * syllables * sound / np.abs(sound).max()


LOW, HIGH = (100, (450, 1300, 2300)), (240, (800, 1900, 3200))


def test_embeddings_are_resemblyzers(resemblyzer):
    made = speaker_similarity.embeddings([voice(*LOW)], RATE)
    encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
    direct = encoder.embed_utterance(resemblyzer.preprocess_wav(voice(*LOW).astype(np.float32)))
    assert made[0] == pytest.approx(direct, abs=1e-6)  # float32
    assert np.linalg.norm(made[0]) == pytest.approx(1, abs=1e-6)


def test_other_rates_are_converted(resemblyzer):
    narrow = resample(voice(*LOW).astype(np.float32), RATE, 8000)
    made = speaker_similarity.embeddings([narrow], 8000)
    assert made == pytest.approx(speaker_similarity.embeddings([resample(narrow, 8000, RATE)], RATE), abs=1e-6)


def test_level_does_not_count_below_resemblyzers_own(resemblyzer):
    # It raises what is quieter than -30 dBFS to that level.
    loud, quiet = speaker_similarity.embeddings([voice(*LOW) * 0.05, voice(*LOW) * 0.01], RATE)
    assert loud @ quiet == pytest.approx(1, abs=1e-3)  # the voice activity detector rounds to 16 bits


def test_what_does_not_speak_has_no_embedding(resemblyzer):
    waveforms = [np.zeros(RATE), voice(*LOW)[:1000], np.full(1, 0.1), np.full(RATE, 0.3)]  # the last: a constant
    assert np.isnan(speaker_similarity.embeddings(waveforms, RATE)).all()


def test_voices_are_told_apart_and_nothing_is_printed(resemblyzer, capsys):
    speaker_similarity._embedder.cache_clear()
    speakers = SpeakerSimilarity({"low": [voice(*LOW)], "high": [voice(*HIGH)]}, RATE)
    figures = speakers.own_and_others([voice(*LOW, seed=5), voice(*HIGH, seed=6)], RATE, ["low", "high"])
    assert np.all(figures["own"] > figures["others"] + 0.05) and np.all(figures["own"] <= 1 + 1e-6)
    converted = speakers.conversions([voice(*HIGH, seed=7)] * 2, RATE, ["low", "high"], ["high", "low"])
    assert converted["is_target"].tolist() == [1, 0]
    assert capsys.readouterr().out == ""
