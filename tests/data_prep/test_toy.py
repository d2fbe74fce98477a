"""The toy corpus: what it says of its phones must be true of the sound."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from data_prep import toy
from data_prep.source_filter import PHONES, Speaker, plan, synthesise
from vqaudio.audio.io import read_audio
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError

RATE = 16000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("toy")
    toy.prepare(out, sizes={"train": 3, "dev": 1, "test": 1})
    return out


def read_ctm(folder: Path) -> dict[str, list[tuple[float, float, str]]]:
    phones = defaultdict(list)
    for line in (folder / "phones.ctm").read_text().splitlines():
        utterance, channel, start, duration, phone = line.split(" ")
        assert channel == "1"
        phones[utterance].append((float(start), float(duration), phone))
    return phones


def test_phones_follow_each_other_without_gaps_and_fill_the_audio(corpus):
    utterances = DataDir.load(corpus / "train").utterances
    phones = read_ctm(corpus / "train")
    assert set(phones) == {utterance.id for utterance in utterances} and len(phones) == 12
    for utterance in utterances:
        waveform, rate = read_audio(utterance.recording)
        ends = np.array([round(RATE * (start + duration)) for start, duration, _ in phones[utterance.id]])
        starts = np.array([round(RATE * start) for start, _, _ in phones[utterance.id]])
        assert rate == RATE and starts[0] == 0 and ends[-1] == len(waveform)
        np.testing.assert_array_equal(starts[1:], ends[:-1])


def test_the_text_is_what_the_phones_say(corpus):
    phones = read_ctm(corpus / "dev")
    for utterance in DataDir.load(corpus / "dev").utterances:
        spoken = [phone for _, _, phone in phones[utterance.id] if phone != "sil"]
        assert spoken == [phone for word in utterance.text.split() for phone in toy.WORDS[word]]


def test_the_same_seed_gives_the_same_corpus_and_another_gives_another(corpus, tmp_path):
    sizes = {"dev": 1}
    toy.prepare(tmp_path / "again", sizes={"train": 1, "dev": 1})
    toy.prepare(tmp_path / "other", sizes=sizes, seed=1)
    name = "wav/anna-dev-000.wav"
    assert (tmp_path / "again" / name).read_bytes() == (corpus / name).read_bytes()
    assert (tmp_path / "other" / name).read_bytes() != (corpus / name).read_bytes()


def sound(phones: list[str], speaker: Speaker = toy.SPEAKERS[1]) -> tuple[np.ndarray, list]:
    generator = np.random.default_rng(0)
    segments = plan(phones, RATE, generator)
    return synthesise(segments, speaker, RATE, generator), segments


def middle(waveform: np.ndarray, segment) -> np.ndarray:
    quarter = (segment.end - segment.start) // 4
    return waveform[segment.start + quarter : segment.end - quarter]


def test_silence_is_silent_and_everything_else_is_not():
    for phone in set(PHONES) - {"sil"}:
        waveform, segments = sound(["sil", phone, "a", "sil"])
        power = [np.mean(waveform[s.start : s.end] ** 2) for s in segments]
        assert power[1] > 30 * np.mean(middle(waveform, segments[0]) ** 2), phone


def test_a_stop_is_silent_before_its_burst():
    waveform, segments = sound(["a", "t", "a"])
    stop = waveform[segments[1].start : segments[1].end]
    closure, burst = stop[len(stop) // 3 : len(stop) * 3 // 5], stop[len(stop) * 7 // 10 :]
    assert np.mean(burst**2) > 100 * np.mean(closure**2)


@pytest.mark.parametrize("speaker", toy.SPEAKERS, ids=lambda speaker: speaker.name)
@pytest.mark.parametrize("vowel", ["a", "i", "o"])
def test_vowels_have_their_formants_and_speakers_their_pitch(vowel, speaker):
    waveform, _ = sound([vowel] * 4, speaker)
    waveform = waveform[len(waveform) // 2 - 800 :][:1600]  # 0.1 s, in which the pitch hardly changes
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(1600), 16000)) ** 2  # a bin per Hz
    # The strongest harmonic is the one nearest to the first formant, or its neighbour.
    assert abs(spectrum.argmax() - PHONES[vowel].formants[0] / speaker.tract) < 1.5 * speaker.pitch
    # The pitch falls from 110% to 90% and wavers by 3%: between an octave down and one up there is no other period.
    correlation = np.correlate(waveform, waveform, "full")[1599:]
    shortest, longest = int(RATE / speaker.pitch / 1.6), int(RATE / speaker.pitch * 1.6)
    period = shortest + correlation[shortest:longest].argmax()
    assert RATE / period == pytest.approx(speaker.pitch, rel=0.06)


def test_fricatives_are_higher_than_vowels():
    def centroid(phone: str) -> float:
        waveform, segments = sound(["sil", phone, "sil"])
        spectrum = np.abs(np.fft.rfft(middle(waveform, segments[1]))) ** 2
        return float(np.average(np.fft.rfftfreq(2 * len(spectrum) - 2, 1 / RATE), weights=spectrum))

    assert centroid("u") < centroid("a") < centroid("sh") < centroid("s")


def test_an_empty_part_is_refused(tmp_path):
    with pytest.raises(VQAudioError, match="train: got 0"):
        toy.prepare(tmp_path, sizes={"train": 0})
