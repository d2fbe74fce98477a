"""The causal stack against plain formulas: values, gradients, causality, and conditions held over time."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vqaudio.config import StackConfig
from vqaudio.models.gated import GatedLayers
from vqaudio.models.wavenet import CausalStack

SMALL = StackConfig(layers=6, stacks=2, residual_channels=5, gate_channels=6, skip_channels=7)  # dilations 1 2 4 1 2 4
DEEP = StackConfig(layers=4, stacks=1, residual_channels=4, gate_channels=8, skip_channels=3)  # dilations 1 2 4 8


def build(config: StackConfig, tokens: int | None, outputs: int = 9) -> CausalStack:
    torch.manual_seed(3)
    stack = CausalStack(config, tokens, outputs).double().eval()
    with torch.no_grad():
        stack.bias.normal_()
    return stack


def plain_gates(x: Tensor, condition: Tensor, taps: Tensor, residual: Tensor, dilations: tuple[int, ...]) -> Tensor:
    """What `GatedLayers` computes, one operation after another."""
    (T, _, _), N = x.shape, len(condition)
    L, _, _, G = taps.shape
    held = condition.repeat_interleave(T // N, dim=0)  # (T, B, L·G)
    gates = []
    for layer, dilation in enumerate(dilations):
        past = F.pad(x, (0, 0, 0, 0, dilation, 0))[:T]
        h = past @ taps[layer, 0] + x @ taps[layer, 1] + held[:, :, layer * G : (layer + 1) * G]
        tanh, sigmoid = h.chunk(2, dim=-1)
        z = torch.tanh(tanh) * torch.sigmoid(sigmoid)
        gates.append(z)
        if layer + 1 < L:
            x = x + z @ residual[layer]
    return torch.cat(gates, dim=-1)


def layer_inputs(config: StackConfig, T: int, B: int, N: int) -> list[Tensor]:
    torch.manual_seed(5)
    L, R, G = config.layers, config.residual_channels, config.gate_channels
    shapes = [(T, B, R), (N, B, L * G), (L, 2, R, G), (L - 1, G // 2, R)]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("config", [SMALL, DEEP, StackConfig(1, 1, 3, 4, 5)], ids=["small", "deep", "one layer"])
@pytest.mark.parametrize(("T", "N"), [(12, 12), (12, 3), (12, 1), (3, 1)], ids=str)  # 3 < the longest dilation
def test_layers_and_their_gradient_are_the_plain_formulas(config, T, N):
    inputs = layer_inputs(config, T, 2, N)
    gates = GatedLayers.apply(*inputs, config.dilations)
    expected = plain_gates(*inputs, config.dilations)
    torch.testing.assert_close(gates, expected)
    direction = torch.randn_like(gates)
    leaves = inputs if config.layers > 1 else inputs[:-1]  # one layer has no residual weights
    gradients = torch.autograd.grad(gates, leaves, direction)
    for gradient, by_torch in zip(gradients, torch.autograd.grad(expected, leaves, direction)):
        torch.testing.assert_close(gradient, by_torch)


def test_layer_gradient_by_finite_differences():
    config = StackConfig(layers=3, stacks=1, residual_channels=2, gate_channels=4, skip_channels=3)
    inputs = layer_inputs(config, 6, 2, 3)
    assert torch.autograd.gradcheck(lambda *args: GatedLayers.apply(*args, config.dilations), inputs)


def conv_stack(stack: CausalStack, inputs: Tensor, held: Tensor) -> Tensor:
    """The stack as a chain of dilated convolutions over (B, channels, T); `held`: (B, T, L·G)."""
    G = stack.config.gate_channels
    x = stack.input(inputs if stack.tokens is not None else inputs[..., None]).transpose(1, 2)
    skips = 0
    for layer, dilation in enumerate(stack.dilations):
        kernel = stack.taps[layer].permute(2, 1, 0)  # (G, R, 2), the past first
        h = F.conv1d(F.pad(x, (dilation, 0)), kernel, stack.bias[layer], dilation=dilation)
        tanh, sigmoid = (h + held[:, :, layer * G : (layer + 1) * G].transpose(1, 2)).chunk(2, dim=1)
        z = torch.tanh(tanh) * torch.sigmoid(sigmoid)
        own = slice(layer * G // 2, (layer + 1) * G // 2)  # each layer's own share of the skip weights
        skips = skips + F.conv1d(z, stack.skip.weight[:, own, None])
        if layer + 1 < len(stack.dilations):
            x = x + F.conv1d(z, stack.residual[layer].t()[..., None])
    h = F.relu(skips + stack.skip.bias[:, None])
    h = F.relu(F.conv1d(h, stack.hidden.weight[..., None], stack.hidden.bias))
    return F.conv1d(h, stack.output.weight[..., None], stack.output.bias).transpose(1, 2)


@pytest.mark.parametrize("tokens", [11, None])
@pytest.mark.parametrize("config", [SMALL, DEEP], ids=["small", "deep"])
def test_forward_is_a_chain_of_convolutions(config, tokens):
    stack = build(config, tokens)
    B, T = 3, 20
    inputs = torch.rand(B, T, dtype=torch.float64) if tokens is None else torch.randint(tokens, (B, T))
    condition = torch.randn(B, 5, stack.condition_size, dtype=torch.float64)
    expected = conv_stack(stack, inputs, condition.repeat_interleave(4, dim=1))
    assert expected.shape == (B, T, 9)
    torch.testing.assert_close(stack(inputs, condition), expected)


def test_no_condition_is_a_condition_of_zeros():
    stack = build(SMALL, 11)
    inputs = torch.randint(11, (2, 8))
    torch.testing.assert_close(stack(inputs), stack(inputs, torch.zeros(2, 1, stack.condition_size).double()))


def test_held_conditions_are_repeated_ones():
    stack = build(SMALL, 11)
    inputs = torch.randint(11, (2, 12))
    condition = torch.randn(2, 3, stack.condition_size, dtype=torch.float64)
    torch.testing.assert_close(stack(inputs, condition), stack(inputs, condition.repeat_interleave(4, dim=1)))


def test_a_condition_that_cannot_be_held_evenly_is_refused():
    stack = build(SMALL, 11)
    with pytest.raises(ValueError, match="a condition of 5 rows cannot be held over 12 positions"):
        stack(torch.randint(11, (2, 12)), torch.zeros(2, 5, stack.condition_size).double())


@pytest.mark.parametrize(("config", "reach"), [(SMALL, 15), (DEEP, 16)], ids=["small", "deep"])
def test_an_output_sees_the_receptive_field_and_nothing_else(config, reach):
    stack = build(config, None)
    assert stack.receptive_field == reach
    T, t = 40, 30
    inputs = torch.randn(8, T, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(stack(inputs)[:, t].sum(), inputs)
    seen = (gradient != 0).any(dim=0)  # over several rows: a relu can cut off one
    assert seen.nonzero()[:, 0].tolist() == list(range(t - reach + 1, t + 1))


def test_a_condition_is_not_seen_before_it_begins():
    stack = build(SMALL, 11)
    condition = torch.randn(2, 4, stack.condition_size, dtype=torch.float64, requires_grad=True)
    outputs = stack(torch.randint(11, (2, 12)), condition)
    (gradient,) = torch.autograd.grad(outputs[:, 5].sum(), condition)  # position 5 lies in the second row's hold
    assert (gradient != 0).any(dim=-1).any(dim=0).tolist() == [True, True, False, False]


def test_rows_of_a_batch_do_not_mix():
    stack = build(DEEP, 11)
    inputs, condition = torch.randint(11, (3, 10)), torch.randn(3, 2, stack.condition_size, dtype=torch.float64)
    alone = torch.cat([stack(inputs[i : i + 1], condition[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(stack(inputs, condition), alone)


def test_autocast_computes_in_bfloat16_near_float32():
    stack = build(SMALL, 11).float()
    inputs, condition = torch.randint(11, (2, 12)), torch.randn(2, 3, stack.condition_size)
    exact = stack(inputs, condition)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = stack(inputs, condition)
    rounded.float().sum().backward()
    assert rounded.dtype == torch.bfloat16
    assert stack.taps.grad.dtype == torch.float32
    # bfloat16 has 8 bits: 0.4% at each of some ten roundings in a row, of outputs of about 1.
    torch.testing.assert_close(rounded.float(), exact, rtol=0, atol=0.04)


def test_dropout_is_off_in_evaluation():
    config = StackConfig(layers=2, stacks=1, residual_channels=4, gate_channels=4, skip_channels=4, dropout=0.5)
    stack, inputs = build(config, 11), torch.randint(11, (2, 12))
    assert torch.equal(stack(inputs), stack(inputs))
    stack.train()
    assert not torch.equal(stack(inputs), stack(inputs))
