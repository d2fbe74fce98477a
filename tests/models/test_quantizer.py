"""The quantizer against NumPy: nearest codes, gradients of eq. 3, running means, revival."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.config import QuantizerConfig
from vqaudio.models import nearest as module
from vqaudio.models.quantizer import VectorQuantizer, code_statistics, kmeans, nearest_codes, sample_vectors


def make(**changes) -> VectorQuantizer:
    config = {"codebook_size": 8, "code_dim": 4, "start_step": 0, "revive_window": 0} | changes
    torch.manual_seed(0)
    return VectorQuantizer(QuantizerConfig(**config))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def oracle(vectors: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    return ((vectors[:, None].astype(np.float64) - codebook[None]) ** 2).sum(-1).argmin(1)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 20), st.integers(0, 2**31))
def test_nearest_codes_equal_numpys(vectors, codes, dim, seed):
    random = np.random.default_rng(seed)
    v, e = random.normal(size=(vectors, dim)), random.normal(size=(codes, dim))
    # float64: with no two random distances closer than its rounding, the answer is unique.
    found = nearest_codes(torch.from_numpy(v), torch.from_numpy(e))
    np.testing.assert_array_equal(found.numpy(), oracle(v, e))


def test_ties_go_to_the_lowest_index():
    codebook = torch.tensor([[5.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    assert nearest_codes(torch.zeros(3, 2), codebook).tolist() == [1, 1, 1]


def test_nearest_codes_are_the_same_over_chunk_borders(monkeypatch):
    v, e = torch.randn(50, 4, dtype=torch.float64), torch.randn(9, 4, dtype=torch.float64)
    whole = nearest_codes(v, e)
    monkeypatch.setattr(module, "CHUNK", 7)
    assert torch.equal(nearest_codes(v, e), whole)


def test_no_vectors_have_no_codes():
    assert nearest_codes(torch.zeros(0, 4), torch.zeros(3, 4)).shape == (0,)


def test_straight_through_gradient_is_that_of_the_codes():
    quantizer = make(beta=0.0)
    z_e = torch.randn(2, 5, 4, requires_grad=True)
    weights = torch.randn(2, 5, 4)
    (quantizer(z_e).z_q * weights).sum().backward()
    # ∂/∂z_e is handed through unchanged, as if z_q were z_e.
    torch.testing.assert_close(z_e.grad, weights, rtol=0, atol=0)


def test_output_is_the_nearest_code():
    quantizer = make()
    z_e = torch.randn(2, 5, 4)
    out = quantizer(z_e)
    expected = oracle(z_e.reshape(-1, 4).numpy(), quantizer.codebook.numpy()).reshape(2, 5)
    np.testing.assert_array_equal(out.units.numpy(), expected)
    # z_e + (e - z_e) rounds once: a few units in the last place of values near 1.
    np.testing.assert_allclose(out.z_q.numpy(), quantizer.codebook.numpy()[expected], atol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.25, 1.5])
def test_gradients_of_eq_3_by_gradient(beta):
    quantizer = make(update="gradient", beta=beta)
    z_e = torch.randn(3, 5, 4, requires_grad=True)
    out = quantizer(z_e)
    out.loss.backward()
    z, e = z_e.detach().numpy().reshape(-1, 4), quantizer.codebook.detach().numpy()
    k = oracle(z, e)
    # By hand: loss = mean((e_k - z)²) + β mean((z - e_k)²), the stopped side of each held constant.
    d_z = 2 * beta * (z - e[k]) / z.size
    d_e = np.zeros_like(e)
    np.add.at(d_e, k, 2 * (e[k] - z) / z.size)
    np.testing.assert_allclose(out.loss.item(), (1 + beta) * ((z - e[k]) ** 2).mean(), rtol=1e-5)
    # float32 sums of some ten terms against float64's: 1e-6 relative to values of about 0.1.
    np.testing.assert_allclose(z_e.grad.numpy().reshape(-1, 4), d_z, atol=1e-7)
    np.testing.assert_allclose(quantizer.codebook.grad.numpy(), d_e, atol=1e-6)


def test_ema_has_no_codebook_term_in_its_loss():
    quantizer = make(update="ema", beta=0.25)
    z_e = torch.randn(3, 5, 4)
    out = quantizer(z_e)
    expected = 0.25 * ((z_e - quantizer.codebook[out.units]) ** 2).mean()
    torch.testing.assert_close(out.loss, expected)
    assert not list(quantizer.parameters())


def test_ema_follows_appendix_a1():
    quantizer = make(decay=0.9)
    counts, sums = quantizer.counts.double().numpy(), quantizer.sums.double().numpy()
    for step in range(5):
        z_e = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(step))
        units = quantizer(z_e).units
        quantizer.update(z_e, units, generator())
        for k in range(8):
            assigned = z_e[units == k].double().numpy()
            counts[k] = 0.9 * counts[k] + 0.1 * len(assigned)
            sums[k] = 0.9 * sums[k] + 0.1 * assigned.sum(0)
    # Five float32 updates of numbers near 1.
    np.testing.assert_allclose(quantizer.codebook.numpy(), sums / counts[:, None], atol=1e-5)


def test_statistics_equal_one_hot_products():
    v, units = torch.randn(200, 4, dtype=torch.float64), torch.randint(0, 8, (200,))
    sums, counts = code_statistics(v, units, 8)
    one_hot = torch.nn.functional.one_hot(units, 8).double()
    torch.testing.assert_close(sums, one_hot.t() @ v)
    torch.testing.assert_close(counts, one_hot.sum(0))


def test_statistics_have_the_same_bits_at_any_number_of_threads():
    """As many sums as make torch use several threads where it may; their terms keep their order."""
    v, units, threads = torch.randn(20000, 64), torch.randint(0, 500, (20000,)), torch.get_num_threads()
    in_order = np.zeros((512, 64), np.float32)
    np.add.at(in_order, units.numpy(), v.numpy())
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            np.testing.assert_array_equal(code_statistics(v, units, 512)[0].numpy(), in_order)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_a_revived_code_stays_alive(update):
    """All vectors lie far from all codes but one: the others die, are revived among the vectors, and are then used."""
    quantizer = make(update=update, revive_window=3, decay=0.99)
    quantizer.codebook.data[1:] += 1000
    quantizer.sums.copy_(quantizer.codebook.data)
    centres = torch.randn(40, 4, generator=generator()) * 3
    used, revived_at = torch.zeros(8, dtype=torch.long), None
    for step in range(8):
        z_e = (centres + 0.01 * torch.randn(40, 4, generator=torch.Generator().manual_seed(step)))[None]
        units = quantizer(z_e).units
        if revived_at is not None:
            used += torch.bincount(units.flatten(), minlength=8)
        revived = quantizer.update(z_e, units, torch.Generator().manual_seed(step))
        if len(revived) and revived_at is None:
            revived_at = step
            assert revived.tolist() == list(range(1, 8))
        elif revived_at is not None:
            # Left to its old sums, a revived code would be drawn back to where it died, and die again.
            assert len(revived) == 0
    assert revived_at == 2
    assert (used > 0).all()
    assert quantizer.codebook.abs().max() < 50


def test_nothing_is_revived_without_a_window():
    quantizer = make(revive_window=0)
    quantizer.codebook[1:] += 1000
    for _ in range(20):
        z_e = torch.randn(1, 5, 4)
        assert len(quantizer.update(z_e, quantizer(z_e).units, generator())) == 0


def test_kmeans_finds_separate_clusters():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = (centres[:, None] + 0.1 * torch.randn(3, 50, 2, generator=generator())).reshape(-1, 2)
    # From one random start Lloyd's algorithm may leave two clusters to one centroid; the best of a few does not.
    found = [kmeans(points, 3, torch.Generator().manual_seed(seed)) for seed in range(5)]
    errors = [torch.cdist(centres, codes).min(dim=1).values.max().item() for codes in found]
    assert min(errors) < 0.1


def test_initialising_uses_the_codes_evenly():
    quantizer = make(codebook_size=32, init="kmeans")
    vectors = torch.randn(2000, 4, generator=generator()) + 100  # far from where codes are born
    quantizer.initialise(vectors, generator())
    assert quantizer.initialised
    assert len(quantizer.units(vectors[None]).unique()) == 32


def test_more_codes_than_vectors_repeat_vectors():
    codes = sample_vectors(torch.arange(3.0)[:, None], 7, generator())
    assert sorted(codes[:, 0].tolist()) == sorted([0, 1, 2, 0, 1, 2, codes[6, 0].item()])


def test_computes_in_float32_under_autocast():
    quantizer = make()
    z_e = torch.randn(2, 50, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = quantizer(z_e)
    assert inside.z_q.dtype == torch.float32
    assert torch.equal(inside.units, quantizer(z_e).units)
