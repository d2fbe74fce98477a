"""The compiled engine is the parallel stack, step by step, with every instruction set that this machine has."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor

from tests.generation.conftest import random_stack
from tests.generation.same_draws import assert_same_draws
from vqaudio import csrc
from vqaudio.config import StackConfig
from vqaudio.errors import ModelError, VQAudioError
from vqaudio.generation import SamplerState, choose_engine, compiled_engine, pack
from vqaudio.generation.compiled_engine import LOOK_AHEAD, CompiledEngine
from vqaudio.generation.engine import EngineUnavailable
from vqaudio.generation.packed import PackedStack
from vqaudio.generation.torch_engine import TorchEngine
from vqaudio.models.distributions import Categorical, MixtureOfLogistics
from vqaudio.models.sampling import Draw
from vqaudio.models.wavenet import CausalStack

try:
    INSTRUCTIONS = csrc.available()
except csrc.KernelsUnavailable as reason:
    pytest.skip(str(reason), allow_module_level=True)
FUSED = [name for name in INSTRUCTIONS if name != "baseline"]
"""Those with fused multiply-add: the same bits."""

CONFIGS = {
    "two stacks": StackConfig(layers=8, stacks=2, residual_channels=16, gate_channels=32, skip_channels=48),
    "odd widths": StackConfig(layers=5, stacks=1, residual_channels=7, gate_channels=10, skip_channels=13),
    "one layer": StackConfig(layers=1, stacks=1, residual_channels=8, gate_channels=6, skip_channels=5),
    "wide": StackConfig(layers=3, stacks=1, residual_channels=80, gate_channels=288, skip_channels=160),
    "longer than the utterance": StackConfig(layers=9, stacks=1, residual_channels=8, gate_channels=8, skip_channels=8),
}
P = 19
draw = Draw(Categorical(P))


@pytest.fixture(params=INSTRUCTIONS)
def instructions(request, monkeypatch) -> str:
    monkeypatch.setenv(csrc.CHOICE, request.param)
    return request.param


@pytest.fixture(params=CONFIGS)
def stack(request) -> CausalStack:
    return random_stack(CONFIGS[request.param], P, P)


def begin(engine, first: Tensor) -> SamplerState:
    return SamplerState.begin(engine.packed, first, "cpu")


def generate(engine, condition: Tensor | None, uniforms: Tensor, how: Draw = draw) -> Tensor:
    return engine.generate(begin(engine, torch.zeros(len(uniforms))), condition, uniforms, how)


def follow(engine, inputs: Tensor, condition: Tensor | None) -> Tensor:
    """Parameters (B, T, P) after each of `inputs` (B, T)."""
    return engine.follow(begin(engine, inputs[:, 0]), condition, inputs.roll(-1, dims=1))


def with_instructions(name: str, packed: PackedStack, precision: str = "float32") -> CompiledEngine:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(csrc.CHOICE, name)
        return CompiledEngine(packed, precision=precision)


# ---------------------------------------------------------------------------------------------- parameters


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("batch", [1, 2, 7, 16])
def test_incremental_parameters_are_the_parallel_ones(stack, batch):
    inputs, condition = torch.randint(P, (batch, 60)), torch.randn(batch, 4, stack.condition_size)
    expected = stack(inputs, condition).detach()
    assert expected.std() > 0.3, "too flat for the comparison to mean anything"
    torch.testing.assert_close(follow(CompiledEngine(pack(stack)), inputs, condition), expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("instructions")
def test_incremental_parameters_of_real_values_are_the_parallel_ones():
    stack = random_stack(CONFIGS["odd widths"], None, 6)
    inputs, condition = torch.rand(3, 60) * 2 - 1, torch.randn(3, 1, stack.condition_size)
    expected = stack(inputs, condition).detach()
    torch.testing.assert_close(follow(CompiledEngine(pack(stack)), inputs, condition), expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("instructions")
def test_incremental_parameters_without_condition_are_the_parallel_ones(stack):
    inputs = torch.randint(P, (3, 60))
    expected = stack(inputs).detach()
    torch.testing.assert_close(follow(CompiledEngine(pack(stack)), inputs, None), expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("instructions")
def test_saturated_gates_stay_within_the_tolerance(stack):
    inputs, condition = torch.randint(P, (2, 12)), 60 * torch.randn(2, 12, stack.condition_size)
    expected = stack(inputs, condition).detach()
    torch.testing.assert_close(follow(CompiledEngine(pack(stack)), inputs, condition), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", CompiledEngine.precisions)
def test_instruction_sets_with_fused_multiply_add_agree_to_the_last_bit(stack, precision):
    if len(FUSED) < 2:
        pytest.skip(f"this machine has {INSTRUCTIONS} alone")
    if precision == "bfloat16":
        pytest.skip("the processor's own products of bfloat16 pairs round in their own way")
    inputs, condition = torch.randint(P, (5, 40)), torch.randn(5, 4, stack.condition_size)
    first, *others = (follow(with_instructions(n, pack(stack), precision), inputs, condition) for n in FUSED)
    assert all(torch.equal(first, other) for other in others)


# --------------------------------------------------------------------------------------------------- draws


@st.composite
def configurations(draw_from) -> StackConfig:
    period, stacks = draw_from(st.integers(1, 6)), draw_from(st.integers(1, 3))
    widths = st.integers(1, 40)
    return StackConfig(period * stacks, stacks, draw_from(widths), 2 * draw_from(widths), draw_from(widths))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(configurations(), st.integers(1, 5), st.sampled_from([1, 4, 250]), st.integers(0, 2**31))
def test_all_engines_and_instruction_sets_draw_the_same(config, batch, held, seed):
    stack = random_stack(config, P, P)
    torch.manual_seed(seed)
    packed, uniforms = pack(stack), torch.rand(batch, 1000, 1)
    condition = torch.randn(batch, held, stack.condition_size)
    reference = TorchEngine(packed)
    drawn = generate(reference, condition, uniforms)
    parameters = reference.follow(begin(reference, torch.zeros(batch)), condition, drawn)
    compiled = {name: generate(with_instructions(name, packed), condition, uniforms) for name in INSTRUCTIONS}
    for name in INSTRUCTIONS:
        same = assert_same_draws(drawn, compiled[name], parameters, uniforms, draw)
        # A uniform lies near enough to a border about once in 10^5 draws.
        assert same > 0.5
    assert all(torch.equal(compiled[FUSED[0]], compiled[name]) for name in FUSED[1:])


OPTIONS = [
    {},
    {"temperature": 0.7},
    {"top_k": 3},
    {"top_p": 0.8},
    {"temperature": 1.3, "top_k": 5, "top_p": 0.9},
    {"top_k": 1},
    {"top_p": 1e-9},
]


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("distribution", [Categorical(P), MixtureOfLogistics(4)], ids=["categorical", "mixture"])
def test_options_of_drawing_are_those_of_torch(distribution, options):
    tokens = P if isinstance(distribution, Categorical) else None
    stack = random_stack(CONFIGS["two stacks"], tokens, distribution.num_parameters)
    condition, uniforms = torch.randn(3, 5, stack.condition_size), torch.rand(3, 200, distribution.uniforms_per_sample)
    uniforms[:, ::17], uniforms[:, 1::17] = 0, 1 - 2**-24  # the ends of the range
    how, reference = Draw(distribution, **options), TorchEngine(pack(stack))
    drawn = generate(reference, condition, uniforms, how)
    parameters = reference.follow(begin(reference, torch.zeros(3)), condition, drawn)
    ours = generate(CompiledEngine(pack(stack)), condition, uniforms, how)
    # Levels of the mixture are fed back as they are: one within rounding of a border is soon found among 65,536.
    assert assert_same_draws(drawn, ours, parameters, uniforms, how) > (0.9 if tokens else 0.02)
    assert ours.dtype == drawn.dtype


@pytest.mark.usefixtures("instructions")
def test_ties_are_kept_and_ordered_as_torch_does():
    """Parameters that are equal, by weights of 0: three classes tie for the second place."""
    stack = random_stack(CONFIGS["one layer"], P, P)
    with torch.no_grad():
        stack.output.weight.zero_()
        stack.output.bias.zero_()
        stack.output.bias[:6] = torch.tensor([1.0, 2.0, 3.0, 2.0, 2.0, 1.5])
    uniforms = torch.rand(2, 400, 1)
    for options, classes in (({"top_k": 2}, [1, 2, 3, 4]), ({"top_k": 3, "top_p": 0.6}, [1, 2]), ({"top_k": 1}, [2])):
        how = Draw(Categorical(P), **options)
        ours = generate(CompiledEngine(pack(stack)), None, uniforms, how)
        assert ours.unique().tolist() == classes
        assert torch.equal(ours, generate(TorchEngine(pack(stack)), None, uniforms, how))


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("precision", CompiledEngine.precisions)
@pytest.mark.parametrize("batch", [1, 2, 5, 9])
def test_draws_do_not_depend_on_batch_or_threads(stack, batch, precision):
    condition, uniforms = torch.randn(19, 5, stack.condition_size), torch.rand(19, 40, 1)
    engine = CompiledEngine(pack(stack), precision=precision)
    together = generate(engine, condition, uniforms)
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            assert torch.equal(generate(engine, condition[:batch], uniforms[:batch]), together[:batch])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("division", [[10, 30], [2] * 20, [LOOK_AHEAD + 2, 28 - LOOK_AHEAD, 10]], ids=str)
def test_draws_do_not_depend_on_the_division_into_calls(stack, division):
    condition, uniforms = torch.randn(3, 20, stack.condition_size), torch.rand(3, 40, 1)
    engine = CompiledEngine(pack(stack))
    state, parts, done = begin(engine, torch.zeros(3)), [], 0
    for steps in division:
        rows = slice(done // 2, (done + steps) // 2)
        parts.append(engine.generate(state, condition[:, rows], uniforms[:, done : done + steps], draw))
        done += steps
    assert torch.equal(torch.cat(parts, dim=1), generate(engine, condition, uniforms))


# --------------------------------------------------------------------------------------------------- state


def test_a_saved_state_goes_on_as_if_nothing_had_happened(stack):
    condition, uniforms = torch.randn(10, 4, stack.condition_size), torch.rand(10, 40, 1)
    engine = CompiledEngine(pack(stack))
    state = begin(engine, torch.zeros(10))
    engine.generate(state, condition[:, :2], uniforms[:, :20], draw)
    restored = SamplerState.from_tensors(load(save(state.tensors())))
    after = engine.generate(restored, condition[:, 2:], uniforms[:, 20:], draw)
    whole = generate(engine, condition, uniforms)
    assert torch.equal(after, whole[:, 20:])
    rows = [7, 2, 9]
    kept = engine.generate(state.keep(rows), condition[rows, 2:], uniforms[rows, 20:], draw)
    assert torch.equal(kept, whole[rows, 20:])


@pytest.mark.parametrize("first", [TorchEngine, CompiledEngine])
def test_engines_take_up_each_others_states(stack, first):
    """The parameters after a hand-over are the parallel ones; torch's states have rows that fill up."""
    inputs, condition = torch.randint(P, (3, 40)), torch.randn(3, 4, stack.condition_size)
    one, other = first(pack(stack)), (CompiledEngine if first is TorchEngine else TorchEngine)(pack(stack))
    state = begin(one, inputs[:, 0])
    elements = inputs.roll(-1, dims=1)
    parts = [one.follow(state, condition[:, :2], elements[:, :20])]
    parts.append(other.follow(state, condition[:, 2:], elements[:, 20:]))
    torch.testing.assert_close(torch.cat(parts, dim=1), stack(inputs, condition).detach(), rtol=0, atol=1e-5)
    assert state.position == 40


