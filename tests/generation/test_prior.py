"""Unit sequences are drawn from the prior, end where it says, and depend on nothing but their own request."""

from __future__ import annotations

import logging

import pytest
import torch

from tests.generation.conftest import CODES, SPEAKERS, build_prior
from vqaudio.errors import ModelError, VQAudioError
from vqaudio.generation import sample_units
from vqaudio.generation.uniforms import next_uniforms, uniform_stream
from vqaudio.models.sampling import sample_categorical

SPOKEN = [0, 1, 2, 0, 1, 2, 0, 1]


def test_sequences_are_units_and_end_by_themselves(prior):
    sequences = sample_units(prior, len(SPOKEN), SPOKEN, max_units=500)
    lengths = [len(s) for s in sequences]
    assert all(s.dtype == torch.long and s.dim() == 1 for s in sequences)
    assert all(0 <= int(u) < CODES for s in sequences for u in s)
    assert 3 < max(lengths) < 500
    assert len(set(lengths)) > 2


def test_each_unit_is_drawn_from_the_prior_given_the_units_before(prior):
    """The parallel prior and the same uniforms give the sequence again, and then its end."""
    for key, speaker in (("a", 0), ("b", 2)):
        (units,) = sample_units(prior, 1, [speaker], max_units=500, keys=[key], seed=3)
        inputs = torch.cat([torch.tensor([prior.boundary]), units])
        logits = prior(inputs[None], torch.tensor([speaker]))[0].detach()
        uniforms = next_uniforms([uniform_stream(3, "units", key)], len(inputs), 1)[0, :, 0]
        assert sample_categorical(logits, uniforms).tolist() == [*units.tolist(), prior.boundary]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_batch_size_changes_nothing(prior, batch_size):
    together = sample_units(prior, len(SPOKEN), SPOKEN, max_units=100)
    alone = sample_units(prior, len(SPOKEN), SPOKEN, max_units=100, batch_size=batch_size)
    assert [s.tolist() for s in together] == [s.tolist() for s in alone]


def test_keys_name_sequences(prior):
    both = sample_units(prior, 2, [0, 0], max_units=100, keys=["a", "b"])
    swapped = sample_units(prior, 2, [0, 0], max_units=100, keys=["b", "a"])
    assert [s.tolist() for s in both] == [s.tolist() for s in swapped[::-1]]


def test_what_is_too_long_is_cut_and_said(prior, caplog):
    whole = sample_units(prior, len(SPOKEN), SPOKEN, max_units=500)
    caplog.clear()
    with caplog.at_level(logging.INFO, "vqaudio"):
        cut = sample_units(prior, len(SPOKEN), SPOKEN, max_units=5)
    assert [s.tolist() for s in cut] == [s[:5].tolist() for s in whole]
    longer = sum(len(s) >= 5 for s in whole)
    assert f"{longer} of {len(SPOKEN)} utterances were cut at 5 units" in caplog.text
    assert "units/s" in caplog.text


def test_no_warning_where_nothing_was_cut(prior, caplog):
    with caplog.at_level(logging.WARNING, "vqaudio"):
        sample_units(prior, len(SPOKEN), SPOKEN, max_units=500)
    assert caplog.messages == []


def test_speakers_matter_to_a_conditional_prior_alone(prior):
    def lengths_and_units(prior, speaker):
        return [s.tolist() for s in sample_units(prior, 6, [speaker] * 6, max_units=100)]

    assert lengths_and_units(prior, 0) != lengths_and_units(prior, 1)
    unconditional = build_prior(speaker_conditional=False)
    assert lengths_and_units(unconditional, 0) == lengths_and_units(unconditional, 1)
    without = [s.tolist() for s in sample_units(unconditional, 6, max_units=100)]
    assert without == lengths_and_units(unconditional, 0)


def test_the_most_probable_sequence_needs_no_chance(prior):
    greedy = [sample_units(prior, 1, [1], max_units=40, top_k=1, seed=s)[0].tolist() for s in (0, 1)]
    assert greedy[0] == greedy[1]


def test_none_asked_for(prior):
    assert sample_units(prior, 0, [], max_units=5) == []


@pytest.mark.parametrize(
    ("n", "speakers", "options", "error", "words"),
    [
        (1, [SPEAKERS], {}, ModelError, f"sequence 0: speaker {SPEAKERS}, expected 0 to {SPEAKERS - 1}"),
        (1, None, {}, ModelError, "no speakers given"),
        (2, [0], {}, VQAudioError, "2 sequences, 1 speakers and 2 keys"),
        (1, [0], {"max_units": 0}, VQAudioError, "max_units: got 0"),
        (1, [0], {"top_p": 2.0}, VQAudioError, "top_p: got 2.0"),
        (1, [0], {"engine": "x"}, VQAudioError, "engine: got 'x'"),
        (1, [0], {"batch_size": 0}, VQAudioError, "batch_size: got 0"),
    ],
)
def test_requests_that_cannot_be_served_are_explained(prior, n, speakers, options, error, words):
    with pytest.raises(error, match=words):
        sample_units(prior, n, speakers, **{"max_units": 5, **options})
