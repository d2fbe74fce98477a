"""Compiled steps are the parallel stack; compiled draws are those of torch; whatever the batch and its division."""

from __future__ import annotations

import logging
import math
from functools import partial

import numba
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.generation.conftest import build_model, random_stack
from tests.generation.same_draws import assert_same_draws
from vqaudio.config import StackConfig
from vqaudio.errors import ModelError, VQAudioError
from vqaudio.generation import choose_engine, generate_waveforms, numba_engine
from vqaudio.generation.engine import EngineUnavailable
from vqaudio.generation.numba_engine import NumbaEngine
from vqaudio.generation.numba_step import _exp, compiled
from vqaudio.generation.packed import pack
from vqaudio.generation.state import SamplerState
from vqaudio.generation.torch_engine import TorchEngine
from vqaudio.models.distributions import Categorical, MixtureOfLogistics, MuLawSoftmax
from vqaudio.models.sampling import Draw
from vqaudio.models.wavenet import CausalStack

CONFIGS = {
    "two stacks": StackConfig(layers=6, stacks=2, residual_channels=8, gate_channels=16, skip_channels=24),
    "odd widths": StackConfig(layers=5, stacks=1, residual_channels=7, gate_channels=10, skip_channels=13),
    "one layer": StackConfig(layers=1, stacks=1, residual_channels=8, gate_channels=6, skip_channels=5),
    "dilations longer than the utterance": StackConfig(8, 1, residual_channels=5, gate_channels=4, skip_channels=6),
}
P = 11
STEPS = 60


@pytest.fixture(params=CONFIGS)
def config(request) -> StackConfig:
    return CONFIGS[request.param]


@pytest.fixture
def stack(config) -> CausalStack:
    return random_stack(config, P, P)


classes = Draw(Categorical(P))


def begin(stack: CausalStack, first: Tensor, engine: type = NumbaEngine) -> tuple:
    made = engine(pack(stack))
    return made, SamplerState.begin(made.packed, first, "cpu")


def run(stack: CausalStack, condition: Tensor | None, uniforms: Tensor, draw: Draw = classes, engine=NumbaEngine):
    made, state = begin(stack, torch.zeros(len(uniforms)), engine)
    return made.generate(state, condition, uniforms, draw)


def shifted(inputs: Tensor) -> Tensor:
    """The elements that follow inputs (B, T); the last one is never looked at."""
    return torch.cat([inputs[:, 1:], inputs[:, :1]], dim=1)


def forced(stack: CausalStack, inputs: Tensor, condition: Tensor | None, engine: type = NumbaEngine) -> Tensor:
    """Parameters (B, T, P) of the engine after each of `inputs` (B, T)."""
    made, state = begin(stack, inputs[:, 0], engine)
    return made.follow(state, condition, shifted(inputs))


