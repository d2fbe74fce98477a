"""What is taken for a waveform, and what is refused; the interface's own tests have the messages."""

import numpy as np
import pytest
import torch

from vqaudio.audio.waveform import LARGEST_SAMPLE, as_waveform
from vqaudio.errors import VQAudioError


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_floats_of_any_size_in_arrays_tensors_and_slices(kind):
    samples = np.array([0.5, -0.25, 1.5], dtype=kind)
    for given in (samples, torch.from_numpy(samples), torch.from_numpy(samples).requires_grad_(), samples[::-1][::-1]):
        taken = as_waveform(given, "sound")
        assert taken.dtype == np.float32 and taken.flags.c_contiguous
        assert taken.tolist() == [0.5, -0.25, 1.5]


def test_no_samples_are_a_waveform():
    assert as_waveform(np.zeros(0, np.float32), "sound").shape == (0,)


def test_bfloat16_has_no_numpy_type_and_is_taken_all_the_same():
    assert as_waveform(torch.tensor([0.5], dtype=torch.bfloat16), "sound").tolist() == [0.5]


def test_samples_are_numbered_from_the_beginning_of_what_they_belong_to():
    with pytest.raises(VQAudioError, match="sound: 1 samples are NaN or infinite, the first is number 101"):
        as_waveform(np.array([0.0, np.inf]), "sound", first=100)


@pytest.mark.parametrize(("given", "words"), [
    (np.zeros((1, 4), np.float32), r"shape \(1, 4\)"),
    (np.float32(0), r"shape \(\)"),
    (np.zeros(4, np.int16), "got int16 samples"),
    (np.full(4, LARGEST_SAMPLE * 1.01, np.float32), "samples reach 8.08"),
])  # fmt: skip
def test_what_is_none(given, words):
    with pytest.raises(VQAudioError, match=f"sound: .*{words}"):
        as_waveform(given, "sound")
