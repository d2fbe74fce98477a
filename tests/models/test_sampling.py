"""Draws follow the distribution, are reproducible from their uniforms, and never give what was left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vqaudio.errors import VQAudioError
from vqaudio.models.sampling import check_sampling_options, filter_logits, sample_categorical

LARGEST_BELOW_1 = 1 - 2.0**-24
LOGITS = hnp.arrays(np.float32, st.integers(2, 12), elements=st.floats(-20, 20, width=32))
UNIFORMS = st.integers(0, 2**24 - 1).map(lambda k: k / 2**24)


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits.astype(np.float64) - logits.max())
    return e / e.sum()


@given(LOGITS, UNIFORMS)
def test_draw_inverts_the_cumulative_distribution(logits, uniform):
    drawn = int(sample_categorical(torch.from_numpy(logits)[None], torch.tensor([uniform])))
    cumulative = np.cumsum(softmax(logits))
    # The cumulative sum in float32 is off by a few units of 2^-24 for each of at most 12 terms.
    below = cumulative[drawn - 1] if drawn else 0.0
    assert below - 1e-6 <= uniform < cumulative[drawn] + 1e-6


def test_a_uniform_at_a_step_takes_the_class_above_it():
    logits = torch.zeros(6, 4)  # cumulative 0.25, 0.5, 0.75, 1: exact in float32
    uniforms = torch.tensor([0.0, 0.2499, 0.25, 0.5, 0.75, LARGEST_BELOW_1])
    assert sample_categorical(logits, uniforms).tolist() == [0, 0, 1, 2, 3, 3]


@given(LOGITS, st.data())
def test_impossible_classes_are_never_drawn(logits, data):
    kept = data.draw(st.integers(0, len(logits) - 1))
    logits = np.where(np.arange(len(logits)) == kept, logits, -np.inf).astype(np.float32)
    extremes = torch.tensor([0.0, 2.0**-24, 0.5, LARGEST_BELOW_1])
    assert set(sample_categorical(torch.from_numpy(logits).expand(4, -1), extremes).tolist()) == {kept}


def test_frequencies_are_the_probabilities():
    logits, n = torch.tensor([1.0, -0.5, 0.3, 2.0, -3.0]), 10_000
    drawn = sample_categorical(logits.expand(n, -1), (torch.arange(n) + 0.5) / n)
    counts = np.bincount(drawn.numpy(), minlength=5)
    # Evenly spaced uniforms: each edge of a class moves its count by one at most.
    np.testing.assert_allclose(counts, softmax(logits.numpy()) * n, atol=2)


def test_a_row_does_not_depend_on_the_others():
    logits, uniforms = torch.randn(9, 37) * 3, torch.rand(9)
    together = sample_categorical(logits, uniforms)
    assert together.tolist() == [int(sample_categorical(logits[i : i + 1], uniforms[i : i + 1])) for i in range(9)]


def test_options_left_out_change_nothing():
    logits = torch.randn(3, 5)
    assert torch.equal(filter_logits(logits, 1.0, top_k=5, top_p=1.0), logits)


def test_temperature_divides():
    assert filter_logits(torch.tensor([[1.0, -2.0]]), temperature=0.5).tolist() == [[2.0, -4.0]]


@pytest.mark.parametrize(
    ("top_k", "kept"),
    [(1, {1}), (2, {1, 3, 4}), (3, {1, 3, 4}), (4, {0, 1, 3, 4}), (99, {0, 1, 2, 3, 4})],
    ids=lambda value: str(value),
)
def test_top_k_keeps_the_most_probable_and_ties(top_k, kept):
    filtered = filter_logits(torch.tensor([0.0, 5.0, -1.0, 2.0, 2.0]), top_k=top_k)
    assert set(torch.nonzero(filtered > -math.inf)[:, 0].tolist()) == kept


@given(LOGITS, st.floats(0.01, 0.99))
def test_top_p_keeps_the_smallest_sufficient_set(logits, top_p):
    kept = filter_logits(torch.from_numpy(logits), top_p=top_p).numpy() > -np.inf
    p = softmax(logits)
    tolerance = 1e-6  # float32 sums
    assert p[kept].sum() >= top_p - tolerance
    assert p[kept].sum() - p[kept].min() < top_p + tolerance, "the least probable class kept was not needed"
    assert kept.all() or logits[kept].min() >= logits[~kept].max()


def test_top_p_takes_equal_classes_in_order():
    assert torch.isfinite(filter_logits(torch.zeros(4), top_p=0.5)).tolist() == [True, True, False, False]


def test_top_p_counts_what_top_k_left():
    # Of all classes the first has 40%; of the two that top_k leaves, 57%, enough for top_p.
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    assert torch.isfinite(filter_logits(logits, top_k=2, top_p=0.5)).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((0.0, None, None), "temperature: got 0.0, .*top_k=1"),
        ((-1.0, None, None), "temperature: got -1.0"),
        ((math.nan, None, None), "temperature: got nan"),
        ((math.inf, None, None), "temperature: got inf"),
        ((1.0, 0, None), "top_k: got 0"),
        ((1.0, 2.5, None), "top_k: got 2.5"),
        ((1.0, None, 0.0), "top_p: got 0.0"),
        ((1.0, None, 1.5), "top_p: got 1.5"),
    ],
)
def test_unusable_options_are_named(options, words):
    with pytest.raises(VQAudioError, match=words):
        check_sampling_options(*options)
    with pytest.raises(VQAudioError, match=words):
        filter_logits(torch.zeros(1, 3), *options)
