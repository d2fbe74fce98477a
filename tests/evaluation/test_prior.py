"""Bits per unit of the prior against a loop over units, one forward pass each, in float64."""

from __future__ import annotations

import math

import pytest
import torch

from vqaudio.errors import UnitsError
from vqaudio.evaluation import prior as prior_module
from vqaudio.evaluation.prior import prior_bits_per_unit

SPEAKERS = [2, 0, 1]


@pytest.fixture(scope="module")
def units():
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(16, (n,), generator=generator) for n in (1, 7, 40)]


def bits_by_steps(prior, sequence, speaker):
    """-log2 p of each unit and of the end, from one forward pass per symbol over the symbols before it."""
    symbols = [16, *sequence.tolist(), 16]
    bits = []
    for n in range(1, len(symbols)):
        with torch.inference_mode():
            logits = prior(torch.tensor([symbols[:n]]), torch.tensor([speaker]))[0, -1].double()
        bits.append(-torch.log_softmax(logits, dim=-1)[symbols[n]].item() / math.log(2))
    return bits


@pytest.mark.parametrize("window", [1, 9, 4096])
def test_bits_are_those_of_single_steps(prior, units, monkeypatch, window):
    monkeypatch.setattr(prior_module, "WINDOW_UNITS", window)
    steps = [bits_by_steps(prior, sequence, speaker) for sequence, speaker in zip(units, SPEAKERS, strict=True)]
    scores = prior_bits_per_unit(prior, units, SPEAKERS)
    # float32 logits whose products are summed in another order.
    assert scores["bits_per_unit"] == pytest.approx(sum(sum(s[:-1]) for s in steps) / 48, abs=1e-5)
    assert scores["end_bits_per_utterance"] == pytest.approx(sum(s[-1] for s in steps) / 3, abs=1e-5)


def test_probabilities_of_all_units_and_the_end_sum_to_one(prior):
    start = torch.tensor([3, 1])
    after = [2 ** -bits_by_steps(prior, torch.cat([start, torch.tensor([u])]), 0)[2] for u in range(16)]
    end = 2 ** -bits_by_steps(prior, start, 0)[2]
    assert sum(after) + end == pytest.approx(1, abs=1e-5)


def test_dropout_is_off_and_the_mode_left(prior, units):
    expected = prior_bits_per_unit(prior, units, SPEAKERS)
    prior.train()
    try:
        assert prior_bits_per_unit(prior, units, SPEAKERS) == expected
        assert prior.training
    finally:
        prior.eval()


def test_speakers_may_be_left_out_where_the_prior_knows_none(prior, units):
    if prior.config.speaker_conditional:
        with pytest.raises(UnitsError, match="conditioned on speakers, but none were given"):
            prior_bits_per_unit(prior, units)
    else:
        assert prior_bits_per_unit(prior, units) == prior_bits_per_unit(prior, units, SPEAKERS)


@pytest.mark.parametrize(
    ("sequences", "speakers", "words"),
    [
        ([], [], "no utterances"),
        ([[1], []], [0, 0], r"utterance 1 has units of shape \(0,\)"),
        ([[1, 16]], [0], "utterance 0 holds 16, the prior knows units from 0 to 15"),
        ([[-1]], [0], "holds -1"),
        ([[1]], [0, 1], "2 speakers for 1 utterances"),
    ],
)
def test_what_cannot_be_scored_is_refused(prior, sequences, speakers, words):
    with pytest.raises(UnitsError, match=words):
        prior_bits_per_unit(prior, [torch.tensor(s, dtype=torch.long) for s in sequences], speakers)


def test_unknown_speaker_is_refused(prior, units):
    if prior.config.speaker_conditional:
        with pytest.raises(UnitsError, match="speaker 3, expected an index from 0 to 2"):
            prior_bits_per_unit(prior, units, [0, 1, 3])
