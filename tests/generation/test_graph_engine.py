"""The recorded step is the stack, whatever makes it repeat; with CUDA, so is its recording.

Without CUDA the same step is called again and again, on the CPU, in place of the replayed graph. That it can be
recorded shows on the meta device, where tensors hold no numbers: whatever asks for one on the host fails there.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.generation.conftest import random_stack
from tests.generation.same_draws import assert_same_draws
from vqaudio.config import StackConfig
from vqaudio.generation import graph_engine
from vqaudio.generation.engine import EngineUnavailable
from vqaudio.generation.graph_engine import WARM_UP_STEPS, GraphEngine
from vqaudio.generation.packed import pack
from vqaudio.generation.state import SamplerState
from vqaudio.generation.torch_engine import TorchEngine, one_thread
from vqaudio.models.distributions import Categorical, MixtureOfLogistics
from vqaudio.models.sampling import Draw
from vqaudio.models.wavenet import CausalStack

CONFIGS = {
    "two stacks": StackConfig(layers=6, stacks=2, residual_channels=8, gate_channels=16, skip_channels=24),
    "odd widths": StackConfig(layers=5, stacks=1, residual_channels=7, gate_channels=10, skip_channels=13),
    "one layer": StackConfig(layers=1, stacks=1, residual_channels=8, gate_channels=6, skip_channels=5),
}
P = 12
CLASSES, LEVELS = Categorical(P), MixtureOfLogistics(P // 3, bits=10)
OPTIONS = [{}, {"temperature": 0.7}, {"top_k": 3}, {"top_p": 0.8}, {"temperature": 1.3, "top_k": 8, "top_p": 0.9}]
DRAWS = [Draw(distribution, **options) for distribution in (CLASSES, LEVELS) for options in OPTIONS]

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a CUDA device")


def repeatedly(step: Callable[[], None], device: torch.device) -> Callable[[int], None]:
    """Stand in for `as_cuda_graph`: the same warm-up, and then plain calls."""

    def repeat(times: int) -> None:
        with one_thread():  # the products are so small that threads would wait for each other
            for _ in range(times):
                step()

    repeat(WARM_UP_STEPS)
    return repeat


PLACES = [pytest.param(("cpu", repeatedly), id="cpu"), pytest.param(("cuda", None), marks=needs_cuda, id="cuda")]


@pytest.fixture(params=PLACES)
def make(request) -> Callable[..., GraphEngine]:
    """Makes an engine for a stack: on the CPU without a graph; on CUDA as anyone gets it."""
    device, record = request.param
    return lambda stack, precision="float32": GraphEngine(pack(stack), device, precision, record)


@pytest.fixture(params=CONFIGS)
def stack(request) -> CausalStack:
    return random_stack(CONFIGS[request.param], P, P)


def stack_for(draw: Draw) -> CausalStack:
    """A stack that takes what `draw` draws; of levels, the scales are small enough to show the means."""
    stack = random_stack(CONFIGS["two stacks"], draw.distribution.input_tokens, P)
    if draw.distribution is LEVELS:
        with torch.no_grad():
            stack.output.weight.mul_(0.3)
            stack.output.bias[2 * LEVELS.mixtures :] -= 3
    return stack


def begin(engine: GraphEngine | TorchEngine, batch: int) -> SamplerState:
    return SamplerState.begin(engine.packed, torch.zeros(batch), engine.device)


def forced(engine: GraphEngine | TorchEngine, inputs: Tensor, condition: Tensor | None) -> Tensor:
    """Parameters (B, T, P) of the engine after each of `inputs` (B, T), on the CPU."""
    state = SamplerState.begin(engine.packed, inputs[:, 0], engine.device)
    return engine.follow(state, condition, torch.cat([inputs[:, 1:], inputs[:, :1]], dim=1)).cpu()


def random_condition(stack: CausalStack, batch: int, units: int) -> Tensor:
    return torch.randn(batch, units, stack.condition_size)


@pytest.mark.parametrize("batch", [1, 3, 8, 13])
def test_parameters_are_the_parallel_ones(make, stack, batch):
    inputs, condition = torch.randint(P, (batch, 60)), random_condition(stack, batch, 4)
    expected = stack(inputs, condition).detach()
    assert expected.std() > 0.3, "too flat for the comparison to mean anything"
    torch.testing.assert_close(forced(make(stack), inputs, condition), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("units", [1, 60])
def test_parameters_of_real_values_are_the_parallel_ones(make, units):
    stack = random_stack(CONFIGS["two stacks"], None, P)
    inputs, condition = torch.rand(3, 60) * 2 - 1, random_condition(stack, 3, units)
    expected = stack(inputs, condition).detach()
    torch.testing.assert_close(forced(make(stack), inputs, condition), expected, rtol=0, atol=1e-5)


def test_parameters_without_condition_are_the_parallel_ones(make, stack):
    inputs = torch.randint(P, (3, 60))
    torch.testing.assert_close(forced(make(stack), inputs, None), stack(inputs).detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("symbols", [True, False])
def test_bfloat16_rounds_and_no_more(make, symbols):
    stack = random_stack(CONFIGS["two stacks"], P if symbols else None, P)
    inputs = torch.randint(P, (3, 60)) if symbols else torch.rand(3, 60) * 2 - 1
    condition = random_condition(stack, 3, 4)
    error = forced(make(stack, "bfloat16"), inputs, condition) - stack(inputs, condition).detach()
    # Numbers are rounded by up to 2^-9 of themselves, at random, some ten times on the way to parameters of about 1.
    assert 1e-4 < error.std() < 0.02


@pytest.mark.parametrize("draw", DRAWS, ids=str)
def test_draws_are_those_of_the_torch_engine(make, draw):
    stack, T = stack_for(draw), 200
    reference, engine = TorchEngine(pack(stack)), make(stack)
    condition, uniforms = random_condition(stack, 5, 10), torch.rand(5, T, draw.distribution.uniforms_per_sample)
    expected = reference.generate(begin(reference, 5), condition, uniforms, draw)
    drawn = engine.generate(begin(engine, 5), condition, uniforms, draw).cpu()
    parameters = reference.follow(begin(reference, 5), condition, expected)
    assert drawn.dtype == expected.dtype
    assert len(expected.unique()) > 2
    # One uniform in some ten thousand lies within rounding of a border; levels have more borders than classes.
    assert assert_same_draws(expected, drawn, parameters, uniforms, draw) > 0.5


@pytest.mark.parametrize("division", [[10, 30], [20, 20], [2, 38], [8, 8, 8, 8, 8]], ids=str)
def test_draws_do_not_depend_on_the_division_into_calls(make, stack, division, monkeypatch):
    monkeypatch.setattr(graph_engine, "LEAST_STEPS", 8)  # so that longer calls have to record anew
    condition, uniforms, draw = random_condition(stack, 3, 20), torch.rand(3, 40, 1), Draw(CLASSES)
    engine, parts, done = make(stack), [], 0
    state = begin(engine, 3)
    for steps in division:
        part, rows = slice(done, done + steps), slice(done // 2, (done + steps) // 2)
        parts.append(engine.generate(state, condition[:, rows], uniforms[:, part], draw))
        done += steps
    whole = make(stack)
    assert torch.equal(torch.cat(parts, dim=1), whole.generate(begin(whole, 3), condition, uniforms, draw))
    assert state.position == 40


@pytest.mark.parametrize("batch", [5, 6, 7])
def test_draws_do_not_depend_on_the_batch_within_a_recording(make, stack, batch):
    condition, uniforms, engine = random_condition(stack, 8, 4), torch.rand(8, 40, 1), make(stack)
    together = engine.generate(begin(engine, 8), condition, uniforms, Draw(CLASSES))
    alone = engine.generate(begin(engine, batch), condition[:batch], uniforms[:batch], Draw(CLASSES))
    assert torch.equal(alone, together[:batch])


@pytest.mark.parametrize("draw", [Draw(CLASSES), Draw(LEVELS)], ids=str)
def test_engines_take_over_from_each_other(make, draw):
    stack = stack_for(draw)
    engine, reference = make(stack), TorchEngine(pack(stack))
    condition, uniforms = random_condition(stack, 5, 6), torch.rand(5, 60, draw.distribution.uniforms_per_sample)
    state, parts = begin(reference, 5), []
    for i, one in enumerate([reference, engine, reference, engine, engine, reference]):
        part = slice(10 * i, 10 * i + 10)
        state = SamplerState.from_tensors(state.tensors(), one.device)
        parts.append(one.generate(state, condition[:, i : i + 1], uniforms[:, part], draw).cpu())
    expected = reference.generate(begin(reference, 5), condition, uniforms, draw)
    parameters = reference.follow(begin(reference, 5), condition, expected)
    assert assert_same_draws(expected, torch.cat(parts, dim=1), parameters, uniforms, draw) > 0.5


def test_two_states_go_on_side_by_side(make, stack):
    """What one state leaves in the memory of the steps does not reach another."""
    condition, uniforms, engine, draw = random_condition(stack, 6, 2), torch.rand(6, 40, 1), make(stack), Draw(CLASSES)
    whole = engine.generate(begin(engine, 6), condition, uniforms, draw)
    states, halves = [begin(engine, 3), begin(engine, 3)], [slice(0, 3), slice(3, 6)]
    for i in range(2):
        part = slice(20 * i, 20 * i + 20)
        drawn = [engine.generate(s, condition[r, i : i + 1], uniforms[r, part], draw) for s, r in zip(states, halves)]
        # Recordings for 8 and for 4 rows may add in another order: 240 draws lie that near no border.
        assert torch.equal(torch.cat(drawn), whole[:, part])


def test_what_was_returned_stays_as_it_is(make, stack):
    engine, draw = make(stack), Draw(CLASSES)
    state = begin(engine, 2)
    drawn = engine.generate(state, None, torch.rand(2, 20, 1), draw)
    before = drawn.clone()
    engine.generate(state, None, torch.rand(2, 20, 1), draw)
    assert torch.equal(drawn, before)


def test_one_recording_serves_what_fits_into_it(stack):
    recorded = []

    def record(step, device):
        recorded.append(step)
        return repeatedly(step, device)

    engine, draw = GraphEngine(pack(stack), "cpu", record=record), Draw(CLASSES)
    for batch, units, steps in [(7, 2, 60), (5, 1, 40), (8, 2, 60), (6, 2, 128)]:
        engine.generate(begin(engine, batch), random_condition(stack, batch, units), torch.rand(batch, steps, 1), draw)
    assert len(recorded) == 1
    engine.generate(begin(engine, 7), random_condition(stack, 7, 3), torch.rand(7, 60, 1), draw)
    assert len(recorded) == 2, "more rows of condition than there was room for"
    engine.generate(begin(engine, 9), None, torch.rand(9, 60, 1), draw)
    assert len(recorded) == 3, "more rows"


class CallsSeen(TorchDispatchMode):
    """Writes down the names of torch's operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("draw", [*DRAWS, None], ids=str)
