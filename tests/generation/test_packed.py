"""The packed arrays and the formulas that document them are the stack."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.generation.conftest import random_stack
from vqaudio.config import StackConfig
from vqaudio.generation.packed import PackedStack, pack

CONFIG = StackConfig(layers=6, stacks=2, residual_channels=5, gate_channels=8, skip_channels=7)


def by_the_formulas(packed: PackedStack, inputs: np.ndarray, condition: np.ndarray) -> np.ndarray:
    """Parameters (T, P) of one sequence (T,) in float64, as packed.py writes the step; condition (T, L, G)."""
    p = {f.name: getattr(packed, f.name) for f in dataclasses.fields(packed)}
    L, _, G = packed.past.shape
    Z = G // 2
    history = np.zeros((L, len(inputs), packed.past.shape[1]))  # x_l(t)
    outputs = []
    for t, symbol in enumerate(inputs):
        weight = p["input_weight"]
        x = weight[symbol] if packed.tokens is not None else symbol * weight[0] + p["input_bias"]
        gates = []
        for layer, d in enumerate(packed.dilations):
            history[layer, t] = x
            past = history[layer, t - d] if t >= d else np.zeros_like(x)
            h = past @ p["past"][layer] + x @ p["now"][layer] + p["bias"][layer] + condition[t, layer]
            gates.append(np.tanh(h[:Z]) / (1 + np.exp(-h[Z:])))
            if layer + 1 < L:
                x = x + gates[-1] @ p["residual"][layer]
        s = np.maximum(np.concatenate(gates) @ p["skip"] + p["skip_bias"], 0)
        s = np.maximum(s @ p["hidden"] + p["hidden_bias"], 0)
        outputs.append(s @ p["output"] + p["output_bias"])
    return np.array(outputs)


@pytest.mark.parametrize("tokens", [11, None])
def test_the_documented_formulas_are_the_stack(tokens):
    stack = random_stack(CONFIG, tokens, 3).double()
    inputs = torch.rand(1, 25, dtype=torch.float64) if tokens is None else torch.randint(tokens, (1, 25))
    condition = torch.randn(1, 25, stack.condition_size, dtype=torch.float64)
    expected = stack(inputs, condition)[0].detach().numpy()
    outputs = by_the_formulas(pack(stack), inputs[0].numpy(), condition[0].numpy().reshape(25, 6, 8))
    np.testing.assert_allclose(outputs, expected, atol=1e-5)  # the packed weights are float32


def test_arrays_are_plain():
    packed = pack(random_stack(CONFIG, 11, 3).bfloat16())
    arrays = [v for v in vars(packed).values() if isinstance(v, np.ndarray)]
    assert len(arrays) == 12
    assert all(a.dtype == np.float32 and a.flags.c_contiguous for a in arrays)


def test_training_on_does_not_change_what_was_packed():
    stack = random_stack(CONFIG, None, 3)
    packed = pack(stack)
    before = {k: v.copy() for k, v in vars(packed).items() if isinstance(v, np.ndarray)}
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter += 1
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(packed, name), array)
