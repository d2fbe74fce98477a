"""Mu-law against torchaudio's, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.audio.mulaw import mulaw_decode, mulaw_encode
from vqaudio.audio.torchaudio_compat import import_torchaudio


@pytest.mark.parametrize("classes", [2, 16, 255, 256, 1024])
def test_equals_torchaudio(classes):
    functional = import_torchaudio().functional
    waveform = torch.linspace(-1, 1, 20001)
    assert torch.equal(mulaw_encode(waveform, classes), functional.mu_law_encoding(waveform, classes))
    indices = torch.arange(classes)
    # The two write the same power with expm1 and with exp: some float32 roundings apart.
    torch.testing.assert_close(
        mulaw_decode(indices, classes), functional.mu_law_decoding(indices, classes), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("classes", [2, 16, 255, 256, 1024])
def test_every_class_survives_decoding(classes):
    indices = torch.arange(classes)
    assert torch.equal(mulaw_encode(mulaw_decode(indices, classes), classes), indices)


@given(st.floats(-1, 1, width=32))
def test_the_nearest_level_is_taken(value):
    def companded(x: np.ndarray) -> np.ndarray:
        return np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256)

    levels = mulaw_decode(torch.arange(256)).double().numpy()
    distances = np.abs(companded(levels) - companded(np.float64(value)))
    chosen = int(mulaw_encode(torch.tensor(value)))
    assert distances[chosen] <= distances.min() + 1e-6  # midway between levels float32 may take either


def test_the_range_is_used_and_kept():
    classes = mulaw_encode(torch.tensor([-7.0, -1.0, 0.0, 1.0, 7.0]))
    assert classes.tolist() == [0, 0, 128, 255, 255]
    assert mulaw_decode(torch.tensor([0, 255])).tolist() == [-1.0, 1.0]


def test_order_is_kept_and_shape_and_type():
    waveform = torch.linspace(-1, 1, 1000).view(2, 500)
    classes = mulaw_encode(waveform)
    assert classes.shape == (2, 500) and classes.dtype == torch.int64
    assert (classes.flatten().diff() >= 0).all()
    assert mulaw_decode(classes).dtype == torch.float32


def test_half_precision_is_companded_in_float32():
    waveform = torch.linspace(-1, 1, 999).bfloat16()
    assert torch.equal(mulaw_encode(waveform), mulaw_encode(waveform.float()))
