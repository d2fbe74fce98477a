"""The kernel for nearest codes, of every instruction set of this machine, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vqaudio import csrc
from vqaudio.models.nearest import search_by_kernel

try:
    INSTRUCTIONS = csrc.available()
except csrc.KernelsUnavailable as reason:
    pytest.skip(str(reason), allow_module_level=True)
FUSED = [name for name in INSTRUCTIONS if name != "baseline"]
"""Those with fused multiply-add: the same bits."""
SIZES = [1, 3, 17, 63, 64, 65, 513]
each_instruction_set = pytest.mark.parametrize("instructions", INSTRUCTIONS)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def whole_numbers(*shape: int, seed: int = 0) -> Tensor:
    """Numbers of -2 … 2: products and sums of some hundreds are exact in float32, and many distances are equal."""
    return torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(seed)).float()


def squared_distances(vectors: Tensor, codebook: Tensor) -> np.ndarray:
    """Return ‖v - e‖² for all pairs (M, K) in float64, by way of no product."""
    v, e = vectors.double().numpy(), codebook.double().numpy()
    return np.stack([((row - e) ** 2).sum(axis=1) for row in v]) if len(v) else np.zeros((0, len(e)))


def assert_nearest(found: Tensor, vectors: Tensor, codebook: Tensor) -> None:
    """Each found code is the nearest, or as near as float32 can tell."""
    distances = squared_distances(vectors, codebook)
    chosen = distances[np.arange(len(distances)), found.numpy()]
    # A sum of D products in float32 is off by less than D · 2^-24 times the sum of their magnitudes, of which
    # Cauchy's inequality makes |v|·|e| + |e|²/2; distances are twice those sums, and two of them are compared.
    v, e = vectors.double().norm(dim=1).numpy(), codebook.double().norm(dim=1).max().item()
    rounding = 4 * (vectors.shape[1] + 2) * 2.0**-24 * (v * e + e * e)
    assert (chosen <= distances.min(axis=1) + rounding).all()


@each_instruction_set
@pytest.mark.parametrize("dim", SIZES)
@pytest.mark.parametrize("codes", SIZES)
def test_random_vectors(instructions, codes, dim):
    vectors, codebook = normal(101, dim), normal(codes, dim, seed=1)
    found = search_by_kernel(vectors, codebook, instructions)
    assert found.dtype == torch.long and found.shape == (101,)
    assert_nearest(found, vectors, codebook)
    # In float32 by chance, not by much: were one code in ten another than float64's, the sums would be wrong.
    assert (found.numpy() != squared_distances(vectors, codebook).argmin(axis=1)).mean() < 0.02


@each_instruction_set
@pytest.mark.parametrize("dim", SIZES)
@pytest.mark.parametrize("codes", SIZES)
def test_exact_sums_and_ties(instructions, codes, dim):
    vectors, codebook = whole_numbers(101, dim), whole_numbers(codes, dim, seed=1)
    codebook[codes // 2 :] = codebook[: codes - codes // 2].clone()  # every code twice, where there are two
    found = search_by_kernel(vectors, codebook, instructions)
    np.testing.assert_array_equal(found.numpy(), squared_distances(vectors, codebook).argmin(axis=1))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200), st.integers(1, 150), st.integers(1, 300), st.sampled_from(INSTRUCTIONS), st.integers(0, 99))
def test_any_sizes(vectors, codes, dim, instructions, seed):
    v, e = whole_numbers(vectors, dim, seed=seed), whole_numbers(codes, dim, seed=seed + 1)
    found = search_by_kernel(v, e, instructions)
    np.testing.assert_array_equal(found.numpy(), squared_distances(v, e).argmin(axis=1))


@each_instruction_set
def test_equal_codes_in_different_lanes_and_panels(instructions):
    """The nearest code, at two places, next to one another or a panel apart, in either order of worse codes."""
    for first in (0, 1, 15, 16, 63, 64, 100):
        for second in (first + 1, first + 16, first + 64, 511):
            codebook = 10 + normal(512, 8).abs()
            codebook[first] = codebook[second] = 1
            assert search_by_kernel(torch.zeros(7, 8), codebook, instructions).tolist() == [first] * 7


@pytest.mark.skipif(len(FUSED) < 2, reason=f"one instruction set with fused multiply-add: {FUSED}")
@pytest.mark.parametrize("dim", [1, 7, 64, 300])
def test_all_with_fused_multiply_add_find_the_same(dim):
    # Codes in pairs that differ in the last bits alone: another rounding of a sum would choose the other.
    codebook = normal(256, dim).repeat_interleave(2, dim=0)
    codebook[1::2] *= 1 + 2**-22
    vectors = normal(3000, dim, seed=1)
    first, *others = (search_by_kernel(vectors, codebook, name) for name in FUSED)
    for other in others:
        assert torch.equal(first, other)


@each_instruction_set
def test_a_vectors_code_does_not_depend_on_the_others(instructions):
    codebook = normal(256, 33).repeat_interleave(2, dim=0)
    codebook[1::2] *= 1 + 2**-22
    vectors = normal(300, 33, seed=1)
    whole = search_by_kernel(vectors, codebook, instructions)
    alone = torch.cat([search_by_kernel(vector[None], codebook, instructions) for vector in vectors])
    assert torch.equal(alone, whole)
    for begin, end in ((1, 300), (5, 104), (97, 200)):
        assert torch.equal(search_by_kernel(vectors[begin:end], codebook, instructions), whole[begin:end])


@each_instruction_set
def test_rows_that_lie_apart(instructions):
    wide, tall = normal(50, 40), normal(60, 30, seed=1)
    vectors, codebook = wide[:, 3:20], tall[::2, 5:22]
    expected = search_by_kernel(vectors.contiguous(), codebook.contiguous(), instructions)
    assert torch.equal(search_by_kernel(vectors, codebook, instructions), expected)
    across = wide.t()[3:20].t(), tall.t().contiguous().t()[::2, 5:22]
    assert torch.equal(search_by_kernel(*across, instructions), expected)


@each_instruction_set
def test_what_is_not_a_number_is_never_nearest(instructions):
    vectors, codebook = normal(20, 5), normal(70, 5, seed=1)
    expected = search_by_kernel(vectors, codebook, instructions)
    vectors[3, 2], vectors[4] = torch.nan, torch.inf
    found = search_by_kernel(vectors, codebook, instructions)
    others = [i for i in range(20) if i not in (3, 4)]
    assert torch.equal(found[others], expected[others])
    assert found[3] == 0 and 0 <= found[4] < 70
    assert search_by_kernel(vectors, torch.full((70, 5), torch.nan), instructions).tolist() == [0] * 20
    # Squares beyond float32: such a code is infinitely far away.
    huge = torch.cat([torch.full((69, 5), 1e30), codebook[:1]])
    assert search_by_kernel(vectors[:2], huge, instructions).tolist() == [69, 69]