@pytest.fixture
def threads():
    """Set the number of torch's threads, for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


close = partial(torch.testing.assert_close, rtol=0, atol=1e-5)  # what the contract of `Engine` says


@pytest.mark.parametrize("batch", [1, 5])
def test_parameters_are_those_of_the_parallel_stack(stack, batch):
    inputs, condition = torch.randint(P, (batch, STEPS)), torch.randn(batch, 4, stack.condition_size)
    expected = stack(inputs, condition).detach()
    assert expected.std() > 0.3, "too flat for the comparison to mean anything"
    close(forced(stack, inputs, condition), expected)


def test_parameters_of_real_values_are_those_of_the_parallel_stack(config):
    stack = random_stack(config, None, P)
    inputs, condition = torch.rand(3, STEPS) * 2 - 1, torch.randn(3, 1, stack.condition_size)
    close(forced(stack, inputs, condition), stack(inputs, condition).detach())


def test_parameters_without_condition_are_those_of_the_parallel_stack(stack):
    inputs = torch.randint(P, (3, STEPS))
    close(forced(stack, inputs, None), stack(inputs).detach())


def test_saturated_gates_stay_within_the_tolerance(stack):
    # Far beyond the range of exp in float32, on both sides.
    inputs, condition = torch.randint(P, (2, 12)), 300 * torch.randn(2, 12, stack.condition_size)
    close(forced(stack, inputs, condition), stack(inputs, condition).detach())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_where_it_is_in_the_parallel_stack(stack, value):
    inputs, condition = torch.randint(P, (2, 12)), torch.randn(2, 12, stack.condition_size)
    condition[0, 5, 0] = value
    close(forced(stack, inputs, condition), stack(inputs, condition).detach(), equal_nan=True)


def test_drawing_from_nan_is_refused(stack):
    condition = torch.zeros(2, 4, stack.condition_size)
    condition[1, 2] = math.nan
    with pytest.raises(ModelError, match="the stack's outputs are not finite numbers"):
        run(stack, condition, torch.rand(2, 8, 1))


OPTIONS = [
    {},
    {"temperature": 0.7},
    {"top_k": 3},
    {"top_k": 1},
    {"top_p": 0.8},
    {"temperature": 1.3, "top_k": 5, "top_p": 0.6},
    {"top_k": 1000, "top_p": 1.0},
    {"top_p": 1e-9},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("distribution", [MuLawSoftmax(32), MixtureOfLogistics(5, bits=8)], ids=["mulaw", "mol"])
def test_draws_are_those_of_the_torch_engine(distribution, options):
    draw, tokens = Draw(distribution, **options), distribution.input_tokens
    stack = random_stack(CONFIGS["odd widths"], tokens, distribution.num_parameters)
    condition, uniforms = torch.randn(12, 5, stack.condition_size), torch.rand(12, 100, 2)
    expected = run(stack, condition, uniforms, draw, TorchEngine)
    parameters = begin_and_follow(stack, condition, expected)
    drawn = run(stack, condition, uniforms, draw)
    # A level of 8 bits is 8e-3 wide and parameters differ by 1e-6: a border in some thousand draws.
    assert assert_same_draws(expected, drawn, parameters, uniforms, draw) > 0.9
    assert len(drawn.unique()) > 2


def begin_and_follow(stack: CausalStack, condition: Tensor, drawn: Tensor) -> Tensor:
    engine, state = begin(stack, torch.zeros(len(drawn)), TorchEngine)
    return engine.follow(state, condition, drawn)


def test_levels_of_16_bits_differ_by_one_at_borders_only():
    draw = Draw(MixtureOfLogistics(5, bits=16))
    stack = random_stack(CONFIGS["odd widths"], None, 15)
    uniforms = torch.rand(64, 40, 2)
    expected = run(stack, None, uniforms, draw, TorchEngine)
    drawn = run(stack, None, uniforms, draw)
    share = assert_same_draws(expected, drawn, begin_and_follow(stack, None, expected), uniforms, draw)
    assert share > 0.5, "too few elements before the first difference"


def constant_stack(parameters: Tensor, tokens: int | None) -> CausalStack:
    """A stack whose parameters are these (P,), to the last bit."""
    stack = random_stack(CONFIGS["one layer"], tokens, len(parameters))
    with torch.no_grad():
        stack.output.weight.zero_()
        stack.output.bias.copy_(parameters)
    return stack


EXTREMES = torch.tensor([0.0, 2.0**-25, 0.5, 0.5 + 2.0**-20, 1 - 2.0**-24])
"""Uniforms at the ends of their range and in the middle."""


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_ties_and_impossible_classes_are_drawn_as_torch_draws_them(options):
    """Here the parameters are equal to the last bit, so that the draws are: no tolerance."""
    random = torch.Generator().manual_seed(8)
    draw = Draw(Categorical(P), **options)
    for _ in range(20):
        logits = torch.randint(-3, 3, (P,), generator=random) / 2  # whose halves make many ties
        logits[torch.rand(P, generator=random) < 0.2] = -1000  # of probability 0
        uniforms = torch.cat([EXTREMES, torch.rand(60, generator=random)])[:, None, None]
        expected = draw(logits.expand(len(uniforms), P), uniforms[:, 0])
        assert torch.equal(run(constant_stack(logits, P), None, uniforms, draw)[:, 0], expected), logits


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_extreme_scales_and_uniforms_are_drawn_as_torch_draws_them(options):
    random = torch.Generator().manual_seed(9)
    draw = Draw(MixtureOfLogistics(4, bits=16), **options)
    for _ in range(20):
        logits = torch.randint(-2, 2, (4,), generator=random) / 2
        means = 2.4 * torch.rand(4, generator=random) - 1.2  # beyond both ends of the range, too
        log_scales = torch.empty(4).uniform_(-16, 14, generator=random)  # beyond both limits, -12.4 and 10
        parameters = torch.cat([logits, means, log_scales])
        uniforms = torch.cat([torch.cartesian_prod(EXTREMES, EXTREMES), torch.rand(40, 2, generator=random)])[:, None]
        expected = draw(parameters.expand(len(uniforms), 12), uniforms[:, 0])
        assert torch.equal(run(constant_stack(parameters, None), None, uniforms, draw)[:, 0], expected), parameters


@pytest.mark.parametrize("batch", [1, 2, 7, 18])
def test_nothing_depends_on_the_batch_to_the_last_bit(stack, batch):
    inputs, condition = torch.randint(P, (19, 20)), torch.randn(19, 5, stack.condition_size)
    uniforms = torch.rand(19, 20, 1)
    assert torch.equal(forced(stack, inputs[:batch], condition[:batch]), forced(stack, inputs, condition)[:batch])
    drawn = run(stack, condition, uniforms)
    assert torch.equal(run(stack, condition[:batch], uniforms[:batch]), drawn[:batch])


@pytest.mark.parametrize("count", [2, 3, 50])
def test_threads_change_nothing(stack, threads, count):
    condition, uniforms = torch.randn(10, 5, stack.condition_size), torch.rand(10, 20, 1)
    threads(1)
    alone = run(stack, condition, uniforms)
    threads(count)
    assert torch.equal(run(stack, condition, uniforms), alone)


@pytest.mark.parametrize("division", [[10, 30], [2, 38], [8, 8, 8, 8, 8]], ids=str)
def test_draws_do_not_depend_on_the_division_into_calls(stack, division):
    condition, uniforms = torch.randn(3, 20, stack.condition_size), torch.rand(3, 40, 1)
    (engine, state), parts, done = begin(stack, torch.zeros(3)), [], 0
    for steps in division:
        part, rows = slice(done, done + steps), slice(done // 2, (done + steps) // 2)
        parts.append(engine.generate(state, condition[:, rows], uniforms[:, part], classes))
        done += steps
    assert torch.equal(torch.cat(parts, dim=1), run(stack, condition, uniforms))
    assert state.position == 40


@pytest.mark.parametrize("order", [(TorchEngine, NumbaEngine), (NumbaEngine, TorchEngine)], ids=["torch first", "last"])
@pytest.mark.parametrize("tokens", [P, None], ids=["symbols", "real values"])
def test_a_state_passes_between_engines(config, order, tokens):
    """Of three sequences: torch fills them up to eight rows or more, which numba has to leave where they are."""
    stack = random_stack(config, tokens, P)
    inputs = torch.randint(P, (3, STEPS)) if tokens else torch.rand(3, STEPS) * 2 - 1
    condition, elements, half = torch.randn(3, 4, stack.condition_size), shifted(inputs), STEPS // 2
    first, second = (engine(pack(stack)) for engine in order)
    state = SamplerState.begin(first.packed, inputs[:, 0], "cpu")
    begun = first.follow(state, condition[:, :2], elements[:, :half])
    gone_on = second.follow(state, condition[:, 2:], elements[:, half:])
    close(torch.cat([begun, gone_on], dim=1), stack(inputs, condition).detach())
    assert len(state.inputs) > state.batch == 3
    assert torch.equal(state.inputs[:3], elements[:, -1])


def test_kept_rows_go_on_as_if_nothing_had_happened(stack):
    condition, uniforms = torch.randn(10, 4, stack.condition_size), torch.rand(10, 40, 1)
    engine, state = begin(stack, torch.zeros(10))
    engine.generate(state, condition[:, :2], uniforms[:, :20], classes)
    rows = [7, 2, 9]
    after = engine.generate(state.keep(rows), condition[rows, 2:], uniforms[rows, 20:], classes)
    assert torch.equal(after, run(stack, condition, uniforms)[rows, 20:])


def test_no_steps_and_no_sequences_are_nothing(stack):
    engine, state = begin(stack, torch.zeros(2))
    assert engine.generate(state, None, torch.rand(2, 0, 1), classes).shape == (2, 0)
    assert state.position == 0
    assert run(stack, None, torch.rand(0, 4, 1)).shape == (0, 4)


@pytest.mark.parametrize("output", ["mulaw", "mol"])
def test_waveforms_do_not_depend_on_the_batch(output):
    model = build_model(output)
    units, speakers = [torch.randint(9, (n,)) for n in (7, 30, 0, 12)], [0, 1, 2, 0]
    alone, together = (
        generate_waveforms(model, units, speakers, engine="numba", batch_size=size, top_p=0.95) for size in (1, 3)
    )
    assert all(map(torch.equal, alone, together))
    assert together[1].std() > 0


def test_all_calls_are_of_one_signature(stack):
    """Else numba would compile again, for seconds."""
    real = random_stack(CONFIGS["one layer"], None, 6)
    run(real, None, torch.rand(1, 1, 2), Draw(MixtureOfLogistics(2), temperature=2, top_k=1, top_p=1))
    run(stack, torch.zeros(2, 1, stack.condition_size), torch.rand(1, 2, 1).transpose(0, 1))
    forced(stack, torch.zeros(5, 1, dtype=torch.long).t(), None)
    assert len(numba_engine._stepper().signatures) == 1


class Unknown:
    uniforms_per_sample = 1


class Greedy(Categorical):
    def sample(self, parameters, uniforms, temperature=1.0, top_k=None, top_p=None):
        return parameters.argmax(-1)


@pytest.mark.parametrize("distribution", [Unknown(), Greedy(P)], ids=["unknown", "drawing in its own way"])
def test_other_distributions_are_refused(stack, distribution):
    Unknown.sample = Greedy.sample
    with pytest.raises(VQAudioError, match=f"got a distribution {type(distribution).__name__}, expected a Categorical"):
        run(stack, None, torch.rand(1, 2, 1), Draw(distribution))


def test_what_would_read_beyond_the_arrays_is_refused(stack):
    """Compiled code does not look where it reads."""
    engine, state = begin(stack, torch.zeros(2))
    uniforms, size = torch.rand(2, 10, 1), stack.condition_size
    wrong = {
        "3 rows cannot be held over 10 steps": lambda: engine.generate(
            state, torch.zeros(2, 3, size), uniforms, classes
        ),
        "5 sequences, expected 2": lambda: engine.generate(state, torch.zeros(5, 1, size), uniforms, classes),
        f"8 channels, expected {size}": lambda: engine.generate(state, torch.zeros(2, 1, 8), uniforms, classes),
        "of 3 sequences, expected 2": lambda: engine.follow(state, None, torch.zeros(3, 1)),
        "inputs from 0 to 11, expected 0 to 10": lambda: engine.follow(state, None, torch.tensor([[0], [P]])),
        "with 12 parameters of 12": lambda: engine.generate(state, None, uniforms, Draw(Categorical(12))),
        "0 uniforms a draw, expected 1": lambda: engine.generate(state, None, uniforms[..., :0], classes),
    }
    for message, call in wrong.items():
        with pytest.raises(ValueError, match=message):
            call()
    assert state.position == 0


def test_other_devices_and_precisions_are_refused(stack):
    with pytest.raises(EngineUnavailable, match="engine numba runs on cpu, not on cuda"):
        NumbaEngine(pack(stack), "cuda")
    with pytest.raises(EngineUnavailable, match="numba has no bfloat16, but float32"):
        NumbaEngine(pack(stack), "cpu", "bfloat16")


def test_without_compiling_there_is_no_engine(stack, monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(EngineUnavailable, match="numba: compiling is switched off"):
        NumbaEngine(pack(stack))


def test_the_log_says_what_the_engine_runs_on(stack, threads):
    threads(3)
    engine = choose_engine(pack(stack), "numba")
    assert engine.describe().startswith("numba (cpu, float32, compiled for ")
    assert engine.describe().endswith("threads: 3)")


@pytest.fixture
def quick_step(caplog):
    """A function that compiles in no time, and that calls another one."""
    caplog.set_level(logging.INFO, "vqaudio")
    inner = compiled()(lambda x: x + 1)
    return compiled()(lambda x: inner(x) * 2)


def test_compiling_is_said_once(quick_step, caplog):
    for _ in range(3):
        numba_engine._compile(quick_step, (1.0,))
    (line,) = caplog.messages
    assert line.startswith("compiling the numba engine")
    assert line.endswith("is not kept: set NUMBA_CACHE_DIR to a folder"), "this one has no cache"
    assert quick_step(1.0) == 4


def test_the_engine_works_where_its_code_cannot_be_written(quick_step, caplog, monkeypatch):
    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(quick_step._cache, "save_overload", full_disk, raising=False)
    numba_engine._compile(quick_step, (1.0,))
    assert caplog.messages[-1] == "the compiled numba engine cannot be kept for the next time: No space left on device"
    assert quick_step(1.0) == 4


def test_the_engine_works_where_no_folder_can_be_written(monkeypatch):
    assert numba_engine._stepper().stats.cache_path
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    assert numba_engine._stepper.__wrapped__().stats.cache_path is None


def test_exp_is_right_to_the_last_digits():
    """Against float64: from end to end of its range, about 0, and beyond both ends."""
    x = np.concatenate([np.linspace(-87, 87, 2001), np.linspace(-1, 1, 501)]).astype(np.float32)
    expected = np.exp(x.astype(np.float64))
    errors = np.array([_exp(value) for value in x]) / expected - 1
    assert np.abs(errors).max() < 2e-7  # two units in the last place
    assert [_exp(np.float32(value)) for value in (0, -np.inf, 1e9)] == [1, _exp(x[0]), _exp(x[2000])]
    assert math.isnan(_exp(np.float32(np.nan)))
