"""When two engines have drawn the same elements, as far as float32 lets them.

Engines add in different orders, so that their parameters differ by up to 1e-5 (the contract of `Engine`). A uniform
that lies that near the border between two elements draws one in the one engine, and its neighbour in the other. What
is drawn is fed back, so that from there on the two draw from different distributions.

    a    3 3 1 7 7 2 5 …        The first difference has to be such a border; what comes after it in this row
    b    3 3 1 7 6 0 3 …        says nothing.
                 ↑
"""

from __future__ import annotations

import torch
from torch import Tensor

from vqaudio.models.distributions import Categorical, MixtureOfLogistics
from vqaudio.models.sampling import Draw, filter_logits

TOLERANCE = 1e-5
"""How much parameters of two engines can differ."""


def assert_same_draws(a: Tensor, b: Tensor, parameters: Tensor, uniforms: Tensor, draw: Draw) -> float:
    """Fail unless `b` is what `a` is up to a first difference in each row, and that a matter of rounding.

    `a`, `b`: elements (B, T) drawn by a reference engine and by another, from the same state, condition and uniforms
    (B, T, U). `parameters`: (B, T, P), what `follow` of the reference engine says of `a` from that state. Not excused
    is a class that rounding moves over the border of `top_k` or `top_p`: expect one in a million draws.

    Returns the share of elements compared, those after differences being the rest: a test says how many it expects.
    """
    assert a.shape == b.shape == parameters.shape[:2] == uniforms.shape[:2], "the arguments are not of the same draws"
    assert possible_draws(a, parameters, uniforms, draw).all(), "`parameters` or `uniforms` are not those of `a`"
    different = a != b
    first = different & (different.cumsum(dim=1) == 1)
    wrong = first & ~possible_draws(b, parameters, uniforms, draw)
    rows, steps = wrong.nonzero(as_tuple=True)
    assert not len(rows), "not within rounding: " + ", ".join(
        f"row {row}, step {step}: {a[row, step]} and {b[row, step]}" for row, step in zip(rows[:9], steps[:9])
    )
    return float((different.cumsum(dim=1) == 0).double().mean())


def possible_draws(elements: Tensor, parameters: Tensor, uniforms: Tensor, draw: Draw) -> Tensor:
    """Return which `elements` (B, T) the uniforms (B, T, U) may draw from parameters within TOLERANCE: bool (B, T)."""
    if isinstance(draw.distribution, Categorical):
        return _near_choices(parameters, uniforms, draw).gather(-1, elements[..., None])[..., 0]
    assert isinstance(draw.distribution, MixtureOfLogistics), "this distribution is not known here"
    return _near_levels(elements, parameters, uniforms, draw)


def _near_choices(logits: Tensor, uniforms: Tensor, draw: Draw) -> Tensor:
    """Return for each choice whether the first uniform lies in its part of the cumulative distribution, or near it.

    Logits (B, T, K); returns bool (B, T, K). A probability moves by at most half as much as logits do.
    """
    probabilities = filter_logits(logits, draw.temperature, draw.top_k, draw.top_p).double().softmax(-1)
    upper, uniform = probabilities.cumsum(-1), uniforms[..., :1]
    near = (uniform >= upper - probabilities - TOLERANCE) & (uniform < upper + TOLERANCE)
    return near & (probabilities > 0)


def _near_levels(elements: Tensor, parameters: Tensor, uniforms: Tensor, draw: Draw) -> Tensor:
    """Return whether levels (B, T) lie in the bin, or near it, into which a component near its uniform draws.

    A level's border lies in the value, mean + scale · logit(uniform), which moves as mean and log-scale do: the mean
    by up to the tolerance, the second term by up to so many times itself.
    """
    distribution = draw.distribution
    logits, means, log_scales = parameters.double().chunk(3, dim=-1)  # each (B, T, M)
    scales = draw.temperature * log_scales.clamp(*distribution.log_scale_range).exp()
    from_mean = scales * torch.logit(uniforms[..., 1:2].double(), eps=2.0**-24)
    away = (elements[..., None] - (means + from_mean).clamp(-1, 1)).abs()
    fits = away <= distribution.step / 2 + TOLERANCE * (1 + from_mean.abs())
    return (fits & _near_choices(logits.to(parameters.dtype), uniforms, draw)).any(-1)
