"""Speech is found where somebody speaks, and nowhere else."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vqaudio.audio import read_audio, resample
from vqaudio.errors import VQAudioError
from vqaudio.evaluation import voice_activity
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.voice_activity import pooled_speech_share, speech_share

ROOT = Path(__file__).parents[2]
SENTENCES = [ROOT.parent / "shared/data/timit_dev/dr7-fblv0/sx158.wav",  # 16 kHz
             ROOT / "recipes/asterisk/dump/8k/test/wavs/allison-en-vm-mailboxfull.wav"]  # fmt: skip
RATES = pytest.mark.parametrize("rate", [8000, 16000, 22050])


@pytest.fixture(scope="module")
def detector():
    pytest.importorskip("silero_vad")


@pytest.fixture(params=SENTENCES, ids=lambda path: path.stem)
def speech(request, detector) -> tuple[np.ndarray, int]:
    if not request.param.is_file():
        pytest.skip(f"{request.param} is not there")
    return read_audio(request.param)


@RATES
def test_silence_noise_and_tones_are_no_speech(detector, rate):
    time = np.arange(2 * rate) / rate
    assert speech_share(np.zeros(2 * rate), rate) == 0
    for level in (0.01, 0.1, 0.3):
        assert speech_share(level * np.random.default_rng(0).standard_normal(2 * rate).clip(-3, 3), rate) == 0
    assert speech_share(0.3 * np.sin(2 * np.pi * 220 * time), rate) == 0


def test_a_sentence_is_mostly_speech(speech):
    assert 0.75 < speech_share(*speech) <= 1  # recordings begin and end with a moment of silence


def test_the_share_is_of_the_whole(speech):
    """Windows of 32 ms, margins of 30 ms and a state: within a tenth of a second of half."""
    waveform, rate = speech
    doubled = np.concatenate([waveform, np.zeros_like(waveform)])
    assert speech_share(doubled, rate) == pytest.approx(speech_share(waveform, rate) / 2, abs=0.1 * rate / len(doubled))


def test_the_same_whatever_was_heard_before(speech):
    waveform, rate = speech
    before = speech_share(waveform, rate)
    speech_share(waveform[::-1], rate)
    assert speech_share(waveform, rate) == before


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100])
def test_other_rates_are_converted(speech, rate):
    waveform, own = speech
    share = speech_share(resample(waveform, own, rate), rate)
    assert share == pytest.approx(speech_share(waveform, own), abs=0.1)  # two models, of 8 and of 16 kHz


def test_shares_are_pooled_by_length(speech):
    waveform, rate = speech
    silence = np.zeros(3 * len(waveform))
    value, (low, high) = pooled_speech_share([waveform, silence], rate)
    alone = speech_share(waveform, rate)
    assert value == pytest.approx(alone / 4)
    assert (low, high) == pytest.approx((0, alone))
    assert pooled_speech_share([waveform], rate) == (pytest.approx(alone), None)
    assert pooled_speech_share([waveform, silence], rate, ["one", "one"]) == (value, None)


def test_threads_are_left_as_they_were(detector):
    voice_activity._detector.cache_clear()
    sys.modules.pop("silero_vad.model", None)  # which sets them, imported again
    sys.modules.pop("silero_vad", None)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        speech_share(np.zeros(800), 8000)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_is_no_waveform_is_answered(detector):
    for wrong, message in [(np.zeros((2, 80)), "mono"), (np.zeros(0), "without samples"),
                           (np.full(80, np.nan), "NaN"), (np.full(80, 900.0), "scale")]:  # fmt: skip
        with pytest.raises(VQAudioError, match=message):
            speech_share(wrong, 8000)
    with pytest.raises(NotMeasured, match="no audio"):
        pooled_speech_share([], 8000)


def test_a_missing_package_is_a_reason(monkeypatch):
    voice_activity._detector.cache_clear()
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    with pytest.raises(NotMeasured, match="silero-vad is not installed"):
        speech_share(np.zeros(80), 8000)
