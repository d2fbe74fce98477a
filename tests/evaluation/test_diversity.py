"""auto-BLEU and self-BLEU against plain counting, sacrebleu, and cases by hand."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.errors import UnitsError
from vqaudio.evaluation import diversity
from vqaudio.units.runs import collapse

SEQUENCE = st.lists(st.integers(0, 5), max_size=15)
GROUP = st.lists(SEQUENCE, min_size=2, max_size=6)
ORDERS = st.integers(1, 4)


def grams(sequence, n):
    return [tuple(sequence[i : i + n]) for i in range(len(sequence) - n + 1)]


def plain_self_bleu(sequences, n):
    """BLEU of each against all others, a sequence at a time."""
    scores = []
    for place, sequence in enumerate(sequences):
        others = [Counter()] + sequences[:place] + sequences[place + 1 :]
        product = 1.0
        for length in range(1, n + 1):
            own = Counter(grams(sequence, length))
            most = {gram: max(grams(list(other), length).count(gram) for other in others) for gram in own}
            matches = sum(min(count, most[gram]) for gram, count in own.items())
            product *= matches / max(1, sum(own.values()))
        scores.append(product ** (1 / n))
    return scores


@given(GROUP, ORDERS)
@settings(max_examples=100)
def test_self_bleu_is_that_of_plain_counting(sequences, n):
    assert diversity.self_bleus(sequences, n) == pytest.approx(plain_self_bleu(sequences, n), abs=1e-12)


@pytest.mark.parametrize("n", [2, 4])
def test_bleu_is_sacrebleus(n):
    bleu_module = pytest.importorskip("sacrebleu.metrics.bleu")
    generator = np.random.default_rng(0)
    sequences = [generator.integers(2, size=length).tolist() for length in (9, 20, 30, 31, 50, 60)]
    texts = [" ".join(map(str, sequence)) for sequence in sequences]
    bleu = bleu_module.BLEU(tokenize="none", smooth_method="none", max_ngram_order=n)
    scores = [bleu.sentence_score(text, texts[:i] + texts[i + 1 :]) for i, text in enumerate(texts)]
    with_penalty = diversity.self_bleus(sequences, n, brevity_penalty=True)
    assert 100 * with_penalty == pytest.approx([score.score for score in scores], abs=1e-9)
    without = diversity.self_bleus(sequences, n)
    # GSLM's is the same without the penalty.
    assert 100 * without == pytest.approx([100 * math.prod(p / 100 for p in s.precisions) ** (1 / n) for s in scores])
    assert with_penalty[0] < without[0]  # the shortest is the one that is penalised


def test_the_penalty_takes_the_shorter_of_two_lengths_that_are_as_near():
    # 3 units between 2 and 4: the reference length is 2, and there is no penalty.
    assert diversity.self_bleus([[0, 1], [0, 1, 2], [0, 1, 2, 3]], 1, brevity_penalty=True)[1] == 1


def plain_auto_bleu(sequence, n):
    """The mean over n-gram lengths of the formula in Lakhotia et al. 2021, an n-gram at a time."""
    shares = []
    for length in range(1, n + 1):
        found = grams(sequence, length)
        again = [gram in found[:i] + found[i + 1 :] for i, gram in enumerate(found)]
        shares.append(sum(again) / max(1, len(again)))
    return math.prod(shares) ** (1 / n)


@given(SEQUENCE, ORDERS)
def test_auto_bleu_is_its_formula(sequence, n):
    assert diversity.auto_bleu(sequence, n) == pytest.approx(plain_auto_bleu(sequence, n), abs=1e-12)


@given(GROUP)
def test_auto_bleu_of_many_is_that_of_each(sequences):
    np.testing.assert_array_equal(diversity.auto_bleus(sequences), [diversity.auto_bleu(s) for s in sequences])


@given(SEQUENCE)
def test_without_runs_repetitions_that_overlap_make_no_difference(sequence):
    """GSLM's code looks for a bigram only in what lies before it and what lies after it."""
    units = collapse(sequence)[0].tolist()
    bigrams = grams(units, 2)
    apart = [gram in grams(units[:i], 2) + grams(units[i + 2 :], 2) for i, gram in enumerate(bigrams)]
    singles = [units.count(unit) > 1 for unit in units]
    expected = math.sqrt(np.mean(singles) * np.mean(apart)) if bigrams else 0
    assert diversity.auto_bleu(units) == pytest.approx(expected, abs=1e-12)


def test_by_hand():
    # Unigrams of 0 1 0 1 2: four of five occur again. Bigrams 01 10 01 12: two of four.
    assert diversity.auto_bleu([0, 1, 0, 1, 2]) == pytest.approx(math.sqrt(4 / 5 * 2 / 4))
    # 0 0 1 against 0 1 2: one 0 and the 1 of three, 01 of two; back: 0 and 1 of three, 01 of two.
    assert diversity.self_bleu([[0, 0, 1], [0, 1, 2]]) == pytest.approx(math.sqrt(2 / 3 * 1 / 2))
    both = [[0, 1, 0, 1, 2], [0, 1, 0, 1, 2]]
    assert diversity.vert(both) == pytest.approx(math.sqrt(1 * math.sqrt(4 / 5 * 2 / 4)))


def test_the_ends():
    assert diversity.self_bleu([[3, 1, 4, 1]] * 5) == 1  # all the same
    assert diversity.self_bleu([[0, 1], [2, 3], [4, 5]]) == 0  # nothing in common
    assert diversity.auto_bleu([7] * 9) == 1
    assert diversity.auto_bleu(range(9)) == 0
    assert diversity.auto_bleu([5]) == diversity.auto_bleu([]) == 0  # too short for a bigram
    assert diversity.vert([range(9)] * 2) == 0


def test_units_are_numbers_alone():
    generator = np.random.default_rng(0)
    sequences = [generator.integers(8, size=40) for _ in range(4)]
    other_names = generator.permutation(1_000_000)[:8]
    renamed = [other_names[s] for s in sequences]
    assert diversity.vert(renamed) == diversity.vert(sequences) > 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: diversity.self_bleu([[1, 2]]), "self-BLEU of 1 sequences"),
        (lambda: diversity.vert([]), "self-BLEU of 0 sequences"),
        (lambda: diversity.auto_bleu([1, 2], 0), "length 0"),
        (lambda: diversity.auto_bleu([0.5]), "type float64"),
        (lambda: diversity.auto_bleu([[1]]), r"shape \(1, 1\)"),
        (lambda: diversity.self_bleu([[1], [-1]]), "expected integers"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, words):
    with pytest.raises(UnitsError, match=words):
        call()