# ---------------------------------------------------------------------------------------------- precisions


def rounded(x: np.ndarray) -> np.ndarray:
    return torch.from_numpy(np.asarray(x, dtype=np.float32)).bfloat16().double().numpy()


def simulated(packed: PackedStack, inputs: np.ndarray, condition: np.ndarray, precision: str) -> np.ndarray:
    """Parameters (T, P) in float64, but for what the precision rounds; condition (T, L, G)."""
    L, R, G = packed.past.shape
    Z = G // 2

    def quantized(w):
        scale = np.abs(w).max(axis=-2, keepdims=True) / 127
        return np.rint(w / scale) * scale

    def bytes_of(x, steps):
        scale = np.abs(x).max() / steps or 1.0
        return np.rint(x / scale) * scale

    int8 = precision == "int8"
    weights = quantized if int8 else rounded
    vector = (lambda x: bytes_of(x, 127)) if int8 else rounded
    gate = (lambda z: np.rint(z * 127) / 127) if int8 else rounded
    positive = (lambda x: bytes_of(x, 255)) if int8 else rounded
    past, now, residual = weights(packed.past), weights(packed.now), weights(packed.residual)
    skip, hidden, output = weights(packed.skip), weights(packed.hidden), weights(packed.output)
    history, outputs = np.zeros((L, len(inputs), R)), []
    for t, symbol in enumerate(inputs):
        x, gates = packed.input_weight[symbol].astype(np.float64), []
        for layer, d in enumerate(packed.dilations):
            history[layer, t] = x
            before = history[layer, t - d] if t >= d else np.zeros(R)
            h = vector(before) @ past[layer] + vector(x) @ now[layer] + packed.bias[layer] + condition[t, layer]
            gates.append(gate(np.tanh(h[:Z]) / (1 + np.exp(-h[Z:]))))
            if layer + 1 < L:
                x = x + gates[-1] @ residual[layer]
        s = np.maximum(np.concatenate(gates) @ skip + packed.skip_bias, 0)
        s = np.maximum(positive(s) @ hidden + packed.hidden_bias, 0)
        outputs.append(positive(s) @ output + packed.output_bias)
    return np.array(outputs)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_low_precisions_are_what_they_are_said_to_be(precision):
    stack = random_stack(CONFIGS["two stacks"], P, P)
    inputs, condition = torch.randint(P, (1, 30)), torch.randn(1, 30, stack.condition_size)
    by_hand = simulated(pack(stack), inputs[0].numpy(), condition[0].numpy().reshape(30, 8, 32), precision)
    ours = follow(CompiledEngine(pack(stack), precision=precision), inputs, condition)[0].numpy()
    exact = stack(inputs, condition)[0].detach().numpy()
    # What float32 rounds to another step of the coarse grid moves a value by one step of it, and that seldom.
    close = np.abs(ours - by_hand) < 1e-3
    assert close.mean() > 0.8
    assert np.abs(ours - by_hand).mean() < 0.2 * np.abs(ours - exact).mean()


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize(("precision", "bound"), [("bfloat16", 0.03), ("int8", 0.06)])
def test_low_precisions_are_near_float32(stack, precision, bound):
    """Relative to parameters of standard deviation about 1: some times the precisions' steps of 2^-8 and 1/127."""
    inputs, condition = torch.randint(P, (4, 40)), torch.randn(4, 4, stack.condition_size)
    expected = stack(inputs, condition).detach()
    error = (follow(CompiledEngine(pack(stack), precision=precision), inputs, condition) - expected).square().mean()
    assert 1e-5 < math.sqrt(error) / expected.std() < bound


