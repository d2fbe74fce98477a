"""What counting alone costs, against its definition."""

import numpy as np
import pytest
import torch

from vqaudio.models.distributions import MixtureOfLogistics, MuLawSoftmax
from vqaudio.training.frequencies import BINS, Frequencies, sample_frequencies


def test_bits_are_those_of_laplaces_rule_over_what_came_before():
    random = np.random.default_rng(0)
    first, second = random.integers(0, 5, (2, 3, 40))
    frequencies = Frequencies(5)
    for symbols in (first, second):
        counts = frequencies.count(torch.from_numpy(symbols))
        bits = float(frequencies.bits(counts))
        if symbols is first:
            assert bits == pytest.approx(np.log2(5), rel=1e-6)  # nothing came before: an even guess
        frequencies.take(counts)
    share = (np.bincount(first.ravel(), minlength=5) + 1) / (first.size + 5)
    assert bits == pytest.approx(-np.log2(share[second]).mean(), rel=1e-6)  # float32
    assert np.array_equal(frequencies.counts, np.bincount(np.r_[first.ravel(), second.ravel()], minlength=5))


def test_what_is_beyond_the_end_does_not_count():
    frequencies = Frequencies(3)
    assert frequencies.count(torch.tensor([[0, 2, 3], [2, 3, 3]])).tolist() == [1, 0, 2]
    nothing = frequencies.count(torch.tensor([3, 3]))
    assert float(frequencies.bits(nothing)) == 0


def test_an_even_guess_is_among_all_outcomes():
    assert sample_frequencies(MuLawSoftmax(64)).chance == 6
    assert sample_frequencies(MixtureOfLogistics()).chance == pytest.approx(16, abs=1e-6)  # widths are float32
    assert Frequencies(513).chance == pytest.approx(np.log2(513))


def test_levels_of_16_bits_are_guessed_evenly_within_their_bin():
    distribution = MixtureOfLogistics()
    frequencies = sample_frequencies(distribution)
    loud = torch.full((1, 8), 255)  # the outermost bin, of many levels, and the one of silence, of few
    wide = float(frequencies.bits(frequencies.count(loud)))
    narrow = float(frequencies.bits(frequencies.count(torch.full((1, 8), 128))))
    assert 0 <= narrow - np.log2(BINS) < 5 < wide - np.log2(BINS) < 12
