"""Bootstrap intervals against distributions that can be written down, and against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.uncertainty import bootstrap_interval, ratio_interval

VALUES = np.random.default_rng(1).gamma(2.0, size=40)


def test_two_items_have_three_means():
    # Samples of {0, 1} have the mean 0, 1/2, 1 in 1/4, 1/2, 1/4 of the cases. At the level 0.4 the ends are the
    # quantiles 0.3 and 0.7; of 1,000 draws fewer than 300 have the mean 0, 3.6 standard deviations above 250.
    def mean(picks):
        return picks.mean()

    assert bootstrap_interval(mean, 2, level=0.4) == (0.5, 0.5)
    assert bootstrap_interval(mean, 2, level=0.95) == (0.0, 1.0)


def test_interval_of_a_share_is_that_of_the_binomial_distribution():
    right = np.arange(200) < 60
    low, high = bootstrap_interval(lambda picks: right[picks].mean(), 200, draws=20_000)
    # The quantiles lie where 2.5% of the draws are beyond, to within 0.11% (one standard deviation of 20,000 draws):
    # less than one count of 200, whose probabilities there are about 0.9%.
    expected = scipy.stats.binom.ppf([0.025, 0.975], 200, 0.3) / 200
    np.testing.assert_allclose([low, high], expected, atol=1.01 / 200)


@pytest.mark.parametrize("statistic", [np.mean, np.median, np.std])
def test_interval_is_scipys(statistic):
    ours = bootstrap_interval(lambda picks: statistic(VALUES[picks]), len(VALUES), draws=4000, level=0.9, seed=5)
    theirs = scipy.stats.bootstrap(
        (VALUES,), statistic, n_resamples=4000, confidence_level=0.9, method="percentile", vectorized=True, axis=0,
        random_state=9,
    )  # fmt: skip
    # Two sets of 4,000 draws. An end's rank is off by sqrt(4000 * 0.05 * 0.95) = 14 draws, 7% of the tail of 200: less
    # than a tenth of the statistic's spread. Half of the spread would be a wrong level or a wrong tail.
    spread = theirs.standard_error
    np.testing.assert_allclose(ours, theirs.confidence_interval, atol=0.25 * spread)
    assert np.diff(ours) > 2.5 * spread  # 3.3 for a normal distribution


def test_interval_covers_the_truth_as_often_as_its_level_says():
    generator = np.random.default_rng(3)
    hits = 0
    for trial in range(200):
        sample = generator.standard_normal(50)
        low, high = bootstrap_interval(lambda picks, x=sample: x[picks].mean(), 50, draws=200, seed=trial, level=0.8)
        hits += low <= 0 <= high
    assert abs(hits / 200 - 0.8) < 0.1  # a standard deviation is 0.028; percentile intervals are 1% too short at n = 50


def test_same_seed_gives_the_same_interval_and_another_another():
    def interval(seed):
        return bootstrap_interval(lambda picks: VALUES[picks].mean(), 40, draws=100, seed=seed)

    assert interval(0) == interval(0) != interval(1)


def test_samples_without_a_figure_are_left_out():
    # Without the second item there is no figure; with it, the figure is 7.
    assert bootstrap_interval(lambda picks: 7.0 if 1 in picks else float("nan"), 3) == (7.0, 7.0)


def test_interval_refuses_what_tells_nothing():
    with pytest.raises(VQAudioError, match="over 1 items"):
        bootstrap_interval(lambda picks: 0.0, 1)
    with pytest.raises(VQAudioError, match="none of 1000 samples of the 2 items"):
        bootstrap_interval(lambda picks: float("nan"), 2)


def test_ratio_is_of_sums_not_a_mean_of_ratios():
    value, (low, high) = ratio_interval([1, 0], [1, 9])
    assert value == 0.1
    assert (low, high) == (0.0, 1.0)  # twice the second item, twice the first


def test_ratio_over_equal_weights_is_the_bootstrap_of_the_mean():
    value, interval = ratio_interval(VALUES, np.ones(40), seed=4)
    assert value == pytest.approx(VALUES.mean())
    expected = bootstrap_interval(lambda picks: VALUES[picks].mean(), 40, seed=4)
    assert interval == pytest.approx(expected)


def test_groups_are_drawn_whole():
    tops, bottoms = np.arange(6.0), np.arange(1.0, 7.0)
    groups = ["b", "a", "b", "c", "a", "c"]
    value, interval = ratio_interval(tops, bottoms, groups, seed=2)
    # By hand: b = items 0, 2; a = 1, 4; c = 3, 5.
    assert (value, interval) == ratio_interval([2.0, 5.0, 8.0], [4.0, 7.0, 10.0], seed=2)
    assert value == 15 / 21


def test_items_that_agree_within_a_group_do_not_narrow_its_interval():
    right = np.repeat([1.0, 0.0, 1.0, 0.0], 100)
    _, (low, high) = ratio_interval(right, np.ones(400), np.repeat(["a", "b", "c", "d"], 100))
    assert high - low == 1.0  # four speakers, all right or all wrong: one draw in 16 is of one kind alone
    _, (low, high) = ratio_interval(right, np.ones(400))
    assert high - low < 0.15  # 400 items: 4 · sqrt(0.25 / 400) = 0.1


def test_a_draw_without_denominators_is_left_out():
    value, (low, high) = ratio_interval([0.0, 1.0], [0.0, 4.0])
    assert (value, low, high) == (0.25, 0.25, 0.25)


def test_one_item_or_one_group_has_no_interval():
    assert ratio_interval([1], [4]) == (0.25, None)
    assert ratio_interval([1, 1], [4, 4], ["a", "a"]) == (0.25, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1, 2], [1]), r"numerators \(2,\) and denominators \(1,\)"),
        ((1, 2), r"numerators \(\) and"),
        (([], []), "sum to 0"),
        (([1, 2], [0, 0]), "sum to 0"),
        (([1, 2], [1, float("nan")]), "sum to nan"),
        (([1, 2], [1, 1], ["a"]), "1 groups for 2 items"),
    ],
)
def test_ratio_refuses(arguments, words):
    with pytest.raises(VQAudioError, match=words):
        ratio_interval(*arguments)