# ---------------------------------------------------------------------------------------- mistakes and absence


def test_what_does_not_fit_is_refused(stack):
    engine, width = CompiledEngine(pack(stack)), stack.condition_size
    with pytest.raises(ValueError, match="3 rows cannot be held over 10 steps"):
        engine.generate(begin(engine, torch.zeros(2)), torch.zeros(2, 3, width), torch.rand(2, 10, 1), draw)
    with pytest.raises(ValueError, match="a condition of 5 sequences, expected 2"):
        engine.generate(begin(engine, torch.zeros(2)), torch.zeros(5, 1, width), torch.rand(2, 9, 1), draw)
    with pytest.raises(ValueError, match=f"a condition of {width + 1} channels, expected {width}"):
        engine.generate(begin(engine, torch.zeros(2)), torch.zeros(2, 1, width + 1), torch.rand(2, 9, 1), draw)
    with pytest.raises(ValueError, match=r"uniforms .* expected \(2, T, 1\)"):
        engine.generate(begin(engine, torch.zeros(2)), None, torch.rand(2, 10, 2), draw)
    with pytest.raises(ValueError, match=f"inputs from -1 to 0, expected 0 to {P - 1}"):
        engine.follow(begin(engine, torch.zeros(1)), None, torch.tensor([[0, -1]]))
    with pytest.raises(ValueError, match=f"inputs from {P} to {P}, expected"):
        engine.generate(begin(engine, torch.full((1,), P)), None, torch.rand(1, 1, 1), draw)


