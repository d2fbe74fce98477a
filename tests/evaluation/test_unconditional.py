"""What samples are like: against the measures called one by one, and against samples drawn by the sampler itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from tests.small import CODES, small_prior
from vqaudio.errors import UnitsError, VQAudioError
from vqaudio.evaluation import copying, diversity, unconditional
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.generation.prior import sample_units
from vqaudio.units.runs import collapse

RATE = 50.0


@pytest.fixture(scope="module")
def prior():
    return small_prior()


@pytest.fixture(scope="module")
def speech():
    """Sequences of few codes that last, in three groups: samples, held-out, training."""
    generator = np.random.default_rng(0)

    def utterance():
        return np.repeat(generator.integers(6, size=generator.integers(30, 60)), generator.integers(1, 4))

    return [[utterance() for _ in range(count)] for count in (8, 12, 20)]


@pytest.fixture(scope="module")
def described(speech):
    samples, heldout, train = speech
    return unconditional.describe_samples(samples, heldout, unconditional.index_training(train), 6, RATE)


def test_figures_are_those_of_the_measures(speech, described):
    samples, heldout, train = ([collapse(units)[0] for units in group] for group in speech)
    index = copying.TrainingIndex(train)
    assert described["self_bleu"].value == pytest.approx(diversity.self_bleu(samples))
    assert described["auto_bleu"].value == pytest.approx(np.mean(diversity.auto_bleus(samples)))
    assert described["vert"].value == pytest.approx(diversity.vert(samples))
    for suffix, group in (("", samples), ("_heldout", heldout)):
        assert described[f"copied_share{suffix}"].value == pytest.approx(copying.copied_share(group, index))
        assert described[f"loop_share{suffix}"].value == pytest.approx(copying.loop_share(group))
    lengths = [np.array([len(units) / RATE for units in group]) for group in speech]
    assert described["length_mean_seconds"].value == pytest.approx(lengths[0].mean())
    assert described["length_mean_seconds_heldout"].value == pytest.approx(lengths[1].mean())
    assert described["length_distance_seconds"].value == scipy.stats.wasserstein_distance(*lengths[:2])


def test_as_many_heldout_sequences_are_compared_as_samples(speech, described):
    heldout = [collapse(units)[0] for units in speech[1]]
    evenly = [heldout[i] for i in (0, 2, 3, 5, 6, 8, 9, 11)]  # 8 of 12
    assert described["self_bleu_heldout"].value == pytest.approx(diversity.self_bleu(evenly))
    assert described["vert_heldout"].value == pytest.approx(diversity.vert(evenly))


def test_intervals_hold_the_figures(described):
    without = {f"longest_copy_{unit}{suffix}" for unit in ("units", "seconds") for suffix in ("", "_heldout")}
    without.add("length_distance_seconds")
    assert {key for key, figure in described.items() if figure.interval is None} == without
    for key in set(described) - without:
        low, high = described[key].interval
        assert low <= described[key].value <= high, key


def test_the_longest_copy_is_the_one_of_most_units_and_lasts_as_long_as_they_do():
    # 1 2 3 4 is the longest of training, for 0.5 s and for 0.4 s; 5 6 lasts longer by holding 6.
    index = unconditional.index_training([[1, 2, 3, 4], [5, 6], [7]])
    samples = [[1, 2, 3, 3, 4, 0, 5, 6, 6, 6, 6, 6, 6, 0, 1, 2, 3, 4], [7, 0]]
    described = unconditional.describe_samples(samples, samples, index, 8, unit_rate=10)
    assert described["longest_copy_units"].value == 4
    assert described["longest_copy_seconds"].value == pytest.approx(0.5)


def test_the_same_as_heldout_is_at_no_distance(speech):
    index = unconditional.index_training(speech[2])
    described = unconditional.describe_samples(speech[1], speech[1], index, 6, RATE)
    assert described["length_distance_seconds"].value == 0
    assert 0 < described["length_distance_seconds_heldout"].value < 0.5
    for key in ("self_bleu", "auto_bleu", "vert", "copied_share", "longest_copy_seconds", "loop_share"):
        assert described[key] == described[f"{key}_heldout"]


def test_training_utterances_in_a_loop_are_copies_and_loops(speech):
    train = speech[2]
    described = unconditional.describe_samples(
        [train[0], train[1]], speech[1], unconditional.index_training(train), 6, RATE
    )
    assert described["copied_share"].value == 1
    assert described["longest_copy_seconds"].value == max(len(train[0]), len(train[1])) / RATE
    stuck = [np.tile(np.arange(5), 20)] * 2
    described = unconditional.describe_samples(stuck, speech[1], unconditional.index_training(train), 6, RATE)
    assert described["loop_share"].value == described["auto_bleu"].value == described["self_bleu"].value == 1
    assert described["loop_share_heldout"].value < 0.5


def test_heldout_is_cut_where_the_samples_were(speech):
    samples, heldout, train = speech
    index = unconditional.index_training(train)
    described = unconditional.describe_samples(samples, heldout, index, 6, RATE, max_seconds=0.51)
    by_hand = unconditional.describe_samples(samples, [units[:25] for units in heldout], index, 6, RATE)
    assert described == by_hand
    assert described["length_mean_seconds_heldout"].value == pytest.approx(0.5)


def test_samples_without_units_count_for_the_lengths_alone(speech):
    samples, heldout, train = speech
    index = unconditional.index_training(train)
    described = unconditional.describe_samples(samples, heldout, index, 6, RATE)
    with_empty = unconditional.describe_samples([*samples, []], heldout, index, 6, RATE)
    assert with_empty["copied_share"] == described["copied_share"]
    assert with_empty["length_mean_seconds"].value == pytest.approx(described["length_mean_seconds"].value * 8 / 9)


def test_too_few_to_compare(speech):
    index = unconditional.index_training(speech[2])
    for samples, heldout in (([[1], []], speech[1]), (speech[0], []), ([], speech[1])):
        with pytest.raises(NotMeasured, match="expected 2 or more of both"):
            unconditional.describe_samples(samples, heldout, index, 6, RATE)
    with pytest.raises(UnitsError, match="sequence 0 holds 6"):
        unconditional.describe_samples([[6], [1]], speech[1], index, 6, RATE)


def test_a_sweep_draws_what_the_sampler_draws(prior):
    drawn = unconditional.sweep(prior, RATE, temperatures=(0.5, 1.0), num=5, max_seconds=0.61, seed=3)
    assert list(drawn) == [0.5, 1.0]
    for temperature, samples in drawn.items():
        expected = sample_units(prior, 5, [0, 1, 0, 1, 0], max_units=30, seed=3, temperature=temperature)
        assert [s.units.tolist() for s in samples] == [units.tolist() for units in expected]
        assert [s.speaker for s in samples] == [0, 1, 0, 1, 0]
    assert drawn[0.5][0].units.tolist() != drawn[1.0][0].units.tolist()


def test_a_sample_ended_when_a_longer_limit_does_not_change_it(prior):
    options = {"temperatures": (1.0,), "num": 40, "speakers": [1]}
    short = unconditional.sweep(prior, RATE, max_seconds=8 / RATE, **options)[1.0]
    long = unconditional.sweep(prior, RATE, max_seconds=9 / RATE, **options)[1.0]
    for before, after in zip(short, long, strict=True):
        if before.ended:
            assert before.units.tolist() == after.units.tolist()
        else:
            assert len(before.units) == 8
    assert {sample.ended for sample in short} == {True, False}
    assert {sample.speaker for sample in short} == {1}
    share = unconditional.ended_share(short)
    assert share.value == pytest.approx(sum(sample.ended for sample in short) / 40)
    # The binomial's: about ± 2 √(p (1 - p) / 40), bootstrapped; half and twice that are out of the question.
    width = 4 * math.sqrt(share.value * (1 - share.value) / 40)
    assert width / 2 < share.interval[1] - share.interval[0] < 2 * width


def test_an_ended_sample_ended_with_the_boundary(prior):
    """Every unit may end the utterance: with the boundary the only symbol left, all end, after none."""
    import copy

    import torch

    stopping, endless = copy.deepcopy(prior), copy.deepcopy(prior)
    with torch.no_grad():
        stopping.stack.output.bias[CODES] += 1000
        endless.stack.output.bias[CODES] -= 1000
    for model, ended, length in ((stopping, 1, 0), (endless, 0, 20)):
        samples = unconditional.sweep(model, RATE, temperatures=(1.0,), num=4, max_seconds=0.4)[1.0]
        assert unconditional.ended_share(samples).value == ended
        assert [len(sample.units) for sample in samples] == [length] * 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperatures": ()}, "0 temperatures"),
        ({"num": 0}, "0 samples"),
        ({"speakers": []}, "0 speakers"),
        ({"speakers": [7]}, "speaker 7"),
        ({"max_seconds": 0.001}, "max_units"),
        ({"temperatures": (-1.0,)}, "temperature"),
    ],
)
def test_sweeps_that_cannot_be_drawn(prior, options, words):
    with pytest.raises(VQAudioError, match=words):
        unconditional.sweep(prior, RATE, **{"num": 2, **options})
    with pytest.raises(NotMeasured, match="no samples"):
        unconditional.ended_share([])
