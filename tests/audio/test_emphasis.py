"""Pre-emphasis against its definition in float64, and its inverse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.audio.emphasis import FEW_SAMPLES, DeEmphasis, de_emphasis, pre_emphasis
from vqaudio.errors import VQAudioError


def test_definition():
    x = np.random.default_rng(0).uniform(-1, 1, (3, 50))
    y = pre_emphasis(torch.from_numpy(x), 0.9).numpy()
    expected = [[row[t] - 0.9 * (row[t - 1] if t else 0.0) for t in range(50)] for row in x]
    np.testing.assert_allclose(y, expected, atol=1e-15)  # float64 throughout


@settings(deadline=None)  # the first call imports scipy
@given(st.integers(1, 300), st.sampled_from([0.0, 0.5, 0.9, 0.97, 0.999]), st.integers(0, 9))
def test_de_emphasis_undoes_pre_emphasis(length, coefficient, seed):
    x = torch.rand(2, length, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    restored = de_emphasis(pre_emphasis(x, coefficient), coefficient)
    # Each y is rounded to float32 (2^-24 of up to 2); the recursion sums these up to 1 / (1 - a) times.
    torch.testing.assert_close(restored, x, atol=2.0**-23 * min(length, 1 / (1 - coefficient)) + 1e-7, rtol=0)


def test_a_long_signal_does_not_drift():
    x = torch.rand(200_000) * 2 - 1
    assert (de_emphasis(pre_emphasis(x, 0.97), 0.97) - x).abs().max() < 2.0**-23 / 0.03


def test_previous_joins_blocks():
    x = torch.rand(2, 100)
    joined = torch.cat([pre_emphasis(x[:, :37], 0.9), pre_emphasis(x[:, 37:], 0.9, x[:, 36])], dim=-1)
    assert torch.equal(joined, pre_emphasis(x, 0.9))
    y = pre_emphasis(x, 0.9)
    first = de_emphasis(y[:, :37], 0.9)
    second = de_emphasis(y[:, 37:], 0.9, first[:, -1])
    # `previous` passes through float32 once.
    torch.testing.assert_close(torch.cat([first, second], -1), de_emphasis(y, 0.9), atol=1e-6, rtol=0)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 40) | st.integers(0, FEW_SAMPLES + 100), min_size=1, max_size=8),
    st.sampled_from([0.0, 0.9, 0.999]),
    st.sampled_from([(), (2,)]),
)
def test_blocks_join_exactly_where_the_state_is_carried_on(sizes, coefficient, rows):
    """Blocks of few samples and of many, which are computed in two ways."""
    y = torch.rand(*rows, sum(sizes), generator=torch.Generator().manual_seed(sum(sizes))) - 0.5
    inverse = DeEmphasis(coefficient)
    joined = torch.cat([inverse(block) for block in y.split(sizes, dim=-1)], dim=-1)
    assert torch.equal(joined, de_emphasis(y, coefficient))


def test_few_samples_give_the_bits_of_many():
    y = torch.randn(FEW_SAMPLES, generator=torch.Generator().manual_seed(1))
    # `de_emphasis` takes so many in the one way, and two rows of them in the other.
    assert torch.equal(de_emphasis(y, 0.97, 0.3), de_emphasis(torch.stack([y, y]), 0.97, 0.3)[1])


def test_the_recursion_runs_in_float64():
    """Against the definition, sample by sample, in Python's own floats."""
    y = torch.rand(500, generator=torch.Generator().manual_seed(0)) - 0.5
    x, expected = 2.0, []
    for value in y.tolist():
        x = value + 0.97 * x
        expected.append(x)
    inverse = DeEmphasis(0.97, previous=2.0)
    restored = torch.cat([inverse(block) for block in y.split(7)])
    # One rounding to float32, of values up to 4: 2^-23.
    torch.testing.assert_close(restored.double(), torch.tensor(expected, dtype=torch.float64), atol=2.0**-22, rtol=0)


def test_previous_may_be_a_number():
    assert pre_emphasis(torch.ones(3), 0.5, previous=2.0).tolist() == [0.0, 0.5, 0.5]


def test_shapes_and_empty_input():
    assert pre_emphasis(torch.zeros(2, 3, 5), 0.9).shape == (2, 3, 5)
    assert de_emphasis(torch.zeros(2, 3, 5), 0.9).shape == (2, 3, 5)
    assert pre_emphasis(torch.zeros(0), 0.9).shape == (0,)


def test_gradient_flows():
    x = torch.rand(8, requires_grad=True)
    pre_emphasis(x, 0.9).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([0.1] * 7 + [1.0]))


@pytest.mark.parametrize("coefficient", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("function", [pre_emphasis, de_emphasis])
def test_a_coefficient_without_stable_inverse_is_refused(function, coefficient):
    with pytest.raises(VQAudioError, match="0 <= coefficient < 1"):
        function(torch.zeros(4), coefficient)
