"""Step by step is the same as all at once, whatever the batch and the division into calls."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.generation.conftest import random_stack
from vqaudio.config import StackConfig
from vqaudio.generation.packed import pack
from vqaudio.generation.state import SamplerState
from vqaudio.generation.torch_engine import TorchEngine, one_thread
from vqaudio.models.distributions import Categorical
from vqaudio.models.sampling import Draw
from vqaudio.models.wavenet import CausalStack

CONFIGS = {
    "two stacks": StackConfig(layers=6, stacks=2, residual_channels=8, gate_channels=16, skip_channels=24),
    "odd widths": StackConfig(layers=5, stacks=1, residual_channels=7, gate_channels=10, skip_channels=13),
    "one layer": StackConfig(layers=1, stacks=1, residual_channels=8, gate_channels=6, skip_channels=5),
}
P = 11


@pytest.fixture(params=CONFIGS)
def stack(request) -> CausalStack:
    return random_stack(CONFIGS[request.param], P, P)


draw = Draw(Categorical(P))


def begin(stack: CausalStack, first: Tensor) -> tuple[TorchEngine, SamplerState]:
    engine = TorchEngine(pack(stack))
    return engine, SamplerState.begin(engine.packed, first, "cpu")


def run(stack: CausalStack, condition: Tensor | None, uniforms: Tensor) -> Tensor:
    engine, state = begin(stack, torch.zeros(len(uniforms)))
    return engine.generate(state, condition, uniforms, draw)


def forced(stack: CausalStack, inputs: Tensor, condition: Tensor | None) -> Tensor:
    """Parameters (B, T, P) of the engine after each of `inputs` (B, T)."""
    engine, state = begin(stack, inputs[:, 0])
    return engine.follow(state, condition, torch.cat([inputs[:, 1:], inputs[:, :1]], dim=1))


@pytest.mark.parametrize("batch", [1, 3, 8, 13])
def test_incremental_parameters_are_the_parallel_ones(stack, batch):
    inputs = torch.randint(P, (batch, 60))
    condition = torch.randn(batch, 4, stack.condition_size)
    expected = stack(inputs, condition).detach()
    assert expected.std() > 0.3, "too flat for the comparison to mean anything"
    torch.testing.assert_close(forced(stack, inputs, condition), expected, rtol=0, atol=1e-5)


def test_incremental_parameters_of_real_values_are_the_parallel_ones():
    stack = random_stack(CONFIGS["two stacks"], None, P)
    inputs, condition = torch.rand(3, 60) * 2 - 1, torch.randn(3, 1, stack.condition_size)
    torch.testing.assert_close(forced(stack, inputs, condition), stack(inputs, condition).detach(), rtol=0, atol=1e-5)


def test_incremental_parameters_without_condition_are_the_parallel_ones(stack):
    inputs = torch.randint(P, (3, 60))
    torch.testing.assert_close(forced(stack, inputs, None), stack(inputs).detach(), rtol=0, atol=1e-5)


def test_saturated_gates_stay_within_the_tolerance(stack):
    # The engine computes tanh from a sigmoid of twice the argument: both ends of it must hold.
    inputs, condition = torch.randint(P, (2, 12)), 60 * torch.randn(2, 12, stack.condition_size)
    torch.testing.assert_close(forced(stack, inputs, condition), stack(inputs, condition).detach(), rtol=0, atol=1e-5)


def test_draws_are_fed_back(stack):
    """What was drawn at t is the input at t+1: the draws are a fixed point of the parallel stack."""
    condition, uniforms = torch.randn(2, 5, stack.condition_size), torch.rand(2, 40, 1)
    drawn = run(stack, condition, uniforms)
    inputs = torch.cat([torch.zeros(2, 1, dtype=torch.long), drawn[:, :-1]], dim=1)
    parameters = stack(inputs, condition).detach()
    expected = torch.stack([draw(parameters[:, t], uniforms[:, t]) for t in range(40)], dim=1)
    assert torch.equal(drawn, expected)
    assert len(drawn.unique()) > 2


@pytest.mark.parametrize("batch", [1, 2, 5, 8, 11])
def test_draws_do_not_depend_on_the_batch(stack, batch):
    condition, uniforms = torch.randn(19, 5, stack.condition_size), torch.rand(19, 40, 1)
    together = run(stack, condition, uniforms)
    assert torch.equal(run(stack, condition[:batch], uniforms[:batch]), together[:batch])


def test_parameters_do_not_depend_on_the_batch_to_the_last_bit(stack):
    inputs, condition = torch.randint(P, (19, 20)), torch.randn(19, 1, stack.condition_size)
    together = forced(stack, inputs, condition)
    for batch in (1, 2, 3, 7, 9, 18):
        assert torch.equal(forced(stack, inputs[:batch], condition[:batch]), together[:batch]), batch


@pytest.mark.parametrize("division", [[10, 30], [20, 20], [8, 8, 8, 8, 8]], ids=str)
def test_draws_do_not_depend_on_the_division_into_calls(stack, division):
    condition, uniforms = torch.randn(3, 20, stack.condition_size), torch.rand(3, 40, 1)
    (engine, state), parts, done = begin(stack, torch.zeros(3)), [], 0
    for steps in division:
        part = slice(done, done + steps)
        rows = slice(done // 2, (done + steps) // 2)
        parts.append(engine.generate(state, condition[:, rows], uniforms[:, part], draw))
        done += steps
    assert torch.equal(torch.cat(parts, dim=1), run(stack, condition, uniforms))


def test_kept_rows_go_on_as_if_nothing_had_happened(stack):
    condition, uniforms = torch.randn(10, 4, stack.condition_size), torch.rand(10, 40, 1)
    engine, state = begin(stack, torch.zeros(10))
    engine.generate(state, condition[:, :2], uniforms[:, :20], draw)
    rows = [7, 2, 9]
    after = engine.generate(state.keep(rows), condition[rows, 2:], uniforms[rows, 20:], draw)
    assert torch.equal(after, run(stack, condition, uniforms)[rows, 20:])


def test_uneven_conditions_and_wrong_batches_are_refused(stack):
    engine, state = begin(stack, torch.zeros(2))
    with pytest.raises(ValueError, match="3 rows cannot be held over 10 steps"):
        engine.generate(state, torch.zeros(2, 3, stack.condition_size), torch.rand(2, 10, 1), draw)
    with pytest.raises(ValueError, match="a condition of 5 sequences, expected 2"):
        engine.generate(state, torch.zeros(5, 1, stack.condition_size), torch.rand(2, 10, 1), draw)


def test_the_number_of_threads_is_restored():
    threads = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), one_thread():
        assert torch.get_num_threads() == 1
        _ = 1 / 0
    assert torch.get_num_threads() == threads
