"""Mutual information and purities: by hand, in the limits, and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vqaudio.errors import UnitsError
from vqaudio.evaluation.alignments import Segment
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.purity import (
    cluster_purity,
    phone_normalised_mutual_information,
    phone_purity,
    speaker_interval,
)
from vqaudio.evaluation.unit_set import UnitSet

COUNTS = hnp.arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(2, 7)), elements=st.integers(0, 20)).filter(
    lambda counts: np.count_nonzero(counts.sum(axis=0)) > 1
)
METRICS = [phone_normalised_mutual_information, phone_purity, cluster_purity]


def test_by_hand():
    # Three codes on two phones, 8 units in all.
    counts = [[2, 0], [1, 1], [0, 4]]
    # H(phone) of 3/8 and 5/8 is 0.9544 bit. Given the code: codes 0 and 2 leave 0 bit, code 1 (2 of 8 units) leaves 1,
    # so H(phone | code) = 0.25 bit.
    entropy = -(3 / 8 * math.log2(3 / 8) + 5 / 8 * math.log2(5 / 8))
    assert phone_normalised_mutual_information(counts) == pytest.approx(1 - 0.25 / entropy)
    assert phone_normalised_mutual_information(counts) == pytest.approx(0.7381, abs=5e-5)
    assert phone_purity(counts) == 7 / 8  # 2 + 1 + 4 units on the commonest phone of their code
    assert cluster_purity(counts) == 6 / 8  # 2 and 4 with the commonest code of their phone


@settings(deadline=None)  # the first import takes its time
@given(COUNTS)
def test_the_information_is_scikit_learns(counts):
    metrics = pytest.importorskip("sklearn.metrics")
    codes, phones = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    found = phone_normalised_mutual_information(counts)
    share = np.bincount(phones) / phones.size
    entropy = -sum(p * math.log(p) for p in share if p > 0)
    # Sums of at most 63 terms in float64; the entropies are 0.02 nats or more.
    assert found == pytest.approx(metrics.mutual_info_score(phones, codes) / entropy, abs=1e-9)
    assert found == pytest.approx(metrics.homogeneity_score(phones, codes), abs=1e-9)


@given(COUNTS)
def test_purities_are_means_over_units(counts):
    pairs = [(c, p) for c, row in enumerate(counts) for p, n in enumerate(row) for _ in range(n)]
    assert phone_purity(counts) == pytest.approx(np.mean([counts[c].max() / counts[c].sum() for c, _ in pairs]))
    columns = counts.T
    assert cluster_purity(counts) == pytest.approx(np.mean([columns[p].max() / columns[p].sum() for _, p in pairs]))


@given(COUNTS)
def test_what_does_not_occur_does_not_matter(counts):
    padded = np.pad(counts, ((1, 2), (2, 1)))
    for metric in METRICS:
        assert metric(padded) == pytest.approx(metric(counts), abs=1e-12)


def test_units_that_are_the_phones_reach_the_top_of_all():
    assert [metric(np.diag([3, 1, 4])) for metric in METRICS] == pytest.approx([1, 1, 1])


def test_more_codes_than_phones_cost_cluster_purity_alone():
    assert [metric([[3, 0], [3, 0], [0, 2], [0, 4]]) for metric in METRICS] == pytest.approx([1, 1, 7 / 12])


def test_independent_units_tell_nothing():
    counts = np.outer([1, 2, 3], [4, 2])
    assert [metric(counts) for metric in METRICS] == pytest.approx([0, 2 / 3, 1 / 2], abs=1e-12)


def test_few_independent_units_seem_to_tell_what_the_module_says():
    # 64 codes, 10 phones, 2,000 units: 63 · 9 / 4,000 nats = 0.142 on average, with a standard deviation of 0.008
    # (2n times the information is about chi-squared of 567 degrees of freedom); 20 drawings leave 0.002 of it.
    generator = np.random.default_rng(0)
    cells = [generator.integers(640, size=2000) for _ in range(20)]
    found = [phone_normalised_mutual_information(np.bincount(c, minlength=640).reshape(64, 10)) for c in cells]
    # Four times 0.002 of chance, and 0.01 for the next term of the expansion.
    assert np.mean(found) * math.log(10) == pytest.approx(63 * 9 / 4000, abs=0.018)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([1, 2], r"shape \(2,\)"),
        ([[0.5, 0.5]], "type float64"),
        ([[0, 0]], "sum to 0"),
        ([[3, -1]], "expected 0 or more"),
        (np.zeros((0, 3), dtype=int), "sum to 0"),
    ],
)
def test_what_is_no_counts_is_refused(metric, counts, words):
    with pytest.raises(UnitsError, match=words):
        metric(counts)


def test_one_phone_alone_has_no_information_to_share():
    with pytest.raises(NotMeasured, match="one phone alone"):
        phone_normalised_mutual_information([[3, 0], [2, 0]])


def material(rows: dict[str, list[tuple[int, str]]]):
    units = UnitSet({id: np.array([code for code, _ in row]) for id, row in rows.items()}, 4, 1.0)
    segments = {id: [Segment(n, n + 1.0, phone) for n, (_, phone) in enumerate(row)] for id, row in rows.items()}
    return units, segments, {id: id for id in rows}


def test_the_interval_of_a_mean_is_students():
    # A share of equally long speakers is the mean of theirs, whose jackknife error is the usual standard error.
    shares = [3, 5, 4, 8, 5]
    rows = {f"s{n}": [(0, "a")] * share + [(1, "b")] * (10 - share) for n, share in enumerate(shares)}
    low, high = speaker_interval(lambda counts: counts[0, 0] / counts.sum(), *material(rows))
    error = np.std(np.array(shares) / 10, ddof=1) / math.sqrt(5)
    assert (low, high) == pytest.approx((0.5 - 2.776445 * error, 0.5 + 2.776445 * error), abs=1e-6)  # t of 4, 97.5%


def test_speakers_who_are_all_the_same_leave_no_doubt_and_no_interval_leaves_the_range():
    same = {f"s{n}": [(0, "a"), (0, "b"), (1, "b")] for n in range(3)}
    assert speaker_interval(phone_purity, *material(same)) == pytest.approx((2 / 3, 2 / 3))
    other = {"s1": [(0, "a")] * 9, "s2": [(0, "a"), (0, "b")] * 4}
    low, high = speaker_interval(phone_purity, *material(other))
    assert low == 0 and high == 1


def test_no_interval_of_one_speaker():
    with pytest.raises(NotMeasured, match="1 speaker"):
        speaker_interval(phone_purity, *material({"s1": [(0, "a"), (1, "b")]}))