def test_nan_is_not_drawn_from(stack):
    with torch.no_grad():
        stack.output.bias[3] = math.nan
    with pytest.raises(ModelError, match="outputs are NaN"):
        generate(CompiledEngine(pack(stack)), None, torch.rand(2, 5, 1))


@pytest.mark.usefixtures("instructions")
def test_nan_stays_nan_through_gates_and_rectifiers(stack):
    condition = torch.randn(2, 5, stack.condition_size)
    condition[1, 3, 0] = math.nan
    parameters = follow(CompiledEngine(pack(stack)), torch.zeros(2, 5, dtype=torch.long), condition)
    assert not parameters[0].isnan().any()
    assert parameters[1].isnan().any(dim=-1).tolist()[:4] == [False, False, False, True]


def test_nothing_to_do(stack):
    engine = CompiledEngine(pack(stack))
    assert engine.generate(begin(engine, torch.zeros(0)), None, torch.rand(0, 5, 1), draw).shape == (0, 5)
    assert engine.generate(begin(engine, torch.zeros(2)), None, torch.rand(2, 0, 1), draw).shape == (2, 0)


def test_the_log_names_instruction_set_and_precision(stack):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(csrc.CHOICE, INSTRUCTIONS[0])
        engine = CompiledEngine(pack(stack), precision="int8")
    assert engine.describe() == f"compiled ({INSTRUCTIONS[0]}, int8)"


def test_an_unknown_instruction_set_is_answered_with_the_known(stack, monkeypatch):
    monkeypatch.setenv(csrc.CHOICE, "avx1024")
    with pytest.raises(VQAudioError, match="VQAUDIO_INSTRUCTIONS: got 'avx1024', expected one of baseline"):
        CompiledEngine(pack(stack))


def test_without_the_library_the_next_engine_takes_over(stack, monkeypatch):
    def missing():
        raise csrc.KernelsUnavailable("the kernels are not built: install a C++ compiler, then vqaudio again")

    monkeypatch.setattr(compiled_engine, "instruction_set", missing)
    with pytest.raises(EngineUnavailable, match="install a C"):
        choose_engine(pack(stack), "compiled")
    assert choose_engine(pack(stack)).name in ("numba", "torch")