@pytest.mark.parametrize("precision", GraphEngine.precisions)
def test_a_step_asks_for_no_number_on_the_host(draw, precision):
    calls = CallsSeen()

    def watched(step, device):
        with calls:
            step()
        return lambda times: None

    stack = stack_for(draw or Draw(CLASSES))
    engine = GraphEngine(pack(stack), "meta", precision, watched)
    state = SamplerState.begin(engine.packed, torch.zeros(3), "meta")
    if draw is None:
        engine.follow(state, None, torch.zeros(3, 5, dtype=torch.long))
    else:
        engine.generate(state, None, torch.rand(3, 5, draw.distribution.uniforms_per_sample), draw)
    # Reading a number, or making a tensor from one of the host's, waits for the device or for the host's memory.
    banned = ("_local_scalar_dense", "nonzero", "lift_fresh", "is_nonzero", "equal.default")
    assert len(calls.names) > 10
    assert not [name for name in calls.names for word in banned if word in name]


def test_a_draw_that_looks_at_numbers_is_found():
    """The test above can fail."""

    class Peeking(Categorical):
        def sample(self, parameters, *rest):
            return super().sample(parameters if parameters.max() > 0 else -parameters, *rest)

    engine = GraphEngine(pack(stack_for(Draw(CLASSES))), "meta", record=lambda step, device: step())
    state = SamplerState.begin(engine.packed, torch.zeros(3), "meta")
    with pytest.raises(RuntimeError, match="meta"):
        engine.generate(state, None, torch.rand(3, 5, 1), Draw(Peeking(P)))


