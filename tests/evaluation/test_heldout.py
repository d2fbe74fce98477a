"""Held-out utterances come with the model's speaker indices, and only at its rate."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from vqaudio.corpus import Utterance
from vqaudio.errors import ModelError, VQAudioError
from vqaudio.evaluation.heldout import read_heldout, spread_evenly


@pytest.fixture
def utterances(tmp_path):
    waveform = (np.arange(2000) - 1000) / 32768
    soundfile.write(tmp_path / "a.wav", waveform, 8000, subtype="PCM_16")
    recording = str(tmp_path / "a.wav")
    whole = Utterance("a", "mary", recording)
    part = Utterance("b", "anna", recording, start=0.05, end=0.1, recording_id="a")
    return [whole, part]


def test_waveforms_and_indices(utterances):
    (whole, mary), (part, anna) = read_heldout(utterances, ["anna", "zoe", "mary"], 8000)
    assert (mary, anna) == (2, 0)
    np.testing.assert_array_equal(whole.numpy(), ((np.arange(2000) - 1000) / 32768).astype(np.float32))
    np.testing.assert_array_equal(part.numpy(), whole.numpy()[400:800])


def test_unknown_speaker_is_named_with_the_nearest(utterances):
    with pytest.raises(ModelError, match=r"'mary' .*Did you mean 'marie'"):
        list(read_heldout(utterances, ["anna", "marie"], 8000))


def test_another_rate_is_refused(utterances):
    with pytest.raises(VQAudioError, match=r"a\.wav has 8000 Hz, the model takes 16000 Hz"):
        list(read_heldout(utterances, ["anna", "mary"], 16000))


@pytest.mark.parametrize(("count", "chosen"), [(1, "a"), (2, "ac"), (4, "abcd"), (9, "abcd"), (0, "a")])
def test_items_are_spread_evenly(count, chosen):
    assert "".join(spread_evenly("abcd", count)) == chosen
    assert spread_evenly("", count) == []
