"""Longest common runs and loops against plain search, cases by hand, and laws."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.errors import UnitsError
from vqaudio.evaluation import copying
from vqaudio.evaluation.copying import TrainingIndex

UTTERANCES = st.integers(1, 4).flatmap(  # of few codes, so that long runs are shared, to many
    lambda codes: st.tuples(*[st.lists(st.lists(st.integers(0, codes), max_size=20), max_size=6) for _ in range(2)])
)


def plain_match(sample, train, start):
    """The longest run from `start` that lies in one training utterance, by trying all."""
    for length in range(len(sample) - start, 0, -1):
        run = list(sample[start : start + length])
        if any(list(units[i : i + length]) == run for units in train for i in range(len(units) - length + 1)):
            return length
    return 0


@given(UTTERANCES.filter(lambda sets: any(sets[0])))
@settings(max_examples=150)
def test_matches_are_those_of_trying_all(sets):
    train, samples = sets
    found = TrainingIndex(train).match_lengths(samples)
    assert [lengths.tolist() for lengths in found] == [
        [plain_match(sample, train, start) for start in range(len(sample))] for sample in samples
    ]


def test_matches_of_longer_sequences():
    generator = np.random.default_rng(0)
    train = [generator.integers(3, size=n) for n in (1, 700, 300)]
    pieces = [train[1][50:400], generator.integers(3, size=40), train[2][-60:], train[1][:20]]
    sample = np.concatenate(pieces).tolist()
    lengths = TrainingIndex(train).match_lengths([sample])[0]
    text = "|".join("".join(map(str, units)) for units in train)
    for start, length in enumerate(lengths):
        run = "".join(map(str, sample[start:]))
        assert run[:length] in text
        assert length == len(run) or run[: length + 1] not in text
    assert lengths[0] >= 350
    assert lengths[390] >= 60


def test_runs_do_not_cross_borders():
    index = TrainingIndex([[0, 1, 2], [3, 4, 5]])
    assert index.match_lengths([[1, 2, 3, 4], [9], [], [2]])[0].tolist() == [2, 1, 2, 1]
    # Nor those of a sample into the next.
    assert [m.tolist() for m in index.match_lengths([[0, 1], [2], [9]])] == [[2, 1], [1], [0]]


def test_copied_share_by_hand():
    index = TrainingIndex([[0, 1, 2, 3, 4], [7, 8, 9]])
    sample = [0, 1, 2, 3, 5, 7, 8, 6]  # a run of 4 and one of 2; 6 and 5 are new
    assert index.match_lengths([sample])[0].tolist() == [4, 3, 2, 1, 0, 2, 1, 0]
    assert copying.copied_share([sample], index, at_least=4) == 4 / 8
    assert copying.copied_share([sample], index, at_least=2) == 6 / 8
    assert copying.copied_share([sample], index, at_least=5) == 0
    assert copying.copied_share([sample, [0, 1]], index, at_least=2) == 8 / 10
    assert copying.longest_copy(sample, index) == 4
    assert copying.longest_copy([5, 6], index) == copying.longest_copy([], index) == 0


def test_copied_runs_overlap():
    # 0 1 2 and 1 2 5 are runs of training, their union is not.
    index = TrainingIndex([[0, 1, 2], [1, 2, 5]])
    assert copying.copied_units(index.match_lengths([[0, 1, 2, 5, 5]])[0], 3).tolist() == [True] * 4 + [False]


def test_training_is_copied_and_other_units_are_not():
    train = [np.random.default_rng(i).integers(100, size=80) for i in range(5)]
    index = TrainingIndex(train)
    assert copying.copied_share(train, index) == 1
    assert [copying.longest_copy(units, index) for units in train] == [80] * 5
    assert copying.copied_share([units + 100 for units in train], index, at_least=1) == 0
    # Two random units match by chance at one of 400 places with 1 / 100: ten never do.
    assert copying.copied_share([np.random.default_rng(9).integers(100, size=80)], index) == 0


@pytest.mark.parametrize("codes", [2, 500])
def test_time_grows_little_with_the_training_set_whatever_its_units(codes):
    generator = np.random.default_rng(0)
    train = (generator.integers(codes, size=(300, 1)) + np.arange(1000)) % codes  # cycles, all alike
    started = time.process_time()
    lengths = TrainingIndex(train).match_lengths(train[:8, 200:600])
    assert np.concatenate(lengths).max() == 400
    # About 1 s. Trying all places would take 8 · 400 · 300000 comparisons, and more where they are long.
    assert time.process_time() - started < 15


def plain_loops(units, longest_period, repetitions):
    """Mark every stretch of `repetitions` equal cycles, by trying all."""
    looped = [False] * len(units)
    for period in range(1, longest_period + 1):
        for start in range(len(units) - period * repetitions + 1):
            if list(units[start : start + period]) * repetitions == list(units[start : start + period * repetitions]):
                looped[start : start + period * repetitions] = [True] * (period * repetitions)
    return looped


@given(st.lists(st.integers(0, 2), max_size=30), st.integers(1, 12), st.integers(2, 4))
@settings(max_examples=200)
def test_loops_are_those_of_trying_all(units, longest_period, repetitions):
    found = copying.looped_units(units, longest_period, repetitions)
    assert found.tolist() == plain_loops(units, longest_period, repetitions)


def test_loop_share_by_hand():
    word = [4, 9, 2, 7]
    assert copying.loop_share([word * 3]) == 1
    assert copying.loop_share([word * 2]) == 0  # once more, and it would be a loop
    assert copying.loop_share([[1, *word * 3, 4, 9, 8]]) == 14 / 16  # what is begun of a fourth is part of it
    assert copying.loop_share([word * 3, range(12)]) == 0.5
    assert copying.loop_share([word * 3], longest_period=3) == 0
    assert copying.loop_share([word * 3], repetitions=4) == 0


def test_random_units_do_not_loop():
    # Without runs the shortest loop is a b a b a b, of chance 512^-4 at each of 1000 places.
    units = np.random.default_rng(0).integers(512, size=1000)
    assert copying.loop_share([units[np.diff(units, prepend=-1) != 0]]) == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: TrainingIndex([[], []]), "no training units"),
        (lambda: TrainingIndex([[0.5]]), "type float64"),
        (lambda: TrainingIndex([[1]]).match_lengths([[-1]]), "expected integers"),
        (lambda: copying.copied_share([[]], TrainingIndex([[1]])), "no units in the samples"),
        (lambda: copying.copied_share([[1]], TrainingIndex([[1]]), 0), "at least 0 units"),
        (lambda: copying.loop_share([]), "no units to look for loops in"),
        (lambda: copying.loop_share([[1]], 0), "loops of up to 0 units"),
        (lambda: copying.loop_share([[1]], 5, 1), "1 times"),
        (lambda: copying.loop_share([[-3]]), "expected integers"),
    ],
)
def test_what_cannot_be_searched_is_refused(call, words):
    with pytest.raises(UnitsError, match=words):
        call()
