"""Recordings beside their reconstructions: pairs, their lengths, and figures of a few."""

import numpy as np
import pytest

from tests.small import HOP, RATE, sound, write_data
from vqaudio.audio.io import write_wav
from vqaudio.errors import AudioError, VQAudioError
from vqaudio.evaluation.resynthesis import FIGURES, draw_pairs, read_pairs


@pytest.fixture
def folders(tmp_path):
    data = write_data(tmp_path / "data", {f"anna-{i}": 10 * HOP - i for i in range(6)})
    for i in range(1, 6):  # anna-0 was not decoded
        write_wav(tmp_path / "made" / f"anna-{i}.wav", sound(10 * HOP, 9), RATE)
    return data.utterances, tmp_path / "made"


def test_pairs_have_the_length_of_the_recording(folders):
    pairs = read_pairs(*folders, RATE)
    assert [pair.id for pair in pairs] == [f"anna-{i}" for i in range(1, 6)]
    for i, pair in enumerate(pairs, start=1):
        np.testing.assert_array_equal(pair.natural, sound(10 * HOP - i, i))
        np.testing.assert_array_equal(pair.made, sound(10 * HOP, 9)[: 10 * HOP - i])


def test_memory_is_bounded_by_seconds(folders):
    assert len(read_pairs(*folders, RATE, max_seconds=(20 * HOP) / RATE)) == 2  # of three


def test_what_does_not_belong_together_is_refused(folders):
    utterances, made = folders
    write_wav(made / "anna-1.wav", sound(5 * HOP), RATE)
    with pytest.raises(AudioError, match=f"{5 * HOP} samples, shorter than the recording's {10 * HOP - 1}"):
        read_pairs(utterances, made, RATE)
    write_wav(made / "anna-1.wav", sound(10 * HOP), 2 * RATE)
    with pytest.raises(VQAudioError, match="16000 Hz, the model makes 8000 Hz"):
        read_pairs(utterances, made, RATE)


def test_figures_are_of_pairs_spread_over_all(folders, tmp_path):
    pairs = read_pairs(*folders, RATE)
    draw_pairs(tmp_path / "figures", pairs, {p.id: np.arange(10) for p in pairs}, RATE, HOP)
    drawn = sorted(path.stem for path in (tmp_path / "figures").iterdir())
    assert len(drawn) == FIGURES and drawn[0] == "anna-1" and drawn[-1] == "anna-4"
