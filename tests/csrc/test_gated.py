"""The kernel of the gated layers, of every instruction set of this machine, against the plain formulas in float64."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tests.models.test_wavenet import plain_gates
from vqaudio import csrc
from vqaudio.config import StackConfig
from vqaudio.models.gated import GatedLayersByKernel, gated_layers, kernel_serves
from vqaudio.models.nearest import kernel_available
from vqaudio.models.wavenet import CausalStack

try:
    INSTRUCTIONS = csrc.available()
except csrc.KernelsUnavailable as reason:
    pytest.skip(str(reason), allow_module_level=True)
if not kernel_available("vqaudio_gated_forward"):
    pytest.skip("the library was built before there was this kernel: build it again", allow_module_level=True)
each_instruction_set = pytest.mark.parametrize("instructions", INSTRUCTIONS)
SHAPES = [  # positions, sequences, rows of the condition, R, Z, layers in a stack, stacks
    (1, 1, 1, 64, 64, 1, 1),
    (6, 2, 3, 64, 64, 3, 1),
    (5, 3, 1, 64, 128, 5, 1),  # fewer positions than the longest dilation
    (96, 1, 96, 64, 64, 2, 2),
    (97, 2, 97, 128, 64, 4, 1),
    (400, 3, 50, 64, 64, 4, 2),
]


def tensors(T: int, B: int, N: int, R: int, Z: int, L: int) -> list[Tensor]:
    """x, condition, taps and residual weights, such that the layers neither fade nor saturate."""
    torch.manual_seed(0)
    shapes = [(T, B, R), (N, B, L * 2 * Z), (L, 2, R, 2 * Z), (L - 1, Z, R)]
    return [torch.randn(shape) * scale for shape, scale in zip(shapes, (1, 1, R**-0.5, Z**-0.5))]


def gates_and_gradients(layers, inputs: list[Tensor], dilations: Sequence[int]) -> list[Tensor]:
    """The gates, and the gradients of all inputs in one direction; those of no residual weights at all are left out."""
    leaves = [tensor.requires_grad_() for tensor in inputs]
    gates = layers(*leaves, dilations)
    torch.manual_seed(1)
    direction = torch.randn(gates.shape).to(gates)
    wanted = [leaf for leaf in leaves if leaf.numel()]
    return [gates.detach(), *torch.autograd.grad(gates, wanted, direction)]


def assert_near(by_kernel: list[Tensor], expected: list[Tensor]) -> None:
    """The error of each tensor is float32's rounding, some hundred additions and a dozen layers deep."""
    for result, wanted in zip(by_kernel, expected, strict=True):
        assert (result.double() - wanted).norm() <= 1e-5 * wanted.norm()


@each_instruction_set
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kernel_is_the_plain_formulas(instructions, shape, monkeypatch):
    monkeypatch.setenv(csrc.CHOICE, instructions)
    *sizes, layers, stacks = shape
    inputs = tensors(*sizes, layers * stacks)
    dilations = StackConfig(layers=layers * stacks, stacks=stacks).dilations
    expected = gates_and_gradients(plain_gates, [tensor.double() for tensor in inputs], dilations)
    assert_near(gates_and_gradients(GatedLayersByKernel.apply, inputs, dilations), expected)


@pytest.mark.parametrize("N", [1, 7, 350])
def test_shares_of_threads_are_the_whole(N, monkeypatch):
    """Rows are shared out within a row of the condition, too; only the order of sums over shares may differ."""
    monkeypatch.setattr("vqaudio.models.nearest.SHARE", 1)
    inputs, dilations = tensors(350, 3, N, 64, 64, 4), (1, 2, 4, 8)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 3, 3):
            torch.set_num_threads(count)
            results.append(gates_and_gradients(GatedLayersByKernel.apply, inputs, dilations))
    finally:
        torch.set_num_threads(threads)
    one, several, again = results
    assert_near(several, [tensor.double() for tensor in one])
    assert torch.equal(one[0], several[0])
    for first, second in zip(several, again):
        assert torch.equal(first, second)


def test_gates_of_nan_are_nan():
    """A diverged training must be seen to have diverged."""
    x, *weights = tensors(9, 1, 1, 64, 64, 2)
    x[4] = torch.nan
    gates = GatedLayersByKernel.apply(x, *weights, (1, 2))
    assert gates[:4].isfinite().all() and gates[4:6].isnan().all()


def test_a_second_gradient_is_refused():
    leaves = [tensor.requires_grad_() for tensor in tensors(4, 1, 1, 64, 64, 2)]
    gates = GatedLayersByKernel.apply(*leaves, (1, 2))
    gates.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="asked for twice"):
        gates.sum().backward()


def test_what_the_kernel_does_not_take_is_left_to_torch(monkeypatch):
    x, condition, taps, residual = tensors(6, 2, 3, 64, 64, 2)
    monkeypatch.setenv(csrc.CHOICE, INSTRUCTIONS[-1])
    assert kernel_serves(x, taps) == (INSTRUCTIONS[-1] != "baseline")
    assert not kernel_serves(x.double(), taps.double())
    assert not kernel_serves(x.bfloat16(), taps.bfloat16())
    assert not kernel_serves(x[:0], taps)
    assert not kernel_serves(x[..., :60], taps[:, :, :60])
    assert not kernel_serves(x, taps[..., :120])
    monkeypatch.setenv(csrc.CHOICE, "baseline")
    assert not kernel_serves(x, taps)
    # Neither is the choice seen in the result.
    expected = plain_gates(*(tensor.double() for tensor in (x, condition, taps, residual)), (1, 2))
    assert_near([gated_layers(x, condition, taps, residual, (1, 2))], [expected])


def test_a_stack_of_the_default_width_uses_it(monkeypatch):
    if INSTRUCTIONS[-1] == "baseline":
        pytest.skip("no fused multiply-add here")
    monkeypatch.delenv(csrc.CHOICE, raising=False)
    stack = CausalStack(StackConfig(layers=2, stacks=1), 256, 256)
    parameters = stack(torch.zeros(1, 8, dtype=torch.long))
    assert any(type(node).__name__ == "GatedLayersByKernelBackward" for node in ancestors(parameters.grad_fn))


def ancestors(node) -> list:
    """All nodes of the graph behind a tensor."""
    seen, waiting = [], [node]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.append(node)
            waiting.extend(parent for parent, _ in node.next_functions)
    return seen
