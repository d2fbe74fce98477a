"""The comparison of engines' draws excuses what rounding does, and nothing else."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.generation.same_draws import assert_same_draws
from vqaudio.models.distributions import Categorical, MixtureOfLogistics
from vqaudio.models.sampling import Draw

HALVES = torch.tensor([0.5, 0.25, 0.0, 0.25]).log().expand(1, 3, 4)
"""Logits of four classes, of which one is never drawn, in three steps: borders lie at 0.5 and 0.75."""
classes = Draw(Categorical(4))


def uniforms(*values: float) -> Tensor:
    return torch.tensor(values)[None, :, None]


def test_equal_draws_are_compared_to_the_end():
    a = torch.tensor([[0, 1, 3]])
    assert assert_same_draws(a, a, HALVES, uniforms(0.2, 0.6, 0.9), classes) == 1


@pytest.mark.parametrize("uniform", [0.500005, 0.499995])
def test_the_class_on_the_other_side_of_a_near_border_is_excused_and_all_that_follows(uniform):
    a, b = torch.tensor([[0, int(uniform > 0.5), 3]]), torch.tensor([[0, int(uniform < 0.5), 2]])
    share = assert_same_draws(a, b, HALVES, uniforms(0.2, uniform, 0.9), classes)
    assert share == pytest.approx(1 / 3)


def test_a_class_away_from_the_border_is_not_excused():
    a, b = torch.tensor([[0, 1, 3]]), torch.tensor([[0, 0, 3]])
    with pytest.raises(AssertionError, match="row 0, step 1: 1 and 0"):
        assert_same_draws(a, b, HALVES, uniforms(0.2, 0.5002, 0.9), classes)


@pytest.mark.parametrize(
    ("draw", "never"), [(classes, 2), (Draw(Categorical(4), top_k=1), 1)], ids=["zero", "left out"]
)
def test_a_class_of_probability_0_is_never_excused(draw, never):
    a = torch.tensor([[0, 0, 0]])
    u = uniforms(0.2, 0.2, 0.499999) if draw is classes else uniforms(0.2, 0.2, 0.999999)
    with pytest.raises(AssertionError, match=f"row 0, step 2: 0 and {never}"):
        assert_same_draws(a, torch.tensor([[0, 0, never]]), HALVES, u, draw)


def test_parameters_of_other_draws_are_noticed():
    with pytest.raises(AssertionError, match="not those of `a`"):
        assert_same_draws(
            torch.tensor([[0, 0, 0]]), torch.tensor([[0, 0, 0]]), HALVES, uniforms(0.2, 0.9, 0.2), classes
        )


def test_only_the_neighbouring_level_across_a_near_border_is_excused():
    distribution = MixtureOfLogistics(1, bits=4)  # levels at odd fifteenths
    draw = Draw(distribution)
    step, u = distribution.step, torch.full((1, 1, 2), 0.5)  # which draws the mean
    levels = distribution.to_input(torch.tensor([[1 / 15], [3 / 15], [5 / 15]]))

    def compare(mean: float, b: Tensor) -> float:
        parameters = torch.tensor([[[0.0, mean, math.log(0.1)]]])
        return assert_same_draws(levels[:1], b[None], parameters, u, draw)

    assert compare(1 / 15 + step / 2 - 5e-6, levels[1]) == 0
    with pytest.raises(AssertionError, match="not within rounding"):
        compare(1 / 15 + step / 2 - 5e-6, levels[2])
    with pytest.raises(AssertionError, match="not within rounding"):
        compare(1 / 15 + step / 2 - 5e-4, levels[1])
