"""The measures of units against scipy, closed forms and their laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.errors import UnitsError
from vqaudio.evaluation import unit_statistics as us

SEQUENCES = st.lists(st.lists(st.integers(0, 4), max_size=30), min_size=1, max_size=4).filter(any)
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


# Two utterances, of 8 units together: runs a a a | b b | c, and c | a.
BY_HAND = [[0, 0, 0, 1, 1, 2], [2, 0]]


def test_collapsed_bitrate_by_hand():
    # Hand-worked by ZeroSpeech's definition, B = M / D · entropy. Runs a b c c a: M = 5 in D = 8 / 50 s, of the shares
    # 2/5, 1/5, 2/5. The last run of one utterance and the first of the next are two, though both are c.
    entropy = -(2 * 0.4 * math.log2(0.4) + 0.2 * math.log2(0.2))
    assert us.collapsed_bitrate(BY_HAND, 3, 50.0) == pytest.approx(5 / (8 / 50) * entropy)


def test_bitrate_with_durations_by_hand():
    # Runs (a, 3) (b, 2) (c, 1) (c, 1) (a, 1): shares 1/5, 1/5, 2/5, 1/5.
    entropy = -(3 * 0.2 * math.log2(0.2) + 0.4 * math.log2(0.4))
    assert us.collapsed_bitrate_with_durations(BY_HAND, 3, 50.0) == pytest.approx(5 / (8 / 50) * entropy)


@given(SEQUENCES)
def test_collapsed_units_cost_no_more_than_all_units(sequences):
    # n log2 n - Σ n_k log2 n_k, the bits of all, grows with every n_k: runs are no more than units, code by code.
    entropy = us.entropy_bitrate(us.unit_counts(sequences, 5), 50.0)
    collapsed = us.collapsed_bitrate(sequences, 5, 50.0)
    assert 0 <= collapsed <= entropy + 1e-9 <= us.nominal_bitrate(50.0, 5) + 2e-9  # rounding of some hundred bits
    assert collapsed <= us.collapsed_bitrate_with_durations(sequences, 5, 50.0) + 1e-9


@given(SEQUENCES)
def test_durations_cost_their_entropy_given_the_unit(sequences):
    runs = [(value, len(list(run))) for sequence in sequences for value, run in itertools.groupby(sequence)]
    seconds = sum(map(len, sequences)) / 50
    extra = 0.0  # bits
    for unit in {value for value, _ in runs}:
        durations = [length for value, length in runs if value == unit]
        _, counts = np.unique(durations, return_counts=True)
        extra += len(durations) * scipy.stats.entropy(counts, base=2)
    gain = us.collapsed_bitrate_with_durations(sequences, 5, 50.0) - us.collapsed_bitrate(sequences, 5, 50.0)
    assert gain == pytest.approx(extra / seconds, abs=1e-9)  # sums of some hundred bits in float64


@given(SEQUENCES)
def test_units_that_never_repeat_cost_the_same_collapsed(sequences):
    sequences = [[value for value, _ in itertools.groupby(sequence)] for sequence in sequences]
    entropy = us.entropy_bitrate(us.unit_counts(sequences, 5), 50.0)
    assert us.collapsed_bitrate(sequences, 5, 50.0) == pytest.approx(entropy)
    assert us.collapsed_bitrate_with_durations(sequences, 5, 50.0) == pytest.approx(entropy)


def test_one_unit_alone_costs_only_how_long_it_lasts():
    sequences = [[3] * 8, [3] * 4]
    assert us.collapsed_bitrate(sequences, 5, 12.0) == 0
    assert us.collapsed_bitrate_with_durations(sequences, 5, 12.0) == pytest.approx(2)  # two runs of 1 bit in 1 s


def test_few_runs_look_cheaper_than_they_are_by_millers_bias():
    # 64 equally likely pairs (8 units, of 8 lengths each): 6 bits a run. Of 640 runs, (64 - 1) / (2 · 640 ln 2) = 0.071
    # bits are missing on average; 40 trials know that to within 0.002 (one deviates by sqrt(63 / 2) / (640 ln 2)).
    generator = np.random.default_rng(0)
    bits = [_bits_per_run(generator) for _ in range(40)]
    assert 6 - np.mean(bits) == pytest.approx(63 / (2 * 640 * math.log(2)), abs=0.008)


def _bits_per_run(generator):
    runs = zip(generator.integers(8, size=640), generator.integers(1, 9, size=640))
    sequences = [[unit] * length for unit, length in runs]  # an utterance each, so that none of them merge
    return us.collapsed_bitrate_with_durations(sequences, 8, 1.0) * sum(map(len, sequences)) / 640


def test_runs_may_come_from_an_iterator():
    assert us.collapsed_bitrate(iter(BY_HAND), 3, 50.0) == us.collapsed_bitrate(BY_HAND, 3, 50.0)


def test_prior_bitrate_of_a_uniform_prior_is_the_nominal_one():
    assert us.prior_bitrate(math.log2(512), 125.0) == us.nominal_bitrate(125.0, 512)


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
        (lambda: us.collapsed_bitrate([], 5, 50), "no units to score"),
        (lambda: us.collapsed_bitrate([[]], 5, 50), "no units to score"),
        (lambda: us.collapsed_bitrate([[0], [5]], 5, 50), "sequence 1 holds 5"),
        (lambda: us.collapsed_bitrate_with_durations([[0]], 5, 0), "unit_rate is 0"),
        (lambda: us.prior_bitrate(0, 50), "bits_per_unit is 0"),
        (lambda: us.prior_bitrate(3.5, -1), "unit_rate is -1"),
    ],
)
def test_measures_refuse_what_they_cannot_score(call, words):
    with pytest.raises(UnitsError, match=words):
        call()
