"""What an engine predicts, scored step by step, is what the parallel decoder predicts; fewer bits cost something."""

from __future__ import annotations

import pytest
import torch

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.likelihood import bits_per_sample
from vqaudio.evaluation.precision import engine_bits
from vqaudio.generation import decode


@pytest.mark.parametrize("engine", ["torch", "auto"])
def test_in_float32_it_is_the_likelihood(model, waveforms, engine, monkeypatch):
    monkeypatch.setattr(decode, "BLOCK_SAMPLES", 256)  # several blocks
    utterances = list(zip(waveforms, [0, 1, 2, 0]))
    # Parameters are equal within 1e-5, and so are bits.
    assert engine_bits(model, utterances, "float32", engine) == pytest.approx(
        bits_per_sample(model, utterances), abs=2e-5
    )


def test_fewer_bits_are_another_prediction_and_not_far_off(mulaw_model, waveforms):
    pytest.importorskip("vqaudio.csrc").available()
    utterances = list(zip(waveforms, [0, 1, 2, 0]))
    base = engine_bits(mulaw_model, utterances, "float32")
    for precision in ("bfloat16", "int8"):
        bits = engine_bits(mulaw_model, utterances, precision)
        # An untrained decoder is near its 8 bits whatever is rounded; but no two precisions round alike.
        assert bits != base
        assert bits == pytest.approx(base, abs=0.05)


def test_the_model_is_left_in_its_mode(mulaw_model, waveforms):
    mulaw_model.train()
    engine_bits(mulaw_model, [(waveforms[1], 0)], "float32")
    assert mulaw_model.training
    mulaw_model.eval()


def test_nothing_to_score_is_refused(mulaw_model):
    with pytest.raises(VQAudioError, match="no samples"):
        engine_bits(mulaw_model, [], "float32")
    with pytest.raises(VQAudioError, match="precision: got 'int4', expected one of"):
        engine_bits(mulaw_model, [(torch.zeros(10), 0)], "int4")
