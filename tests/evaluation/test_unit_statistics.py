"""The measures of units against scipy, closed forms and their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.errors import UnitsError
from vqaudio.evaluation import unit_statistics as us

COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=40).filter(any)


def test_counts_of_all_sequences():
    np.testing.assert_array_equal(us.unit_counts([[0, 2, 2], [], [3]], 5), [1, 0, 2, 1, 0])


@pytest.mark.parametrize(
    ("sequences", "words"),
    [([[0], [5]], "sequence 1 holds 5"), ([[-1]], "sequence 0 holds -1"), ([[[0]]], r"shape \(1, 1\)")],
)
def test_counts_refuse(sequences, words):
    with pytest.raises(UnitsError, match=words):
        us.unit_counts(sequences, 5)


@given(COUNTS)
def test_entropy_is_scipys(counts):
    # Both sum K terms below 1 in float64.
    assert us.entropy_bits(counts) == pytest.approx(scipy.stats.entropy(counts, base=2), abs=1e-12)


@given(COUNTS)
def test_perplexity_lies_between_one_and_the_codes_used(counts):
    used = us.code_usage(counts) * len(counts)
    assert 1 <= us.code_perplexity(counts) <= used * (1 + 1e-12)  # rounding of 2 ** log2


def test_uniform_units_use_everything():
    counts = np.full(512, 7)
    assert us.code_usage(counts) == 1
    assert us.code_perplexity(counts) == pytest.approx(512)
    assert us.entropy_bitrate(counts, 125.0) == pytest.approx(us.nominal_bitrate(125.0, 512))


def test_one_unit_alone_costs_nothing():
    assert us.code_usage([0, 9, 0, 0]) == 0.25
    assert us.code_perplexity([0, 9, 0, 0]) == 1
    assert math.copysign(1, us.entropy_bitrate([0, 9, 0, 0], 50)) == 1  # 0, not -0, in the report


def test_nominal_bitrate_of_the_papers_model():
    # 16 kHz, 64 samples a unit, 512 codes: 250 units/s of 9 bits.
    assert us.nominal_bitrate(16000 / 64, 512) == 2250


def test_unigram_by_hand():
    # Training 3 × a, 1 × b, codebook of 2: p = 3.5/5, 1.5/5.
    expected = -(2 * math.log2(0.7) + 1 * math.log2(0.3)) / 3
    assert us.unigram_bits_per_unit([3, 1], [2, 1]) == pytest.approx(expected)


def test_unigram_without_training_is_uniform_and_an_unseen_code_is_finite():
    assert us.unigram_bits_per_unit([0] * 8, [1] * 8) == pytest.approx(3)
    assert math.isfinite(us.unigram_bits_per_unit([1000, 0], [0, 1]))


@given(COUNTS)
def test_unigram_of_other_units_costs_no_less_than_their_entropy(counts):
    assert us.unigram_bits_per_unit(counts[::-1], counts) >= us.entropy_bits(counts) - 1e-12


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: us.code_usage([0, 0]), "no units to score"),
        (lambda: us.code_usage([]), r"shape \(0,\)"),
        (lambda: us.code_usage([0.5, 0.5]), "type float64"),
        (lambda: us.entropy_bits([3, -1]), "a count of -1"),
        (lambda: us.unigram_bits_per_unit([1, 1], [1, 1, 1]), "2 training and 3 held-out codes"),
        (lambda: us.nominal_bitrate(0, 512), "unit_rate is 0"),
        (lambda: us.nominal_bitrate(125, 0), "codebook_size is 0"),
        (lambda: us.entropy_bitrate([1], float("nan")), "unit_rate is nan"),
    ],
)
def test_measures_refuse_what_they_cannot_score(call, words):
    with pytest.raises(UnitsError, match=words):
        call()