def test_conditions_that_do_not_fit_are_refused(make, stack):
    engine = make(stack)
    state = begin(engine, 2)
    with pytest.raises(ValueError, match="3 rows cannot be held over 10 steps"):
        engine.generate(state, random_condition(stack, 2, 3), torch.rand(2, 10, 1), Draw(CLASSES))
    with pytest.raises(ValueError, match="a condition of 5 sequences, expected 2"):
        engine.generate(state, random_condition(stack, 5, 1), torch.rand(2, 10, 1), Draw(CLASSES))


def test_what_is_missing_is_said(stack, monkeypatch):
    with pytest.raises(EngineUnavailable, match="cuda-graph runs on cuda, not on cpu"):
        GraphEngine(pack(stack), "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineUnavailable, match=r"cuda-graph needs CUDA, which torch .* does not find"):
        GraphEngine(pack(stack), "cuda")
    with pytest.raises(EngineUnavailable, match="cuda-graph has no int8, but float32 and bfloat16"):
        GraphEngine(pack(stack), "cuda", "int8")


@needs_cuda
def test_a_whole_decoder_runs_on_cuda(stack):
    """The engine is made by name, follows state and condition from the CPU, and says what it is."""
    from vqaudio.generation import choose_engine

    engine = choose_engine(pack(stack), "cuda-graph", "cuda")
    assert engine.describe() == "cuda-graph (cuda, float32)"
    assert engine.generate(begin(engine, 2), None, torch.rand(2, 9, 1), Draw(CLASSES)).device.type == "cuda"
