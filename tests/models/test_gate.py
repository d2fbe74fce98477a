"""The gate of training: the kernel in bfloat16 is what torch's operations are, within a rounding."""

from __future__ import annotations

import pytest
import torch

from vqaudio import csrc
from vqaudio.models import gate as module
from vqaudio.models.gate import gate, gate_backward

try:
    INSTRUCTIONS = csrc.available()
except csrc.KernelsUnavailable as reason:
    pytest.skip(str(reason), allow_module_level=True)

EDGES = torch.tensor([0.0, -0.0, 1e-3, -0.0199, 0.0201, 4.0, -8.0, 14.9, -60.0, 300.0])
SHAPES = [(1, 1), (7, 5), (40, 64), (3000, 33)]


@pytest.fixture(params=INSTRUCTIONS)
def instructions(request, monkeypatch) -> str:
    monkeypatch.setenv(csrc.CHOICE, request.param)
    return request.param


def by_torch(monkeypatch) -> None:
    monkeypatch.setattr(module, "_kernel_serves", lambda *tensors: False)


def numbers(rows: int, columns: int, scale: float, seed: int = 0) -> torch.Tensor:
    values = scale * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    values.view(-1)[: len(EDGES)] = EDGES[: values.numel()]
    return values.bfloat16()


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize(("rows", "half"), SHAPES)
def test_forward_is_torchs(rows, half, monkeypatch):
    h = numbers(rows, 2 * half, 3)
    wide = torch.zeros(rows, 3 * half, dtype=torch.bfloat16)  # the gates of several layers
    ours, out = h.clone(), wide[:, half : 2 * half]
    gate(ours, nothing(half), out)
    by_torch(monkeypatch)
    theirs, expected = h.clone(), torch.empty(rows, half, dtype=torch.bfloat16)
    gate(theirs, nothing(half), expected)
    # One step of bfloat16, 2^-8 of the value: where the float32 of either lies near a border between two. The kernel's
    # sigmoid ends at 10^-24.
    torch.testing.assert_close(ours, theirs, rtol=2**-7, atol=1e-24)
    torch.testing.assert_close(out, expected, rtol=2**-7, atol=1e-24)
    assert (ours != theirs).float().mean() < 0.05
    assert not wide[:, :half].any() and not wide[:, 2 * half :].any(), "the layers beside it are left alone"


def nothing(half: int) -> torch.Tensor:
    """A condition of one sequence that adds nothing."""
    return torch.zeros(1, 1, 2 * half, dtype=torch.bfloat16)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("half", [5, 16, 40])
def test_each_row_of_a_condition_is_held_for_its_time_steps(half):
    """Against the formula in float64; 3 rows held for 4 time steps of 2 sequences, one layer's part of several."""
    h, every = numbers(3 * 4 * 2, 2 * half, 1), numbers(3 * 2, 5 * 2 * half, 1, seed=1).view(3, 2, 5, 2 * half)
    condition = every[:, :, 3]
    total = h.double().view(3, 4, 2, -1) + condition.double()[:, None]
    tanh, sigmoid = torch.tanh(total[..., :half]), torch.sigmoid(total[..., half:])
    gate(h, condition, out := torch.empty(24, half, dtype=torch.bfloat16))
    # Rounded once each, and the product once more.
    torch.testing.assert_close(h.double(), torch.cat([tanh, sigmoid], -1).view(24, -1), rtol=2**-8, atol=1e-24)
    torch.testing.assert_close(out.double(), (tanh * sigmoid).view(24, -1), rtol=2**-6, atol=1e-24)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize(("rows", "half"), SHAPES)
def test_backward_is_the_gradient(rows, half):
    activations, d_z = numbers(rows, 2 * half, 3), numbers(rows, 3 * half, 1, seed=1)[:, half : 2 * half]
    gate(activations, nothing(half), torch.empty(rows, half, dtype=torch.bfloat16))
    d_h = torch.full((rows, 2 * half), torch.nan, dtype=torch.bfloat16)
    gate_backward(d_z, activations, d_h)
    t, s = activations.double().chunk(2, dim=1)
    d = d_z.double()
    expected = torch.cat([d * s * (1 - t * t), d * t * s * (1 - s)], dim=1)
    # Rounded once, to 2^-9 of the value; where 1 - t² or 1 - s cancels, float32's rounding adds a little.
    torch.testing.assert_close(d_h.double(), expected, rtol=2**-8, atol=1e-6)


@pytest.mark.usefixtures("instructions")
def test_threads_change_nothing():
    h, threads = numbers(5000, 128, 3), torch.get_num_threads()
    results = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            ours, out = h.clone(), torch.empty(5000, 64, dtype=torch.bfloat16)
            gate(ours, nothing(64), out)
            gate_backward(out, ours, d_h := torch.empty_like(ours))
            results.append((ours, out, d_h))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results))


def test_nan_stays_nan():
    h = torch.full((1, 40), torch.nan, dtype=torch.bfloat16)
    gate(h, nothing(20), out := torch.zeros(1, 20, dtype=torch.bfloat16))
    assert h.isnan().all() and out.isnan().all()


def test_other_types_take_torch():
    h = torch.randn(6, 10, dtype=torch.float64)
    condition = torch.randn(3, 2, 10, dtype=torch.float64)
    total = (h.view(3, 1, 2, 10) + condition[:, None]).view(6, 10)
    expected = torch.tanh(total[:, :5]) * torch.sigmoid(total[:, 5:])
    gate(h, condition, out := torch.empty(6, 5, dtype=torch.float64))
    torch.testing.assert_close(out, expected)
