"""Bits per sample against the model's own forward pass, against sums over all levels, and by their weights."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from vqaudio.errors import VQAudioError
from vqaudio.evaluation import likelihood
from vqaudio.evaluation.likelihood import bits_per_sample, utterance_nll

# float32 logits, taken in windows and in one piece: the products of the stack are summed in another order.
TOLERANCE = {"rtol": 0, "atol": 1e-4}


def forward_nll(model, waveform, speaker):
    """-ln p of each sample by the forward pass of training, the utterance being one crop."""
    left, right = model.context
    units = -(-len(waveform) // model.hop_length)
    padded = F.pad(waveform, (left, units * model.hop_length - len(waveform) + right))
    with torch.inference_mode():
        return model(padded[None], torch.tensor([speaker])).nll[0, : len(waveform)]


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("window", [8, 200, 1 << 20])
def test_windows_give_what_the_forward_pass_gives(model, waveforms, monkeypatch, window):
    monkeypatch.setattr(likelihood, "WINDOW_SAMPLES", window)
    for waveform in waveforms:
        with torch.inference_mode():
            nll = utterance_nll(model, waveform, 1, "true", generator())
        torch.testing.assert_close(nll, forward_nll(model, waveform, 1), **TOLERANCE)


def test_samples_weigh_alike(model, waveforms):
    utterances = list(zip(waveforms, [0, 1, 2, 0], strict=True))
    nats = torch.cat([forward_nll(model, waveform, speaker) for waveform, speaker in utterances])
    expected = nats.double().mean().item() / math.log(2)
    assert bits_per_sample(model, utterances) == pytest.approx(expected, abs=1e-4)


def test_a_decoder_that_knows_nothing_has_eight_bits(mulaw_model, waveforms):
    outputs = mulaw_model.decoder.stack.output
    weight, bias = outputs.weight.clone(), outputs.bias.clone()
    with torch.no_grad():
        outputs.weight.zero_(), outputs.bias.zero_()
    try:
        assert bits_per_sample(mulaw_model, [(waveforms[2], 0)]) == pytest.approx(8, abs=1e-6)
    finally:
        with torch.no_grad():
            outputs.weight.copy_(weight), outputs.bias.copy_(bias)


def test_zero_units_do_not_depend_on_the_codebook(mulaw_model, waveforms):
    utterances = [(waveforms[3], 0)]
    zero = bits_per_sample(mulaw_model, utterances, units="zero")
    codebook = mulaw_model.quantizer.codebook.clone()
    mulaw_model.quantizer.codebook.zero_()
    try:
        assert bits_per_sample(mulaw_model, utterances, units="true") == pytest.approx(zero, abs=1e-6)
    finally:
        mulaw_model.quantizer.codebook.copy_(codebook)
    assert bits_per_sample(mulaw_model, utterances, units="true") != pytest.approx(zero, abs=1e-6)


def test_shuffled_units_are_the_same_units_in_another_order(mulaw_model, waveforms, monkeypatch):
    embedded = []
    embed = type(mulaw_model).embed
    monkeypatch.setattr(type(mulaw_model), "embed", lambda self, units: embedded.append(units) or embed(self, units))
    score = [bits_per_sample(mulaw_model, [(waveforms[3], 0)], units="shuffled", seed=seed) for seed in (1, 1, 2)]
    assert score[0] == score[1] != score[2]
    true = mulaw_model.encode(waveforms[3])
    assert not torch.equal(embedded[0], true)
    assert torch.equal(embedded[0].sort().values, true.sort().values)


def test_scoring_is_without_jitter_and_leaves_the_mode(mulaw_model, waveforms):
    expected = bits_per_sample(mulaw_model, [(waveforms[2], 0)])
    mulaw_model.train()
    try:
        assert bits_per_sample(mulaw_model, [(waveforms[2], 0)]) == expected
        assert mulaw_model.training
    finally:
        mulaw_model.eval()


def test_what_cannot_be_scored_is_refused(mulaw_model, waveforms):
    with pytest.raises(VQAudioError, match=r"units 'shufled': expected one of .* Did you mean 'shuffled'"):
        bits_per_sample(mulaw_model, [(waveforms[1], 0)], units="shufled")
    with pytest.raises(VQAudioError, match="no samples to score"):
        bits_per_sample(mulaw_model, [])
    with pytest.raises(VQAudioError, match=r"shape \(1, 333\)"):
        bits_per_sample(mulaw_model, [(waveforms[1][None], 0)])
