"""Kneser-Ney against a dictionary of counts, a case by hand, and the limits of chance and certainty."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.errors import UnitsError
from vqaudio.evaluation.ngram import KneserNey, ngram_bits_per_unit

CODES = 4
UTTERANCES = st.lists(st.lists(st.integers(0, CODES - 1), max_size=12), min_size=1, max_size=6).filter(any)
CONTEXT = st.lists(st.integers(0, CODES - 1), max_size=5)
ORDERS = st.integers(1, 4)


def by_dictionary(train, context, unit, order, codes):
    """p(unit | context) by the formula of Chen and Goodman 1999, section 2.7, a count at a time."""
    counts = {order: Counter()}
    for utterance in train:
        symbols = [codes] * (order - 1) + list(utterance)
        counts[order].update(tuple(symbols[i : i + order]) for i in range(len(utterance)))
    for length in range(order - 1, 0, -1):
        before = defaultdict(set)
        for gram in counts[length + 1]:
            before[gram[1:]].add(gram[0])
        counts[length] = Counter({gram: len(symbols) for gram, symbols in before.items()})
    history = ([codes] * (order - 1) + list(context))[len(context) :]
    p = 1 / codes
    for length in range(1, order + 1):
        c = counts[length]
        ones, twos = list(c.values()).count(1), list(c.values()).count(2)
        d = ones / (ones + 2 * twos) if ones else 0.5
        h = tuple(history[len(history) - length + 1 :])
        following = {gram[-1]: n for gram, n in c.items() if gram[:-1] == h}
        if following:
            total = sum(following.values())
            p = max(following.get(unit, 0) - d, 0) / total + d * len(following) / total * p
    return p


@given(UTTERANCES, CONTEXT, ORDERS)
@settings(max_examples=150)
def test_probabilities_are_those_of_the_dictionary_and_sum_to_one(train, context, order):
    p = KneserNey(order, CODES).fit(train).probabilities(context)
    expected = [by_dictionary(train, context, unit, order, CODES) for unit in range(CODES)]
    assert p == pytest.approx(expected, rel=1e-12)  # the same few float64 operations in another order
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p.min() > 0


@given(UTTERANCES, UTTERANCES, ORDERS)
@settings(max_examples=50)
def test_bits_of_an_utterance_are_those_of_its_units_one_by_one(train, heldout, order):
    model = KneserNey(order, CODES).fit(train)
    for units in heldout:
        steps = [-math.log2(model.probabilities(units[:n])[unit]) for n, unit in enumerate(units)]
        assert model.bits(units) == pytest.approx(np.array(steps), rel=1e-12)
    total = sum(map(len, heldout))
    assert ngram_bits_per_unit(train, heldout, CODES, order) == pytest.approx(
        model.utterance_bits(heldout).sum() / total
    )


def test_a_bigram_by_hand():
    # Training "0 1 0 1 2", begin symbol ^, three codes. Bigrams: ^0 once, 01 twice, 10 once, 12 once.
    #   n1 = 3, n2 = 1: D2 = 3 / (3 + 2·1) = 0.6.
    # Continuation counts N1+(• u): 0 after ^ and 1: 2; 1 after 0: 1; 2 after 1: 1. Together 4.
    #   n1 = 2, n2 = 1: D1 = 2 / (2 + 2·1) = 0.5.
    # Lowest order, three units seen: p(0) = 1.5/4 + 0.5·3/4/3 = 0.5, p(1) = p(2) = 0.5/4 + 0.125 = 0.25.
    model = KneserNey(2, 3).fit([[0, 1, 0, 1, 2]])
    # After 1 (twice, two kinds): what was seen has 0.4/2 = 0.2, and 0.6·2/2 = 0.6 is left for the lower order.
    assert model.probabilities([1]) == pytest.approx(np.array([0.2 + 0.6 * 0.5, 0.6 * 0.25, 0.2 + 0.6 * 0.25]))
    # After 0 (twice, one kind): 1 has 1.4/2 = 0.7, and 0.6·1/2 = 0.3 is left.
    assert model.probabilities([2, 0]) == pytest.approx(np.array([0.3 * 0.5, 0.7 + 0.3 * 0.25, 0.3 * 0.25]))
    # 2 was never followed by anything: the lower order alone.
    assert model.probabilities([2]) == pytest.approx(np.array([0.5, 0.25, 0.25]))
    # At the beginning: 0 has 0.4/1, and 0.6 is left.
    assert model.probabilities() == pytest.approx(np.array([0.4 + 0.6 * 0.5, 0.6 * 0.25, 0.6 * 0.25]))
    assert model.bits([0, 1]) == pytest.approx(-np.log2([0.7, 0.775]))


def test_a_code_that_training_lacks_is_possible_even_where_nothing_occurs_once():
    # Each unigram has a continuation count of 2 or more, so that n1 = 0 and D has no estimate.
    model = KneserNey(1, 3).fit([[0, 0, 1, 1]])
    assert model.probabilities() == pytest.approx(np.array([1.5, 1.5, 0]) / 4 + 0.5 * 2 / 4 / 3)


@pytest.mark.parametrize("order", [2, 3])
def test_random_units_cost_what_they_cost_without_a_model(order):
    generator = np.random.default_rng(0)
    train, heldout = generator.integers(16, size=(200, 1000)), generator.integers(16, size=(20, 1000))
    bits = ngram_bits_per_unit(train, heldout, 16, order)
    # 12 or more counts a parameter: about 1 / (2 · 12 · ln 2) = 0.06 bits are lost for a trigram by estimating them.
    assert 3.99 < bits < (4.01 if order == 2 else 4.08)


@pytest.mark.parametrize("order", [2, 3])
def test_a_sequence_that_goes_by_rule_costs_nothing(order):
    cycle = np.tile(np.arange(50), 40)
    assert ngram_bits_per_unit([cycle], [cycle[7:500]], 64, order) < 0.2
    # The first unit is a surprise: training began elsewhere.
    assert KneserNey(order, 64).fit([cycle]).bits(cycle[7:500])[0] > 5


def test_a_trigram_knows_what_a_bigram_cannot():
    # The unit after 0 is told by the one before it.
    pattern = np.tile([1, 0, 1, 2, 0, 2], 100)
    assert ngram_bits_per_unit([pattern], [pattern], 3, 3) < 0.1 < 0.5 < ngram_bits_per_unit([pattern], [pattern], 3, 2)


@pytest.mark.parametrize("codes", [512, 2048])
def test_a_million_units_take_seconds(codes):
    train = np.random.default_rng(0).zipf(1.3, size=(500, 2000)) % codes
    started = time.process_time()
    ngram_bits_per_unit(train, train[:50], codes, 3)
    # Under 1 s; a Python loop over units would take tens of seconds.
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: KneserNey(0, 8), "order 0 over 8 codes"),
        (lambda: KneserNey(6, 2048), "order 6 over 2048 codes"),
        (lambda: KneserNey(2, 8).fit([[]]), "no units to learn"),
        (lambda: KneserNey(2, 8).fit([[1], [8]]), "sequence 1 holds 8"),
        (lambda: KneserNey(2, 8).bits([1]), "fit the model first"),
        (lambda: KneserNey(2, 8).fit([[1]]).bits([-1]), "holds -1"),
        (lambda: ngram_bits_per_unit([[1]], [], 8, 2), "no held-out units"),
        (lambda: ngram_bits_per_unit([[1]], [[[1]]], 8, 2), r"shape \(1, 1\)"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, words):
    with pytest.raises(UnitsError, match=words):
        call()
