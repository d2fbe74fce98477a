"""Likelihoods against float64 oracles and numerical integration; samples against the likelihoods."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import quad

from vqaudio.errors import ConfigError
from vqaudio.models.distributions import (
    MixtureOfLogistics,
    MuLawSoftmax,
    SoftmaxCrossEntropy,
    build_distribution,
)

B, T = 3, 50


@pytest.fixture(params=[MuLawSoftmax(16), MuLawSoftmax(256), MixtureOfLogistics(3)], ids=["16", "256", "mol"])
def distribution(request):
    return request.param


def waveform(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(2))


# Both distributions


def test_inputs_are_what_a_stack_takes(distribution):
    inputs = distribution.to_input(waveform(B, T))
    if distribution.input_tokens is None:
        assert inputs.dtype == torch.float32
        assert inputs.abs().max() <= 1
    else:
        assert inputs.dtype == torch.long
        assert 0 <= inputs.min() <= inputs.max() < distribution.input_tokens


def test_to_input_undoes_to_waveform(distribution):
    inputs = distribution.to_input(waveform(2000))
    assert torch.equal(distribution.to_input(distribution.to_waveform(inputs)), inputs)


def test_samples_are_inputs(distribution):
    drawn = distribution.sample(normal(500, distribution.num_parameters), torch.rand(500, 2))
    inputs = distribution.to_input(waveform(3))
    assert (drawn.shape, drawn.dtype) == ((500,), inputs.dtype)
    assert torch.equal(distribution.to_input(distribution.to_waveform(drawn)), drawn)


def test_silence_stays_nearly_silent(distribution):
    silence = distribution.to_waveform(distribution.to_input(torch.zeros(1)))
    # The level next to 0 of a symmetric scale with an even number of levels: half a step.
    limit = 0.02 if distribution.num_parameters == 16 else 1e-4
    assert abs(float(silence)) < limit


def test_nll_is_at_least_float32(distribution):
    parameters = normal(B, T, distribution.num_parameters).bfloat16()
    nll = distribution.nll(parameters, waveform(B, T))
    assert (nll.shape, nll.dtype) == ((B, T), torch.float32)


def test_nll_of_a_row_does_not_depend_on_the_others(distribution):
    parameters, x = normal(B, T, distribution.num_parameters), waveform(B, T)
    alone = torch.cat([distribution.nll(parameters[i : i + 1], x[i : i + 1]) for i in range(B)])
    # Vectorised and scalar code of exp and log differ in the last bits.
    torch.testing.assert_close(distribution.nll(parameters, x), alone, rtol=1e-6, atol=1e-6)


def test_samples_follow_the_likelihood():
    """Evenly spaced uniforms, through `sample`, give each level as often as `nll` says."""
    for distribution in (MuLawSoftmax(16), MixtureOfLogistics(mixtures=2, bits=4)):
        parameters = normal(distribution.num_parameters, scale=0.7)
        n = 400
        grid = (torch.arange(n) + 0.5) / n
        uniforms = torch.cartesian_prod(*[grid] * distribution.uniforms_per_sample).view(
            -1, distribution.uniforms_per_sample
        )
        drawn = distribution.sample(parameters.expand(len(uniforms), -1), uniforms)
        # 16 levels each: those of the companding, or the even ones of 4 bits.
        inputs = torch.arange(16) if distribution.input_tokens else torch.linspace(-1, 1, 16)
        levels = distribution.to_waveform(inputs)
        expected = torch.exp(-distribution.nll(parameters.expand(1, 16, -1), levels[None]))[0]
        frequencies = (drawn[:, None] - inputs).abs().lt(1e-5).float().mean(dim=0)
        # A frequency is a count of grid points between two edges: off by 1/n at each edge of each component.
        torch.testing.assert_close(frequencies, expected, rtol=0, atol=4 / n)


# Mu-law softmax


@pytest.mark.parametrize("time_major", [False, True], ids=["contiguous", "time-major"])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_softmax_nll_and_gradient_are_cross_entropy(time_major, dtype, rtol):
    distribution = MuLawSoftmax(256)
    leaf = (normal(T, B, 256, scale=4) if time_major else normal(B, T, 256, scale=4)).to(dtype).requires_grad_()
    parameters = leaf.transpose(0, 1) if time_major else leaf
    oracle = parameters.detach().double().requires_grad_()
    x, weights = waveform(B, T), torch.rand(B, T)

    nll = distribution.nll(parameters, x)
    expected = F.cross_entropy(oracle.reshape(-1, 256), distribution.to_input(x).reshape(-1), reduction="none")
    # The value is computed in float32 from bfloat16 parameters too; only the gradient is rounded to their type.
    torch.testing.assert_close(nll.double(), expected.view(B, T), rtol=min(rtol, 1e-5), atol=1e-5)

    (nll * weights).sum().backward()
    (expected.view(B, T) * weights).sum().backward()
    gradient = leaf.grad.transpose(0, 1) if time_major else leaf.grad
    assert gradient.dtype == dtype
    # Small components of the gradient of float32 come from differences to 1 (p - 1): absolute error 1e-7.
    torch.testing.assert_close(gradient.double(), oracle.grad, rtol=rtol, atol=1e-7 if rtol > 1e-12 else 1e-12)


def test_softmax_does_not_transpose_time_major_memory():
    leaf = torch.zeros(T, B, 256, requires_grad=True)
    MuLawSoftmax(256).nll(leaf.transpose(0, 1), waveform(B, T)).sum().backward()
    assert leaf.grad.is_contiguous()


def test_softmax_of_extreme_logits():
    logits = torch.tensor([[-1e4, 0.0, 1e4]], requires_grad=True)
    nll = SoftmaxCrossEntropy.apply(logits, torch.tensor([0]))
    nll.sum().backward()
    assert nll.tolist() == [2e4]
    assert logits.grad.tolist() == [[-1.0, 0.0, 1.0]]


def test_softmax_leaves_its_input_alone():
    logits = normal(2, 5)
    before = logits.clone()
    SoftmaxCrossEntropy.apply(logits.requires_grad_(), torch.tensor([0, 4])).sum().backward()
    assert torch.equal(logits, before)


def test_softmax_gradient_can_be_taken_once():
    logits = normal(2, 5).requires_grad_()
    nll = SoftmaxCrossEntropy.apply(logits, torch.tensor([0, 4])).sum()
    nll.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once only"):
        nll.backward()


def test_softmax_samples_by_temperature_and_top_k():
    distribution, parameters, uniforms = MuLawSoftmax(256), normal(64, 256), torch.rand(64, 1)
    most_probable = parameters.argmax(dim=-1)
    assert torch.equal(distribution.sample(parameters, uniforms, top_k=1), most_probable)
    assert torch.equal(distribution.sample(parameters, uniforms, temperature=1e-4), most_probable)
    assert not torch.equal(distribution.sample(parameters, uniforms), most_probable)


# Mixture of logistics


def mixture_parameters(logits, means, log_scales) -> torch.Tensor:
    return torch.tensor([[*logits, *means, *log_scales]], dtype=torch.float64)[None]  # (1, 1, 3M)


MIXTURES = {
    "broad": mixture_parameters([0.0, 1.0], [-0.2, 0.4], [-1.0, -2.5]),
    "speech-like": mixture_parameters([2.0, -1.0, 0.0], [0.01, -0.05, 0.3], [-7.0, -5.0, -3.0]),
    "one bin wide": mixture_parameters([0.0], [0.1], [math.log(2.0**-15)]),
    "beyond the range": mixture_parameters([0.0, 0.0], [1.7, -1.2], [-1.0, -0.5]),
    "at the floor": mixture_parameters([0.0], [-0.6], [-40.0]),
}


@pytest.mark.parametrize("name", MIXTURES)
def test_mixture_sums_to_one(name):
    distribution = MixtureOfLogistics(MIXTURES[name].shape[-1] // 3)
    levels = -1 + distribution.step * torch.arange(2**16, dtype=torch.float64)
    nll = distribution.nll(MIXTURES[name].expand(1, 2**16, -1), levels[None])
    assert torch.exp(-nll).sum() == pytest.approx(1.0, abs=1e-9)


def integral(parameters: torch.Tensor, lower: float, upper: float, floor: float) -> float:
    """Integrate the density of the mixture numerically."""
    logits, means, log_scales = parameters[0, 0].numpy().reshape(3, -1)
    weights = np.exp(logits) / np.exp(logits).sum()
    scales = np.exp(np.maximum(log_scales, floor))

    def density(x: float, weight: float, mean: float, scale: float) -> float:
        return weight / (4 * scale * np.cosh((x - mean) / (2 * scale)) ** 2)

    return sum(quad(density, lower, upper, args=p, epsabs=0, epsrel=1e-10)[0] for p in zip(weights, means, scales))


@pytest.mark.parametrize(
    ("name", "level"),
    [
        *[(name, k) for name in ("broad", "beyond the range") for k in (0, 1, 20_000, 32_767, 65_534, 65_535)],
        *[("speech-like", k) for k in (25_000, 31_000, 32_768, 33_095, 42_597, 50_000)],
        *[("one bin wide", k) for k in (36_024, 36_043, 36_044, 36_045, 36_064)],  # the mean is at 36,044.25
    ],
)
def test_mixture_nll_is_the_integral_over_the_bin(name, level):
    parameters = MIXTURES[name]
    distribution = MixtureOfLogistics(parameters.shape[-1] // 3)
    x = -1 + distribution.step * level
    lower = -np.inf if level == 0 else x - distribution.step / 2
    upper = np.inf if level == 65_535 else x + distribution.step / 2
    with np.errstate(over="ignore"):  # cosh far from the mean: the density is 0
        probability = integral(parameters, lower, upper, distribution.log_scale_range[0])
    nll = distribution.nll(parameters, torch.tensor([[x]], dtype=torch.float64))
    assert float(nll) == pytest.approx(-math.log(probability), rel=1e-8)


def test_mixture_in_float32_agrees_with_float64():
    distribution = MixtureOfLogistics(10)
    parameters, x = normal(B, T, 30, scale=2.0), waveform(B, T)
    parameters[..., 20:] -= 6  # scales of speech
    exact = distribution.nll(parameters.double(), x.double())
    # x - mean is rounded to 6e-8, 0.02 of the smallest scale of the draw; relative to the nll it is far less.
    torch.testing.assert_close(distribution.nll(parameters, x).double(), exact, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("extreme", [-1e4, -100.0, 100.0, 1e4])
def test_mixture_is_finite_at_extreme_parameters(dtype, extreme):
    distribution = MixtureOfLogistics(2)
    rows = torch.eye(6, dtype=dtype) * extreme  # each parameter in turn
    parameters = rows.repeat(3, 1)[None].requires_grad_()
    x = torch.tensor([-1.0, 0.25, 1.0]).repeat_interleave(6)[None]
    nll = distribution.nll(parameters, x)
    nll.sum().backward()
    assert torch.isfinite(nll).all()
    assert torch.isfinite(parameters.grad).all()
    assert (nll >= 0).all()


def test_mixture_gradient():
    distribution = MixtureOfLogistics(2)
    x = torch.tensor([[-1.0, -0.3, 0.0, 0.7, 1.0]], dtype=torch.float64)
    parameters = (0.5 * normal(1, 5, 6)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: distribution.nll(p, x), parameters)


def test_mixture_levels_are_those_of_16_bits():
    distribution = MixtureOfLogistics()
    levels = distribution.to_input(torch.linspace(-1, 1, 2**18))
    assert levels.unique().numel() == 2**16
    assert distribution.to_input(torch.tensor([-3.0, 3.0])).tolist() == [-1.0, 1.0]


def test_mixture_samples_stay_in_range_at_extreme_uniforms():
    parameters = MIXTURES["broad"][0].float().expand(4, -1)
    uniforms = torch.tensor([[0.0, 0.0], [0.0, 1 - 2.0**-24], [1 - 2.0**-24, 0.0], [0.5, 0.5]])
    drawn = MixtureOfLogistics(2).sample(parameters, uniforms)
    assert drawn[:3].tolist() == [-1.0, 1.0, drawn[2]]
    assert drawn.abs().max() <= 1


def test_mixture_samples_of_a_row_do_not_depend_on_the_others():
    distribution, parameters, uniforms = MixtureOfLogistics(3), normal(37, 9), torch.rand(37, 2)
    parameters[:, 6:] -= 7
    together = distribution.sample(parameters, uniforms)
    for rows in (1, 3, 16, 33):  # with and without a rest that is computed one by one
        assert torch.equal(distribution.sample(parameters[:rows], uniforms[:rows]), together[:rows])


def test_mixture_temperature_narrows_and_top_k_chooses_components():
    distribution, uniforms = MixtureOfLogistics(2), torch.rand(200, 2)
    parameters = mixture_parameters([0.0, 0.5], [-0.5, 0.5], [-6.0, -6.0])[0].float().expand(200, -1)
    both = distribution.sample(parameters, uniforms)
    assert (both < 0).any() and (both > 0).any()
    assert (distribution.sample(parameters, uniforms, top_k=1) > 0.4).all()
    cold = distribution.sample(parameters, uniforms, temperature=0.01)
    # A hundredth of the scale e^-6, at 24 scales at most from the mean.
    assert (cold - 0.5).abs().max() < 24 * math.exp(-6) / 100


@pytest.mark.parametrize(("output", "channels"), [("mulaw", 64), ("mol", 15)])
def test_distributions_by_name(output, channels):
    assert build_distribution(output, classes=64, mixtures=5).num_parameters == channels


def test_an_unknown_distribution_is_named():
    with pytest.raises(ConfigError, match=r"output: got 'mulow', expected mulaw or mol\. Did you mean 'mulaw'"):
        build_distribution("mulow")
