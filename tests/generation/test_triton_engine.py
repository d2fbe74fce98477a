"""The kernel is the stack: on a CUDA device, and in Triton's interpreter.

The interpreter has to be on before Triton is imported. So without CUDA the tests of the kernel are skipped here, and
`test_the_kernel_in_the_interpreter` runs them in another process. It makes a step in tens of milliseconds: steps are
few, and sequences, which cost it nothing, are many.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.generation.conftest import random_stack
from tests.generation.same_draws import assert_same_draws
from vqaudio.config import StackConfig
from vqaudio.generation import choose_engine, triton_engine
from vqaudio.generation.engine import EngineUnavailable
from vqaudio.generation.packed import pack
from vqaudio.generation.state import SamplerState
from vqaudio.generation.torch_engine import TorchEngine
from vqaudio.generation.triton_engine import TritonEngine
from vqaudio.models.distributions import Categorical, MixtureOfLogistics
from vqaudio.models.sampling import Draw
from vqaudio.models.wavenet import CausalStack

CONFIGS = {
    "two stacks": StackConfig(layers=6, stacks=2, residual_channels=8, gate_channels=16, skip_channels=24),
    "odd widths": StackConfig(layers=5, stacks=1, residual_channels=7, gate_channels=10, skip_channels=13),
    "one layer": StackConfig(layers=1, stacks=1, residual_channels=16, gate_channels=6, skip_channels=5),
    # Wide enough for the weights of its layers to be read in parts.
    "in parts": StackConfig(layers=2, stacks=1, residual_channels=40, gate_channels=70, skip_channels=20),
}
PAPER = StackConfig(layers=30, stacks=3, residual_channels=64, gate_channels=128, skip_channels=256)
P = 12
CLASSES, LEVELS = Categorical(P), MixtureOfLogistics(P // 3, bits=10)
OPTIONS = [{}, {"temperature": 0.7}, {"temperature": 1.3, "top_k": 8, "top_p": 0.9}]
DRAWS = [Draw(distribution, **options) for distribution in (CLASSES, LEVELS) for options in OPTIONS]

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
INSTALLED = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not INSTALLED, reason="triton is not installed")
needs_cuda = pytest.mark.skipif(
    not INSTALLED or not torch.cuda.is_available() or INTERPRETED, reason="needs triton and a CUDA device"
)
runs_kernel = pytest.mark.skipif(
    not INSTALLED or not (torch.cuda.is_available() or INTERPRETED),
    reason="needs triton and CUDA; where triton is installed, test_the_kernel_in_the_interpreter runs it",
)
DEVICE = "cpu" if INTERPRETED else "cuda"


def make(stack: CausalStack, precision: str = "float32") -> TritonEngine:
    return TritonEngine(pack(stack), DEVICE, precision)


def stack_for(draw: Draw, name: str = "two stacks") -> CausalStack:
    """A stack that takes what `draw` draws; of levels, the scales are small enough to show the means."""
    stack = random_stack(CONFIGS[name], draw.distribution.input_tokens, P)
    if draw.distribution is LEVELS:
        with torch.no_grad():
            stack.output.weight.mul_(0.3)
            stack.output.bias[2 * LEVELS.mixtures :] -= 3
    return stack


def begin(engine: TritonEngine | TorchEngine, batch: int) -> SamplerState:
    return SamplerState.begin(engine.packed, torch.zeros(batch), engine.device)


def forced(engine: TritonEngine, inputs: Tensor, condition: Tensor | None) -> Tensor:
    """Parameters (B, T, P) of the engine after each of `inputs` (B, T), on the CPU."""
    state = SamplerState.begin(engine.packed, inputs[:, 0], engine.device)
    return engine.follow(state, condition, torch.cat([inputs[:, 1:], inputs[:, :1]], dim=1)).cpu()


def random_condition(stack: CausalStack, batch: int, units: int) -> Tensor:
    return torch.randn(batch, units, stack.condition_size)


@runs_kernel
@pytest.mark.parametrize(("name", "batch"), [*zip(CONFIGS, [3, 17, 16, 1])])
def test_parameters_are_the_parallel_ones(name, batch):
    stack = random_stack(CONFIGS[name], P, P)
    inputs, condition = torch.randint(P, (batch, 24)), random_condition(stack, batch, 4)
    expected = stack(inputs, condition).detach()
    assert expected.std() > 0.3, "too flat for the comparison to mean anything"
    torch.testing.assert_close(forced(make(stack), inputs, condition), expected, rtol=0, atol=1e-5)


@runs_kernel
def test_parameters_of_real_values_without_condition_are_the_parallel_ones():
    stack = random_stack(CONFIGS["two stacks"], None, P)
    inputs = torch.rand(20, 12) * 2 - 1
    torch.testing.assert_close(forced(make(stack), inputs, None), stack(inputs).detach(), rtol=0, atol=1e-5)


@pytest.fixture
def bfloat16_products(monkeypatch):
    """Triton 3.9's interpreter keeps bfloat16 as integers of 16 bits, and multiplies them as such."""
    if not INTERPRETED:
        return
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder

    multiply = InterpreterBuilder.create_dot

    def widened(self, a, b, *rest):
        return multiply(self, *(self.cast_impl(x, tl.float32) if x.dtype == tl.bfloat16 else x for x in (a, b)), *rest)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", widened)


@runs_kernel
@pytest.mark.usefixtures("bfloat16_products")
@pytest.mark.parametrize("name", ["two stacks", "in parts"])
def test_bfloat16_rounds_and_no_more(name):
    stack = random_stack(CONFIGS[name], P, P)
    inputs, condition = torch.randint(P, (16, 8)), random_condition(stack, 16, 8)
    error = forced(make(stack, "bfloat16"), inputs, condition) - stack(inputs, condition).detach()
    # Numbers are rounded by up to 2^-9 of themselves, at random, some ten times on the way to parameters of about 1.
    assert 1e-4 < error.std() < 0.02


@runs_kernel
@pytest.mark.parametrize("draw", DRAWS, ids=str)
def test_draws_are_those_of_the_torch_engine(draw):
    stack, batch, T = stack_for(draw, "one layer"), 30, 10
    reference, engine = TorchEngine(pack(stack)), make(stack)
    condition, uniforms = random_condition(stack, batch, 5), torch.rand(batch, T, draw.distribution.uniforms_per_sample)
    uniforms[:2], uniforms[2:4] = 0, 1 - 2**-24  # the least and the greatest that there are
    uniforms[4:10, :, -1] = 0  # for levels, within any component
    expected = reference.generate(begin(reference, batch), condition, uniforms, draw)
    drawn = engine.generate(begin(engine, batch), condition, uniforms, draw).cpu()
    parameters = reference.follow(begin(reference, batch), condition, expected)
    assert drawn.dtype == expected.dtype
    assert len(expected.unique()) > 2
    # One uniform in some ten thousand lies within rounding of a border; levels have more borders than classes.
    assert assert_same_draws(expected, drawn, parameters, uniforms, draw) > 0.9


@runs_kernel
def test_the_least_scale_is_that_of_the_distribution():
    draw = Draw(LEVELS)
    stack = stack_for(draw, "one layer")
    with torch.no_grad():
        stack.output.bias[2 * LEVELS.mixtures :] -= 30
    reference, engine, uniforms = TorchEngine(pack(stack)), make(stack), torch.rand(16, 4, 2)
    uniforms[..., 1] = 0  # sixteen of the least scales, or two levels, below the mean
    expected = reference.generate(begin(reference, 16), None, uniforms, draw)
    drawn = engine.generate(begin(engine, 16), None, uniforms, draw).cpu()
    parameters = reference.follow(begin(reference, 16), None, expected)
    assert assert_same_draws(expected, drawn, parameters, uniforms, draw) > 0.9


@runs_kernel
def test_a_class_of_probability_zero_is_never_drawn():
    stack = random_stack(CONFIGS["one layer"], P, P)
    with torch.no_grad():
        stack.output.bias[::2] -= 1000
    engine, uniforms = make(stack), torch.rand(64, 4, 1)
    uniforms[:8], uniforms[8:16] = 0, 1 - 2**-24
    drawn = engine.generate(begin(engine, 64), None, uniforms, Draw(CLASSES))
    assert (drawn % 2 == 1).all()
    assert len(drawn.unique()) > 2


@runs_kernel
@pytest.mark.parametrize("draw", [Draw(CLASSES), Draw(CLASSES, top_k=8)], ids=str)
def test_neither_batch_nor_division_into_calls_change_a_bit(draw):
    stack = random_stack(CONFIGS["two stacks"], P, P)
    engine = make(stack)
    condition, uniforms = random_condition(stack, 17, 6), torch.rand(17, 12, 1)
    whole = engine.generate(begin(engine, 17), condition, uniforms, draw)
    state, parts, done = begin(engine, 3), [], 0
    for steps in (6, 2, 4):
        part, rows = slice(done, done + steps), slice(done // 2, (done + steps) // 2)
        parts.append(engine.generate(state, condition[:3, rows], uniforms[:3, part], draw))
        done += steps
    assert torch.equal(torch.cat(parts, dim=1), whole[:3])
    assert state.position == 12


@runs_kernel
@pytest.mark.parametrize("draw", [Draw(CLASSES), Draw(LEVELS, top_k=3)], ids=str)
def test_engines_take_over_from_each_other(draw):
    stack = stack_for(draw)
    engine, reference = make(stack), TorchEngine(pack(stack))
    condition, uniforms = random_condition(stack, 5, 6), torch.rand(5, 18, draw.distribution.uniforms_per_sample)
    state, parts = begin(reference, 5), []
    for i, one in enumerate([reference, engine, reference, engine, engine, reference]):
        state = SamplerState.from_tensors(state.tensors(), one.device)
        part = slice(3 * i, 3 * i + 3)
        parts.append(one.generate(state, condition[:, i : i + 1], uniforms[:, part], draw).cpu())
    expected = reference.generate(begin(reference, 5), condition, uniforms, draw)
    parameters = reference.follow(begin(reference, 5), condition, expected)
    assert assert_same_draws(expected, torch.cat(parts, dim=1), parameters, uniforms, draw) > 0.9


@runs_kernel
def test_conditions_that_do_not_fit_are_refused():
    stack = random_stack(CONFIGS["one layer"], P, P)
    engine = make(stack)
    with pytest.raises(ValueError, match="3 rows cannot be held over 10 steps"):
        engine.generate(begin(engine, 2), random_condition(stack, 2, 3), torch.rand(2, 10, 1), Draw(CLASSES))


@runs_kernel
def test_other_dilations_are_refused():
    stack = random_stack(CONFIGS["odd widths"], P, P)
    packed = pack(stack)
    object.__setattr__(packed, "dilations", (1, 3, 9, 27, 81))
    with pytest.raises(EngineUnavailable, match=r"dilations of 1, 2, 4, … anew, not \(1, 3, 9, 27, 81\)"):
        TritonEngine(packed, DEVICE)


@runs_kernel
def test_what_is_too_wide_for_the_device_is_said(monkeypatch):
    engine = make(random_stack(CONFIGS["one layer"], P, P))
    tried = []

    def launch(self, *args, **kwargs):
        tried.append(self._options["num_stages"])
        raise self._module.OutOfResources(200_000, 100_000, "shared memory")

    monkeypatch.setattr(TritonEngine, "_launch", launch)
    with pytest.raises(EngineUnavailable, match=r"triton: the stack is too wide for this device: .*200000"):
        TritonEngine(engine.packed, DEVICE)
    assert tried == [3, 2, 1]


@needs_cuda
@pytest.mark.parametrize("precision", TritonEngine.precisions)
def test_the_size_of_the_paper_gives_the_same_bits_again_and_again(precision):
    """A barrier too few shows as results that change from run to run, or with what else runs on the device."""
    stack = random_stack(PAPER, 256, 256)
    engine, draw = TritonEngine(pack(stack), "cuda", precision), Draw(Categorical(256))
    condition, uniforms = random_condition(stack, 300, 8), torch.rand(300, 512, 1)
    first = engine.generate(begin(engine, 300), condition, uniforms, draw)
    for batch in (300, 300, 1, 40):
        again = engine.generate(begin(engine, batch), condition[:batch], uniforms[:batch], draw)
        assert torch.equal(again, first[:batch])


@needs_cuda
def test_draws_of_the_size_of_the_paper_are_those_of_the_torch_engine():
    stack, draw = random_stack(PAPER, 256, 256), Draw(Categorical(256))
    reference, engine = TorchEngine(pack(stack)), TritonEngine(pack(stack), "cuda")
    condition, uniforms = random_condition(stack, 4, 5), torch.rand(4, 320, 1)
    expected = reference.generate(begin(reference, 4), condition, uniforms, draw)
    drawn = engine.generate(begin(engine, 4), condition, uniforms, draw).cpu()
    parameters = reference.follow(begin(reference, 4), condition, expected)
    assert assert_same_draws(expected, drawn, parameters, uniforms, draw) > 0.5


@needs_cuda
def test_it_is_preferred_on_cuda():
    engine = choose_engine(pack(random_stack(CONFIGS["odd widths"], P, P)), "auto", "cuda")
    assert engine.describe() == "triton (cuda, float32)"


def run(program: list[str], **environment: str) -> str:
    """Return what a Python process from the repository's root prints; its end may not be an error."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, *program], cwd=root, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="this is the process that it starts")
def test_the_kernel_in_the_interpreter():
    printed = run(["-m", "pytest", "-q", __file__], TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")
    passed = re.search(r"(\d+) passed", printed)
    assert passed, printed
    assert int(passed[1]) > 20, printed


COMPILE = """
import re, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from tests.generation.conftest import random_stack
from tests.generation.test_triton_engine import PAPER
from vqaudio.generation import pack, triton_engine, triton_kernel

precision, weights = sys.argv[1:]
packed = pack(random_stack(PAPER, 256, 256))
constants = triton_engine._constants(packed, precision, triton_kernel.ROWS)
constants |= {"DRAW": "class", "MIXTURES": 1, "UNIFORMS": 1}
kinds = dict.fromkeys(triton_kernel.make_steps.arg_names, "*fp32")
kinds |= dict.fromkeys(["gates", "first", "second", "past", "now", "residual", "skip", "hidden", "output"], weights)
kinds |= {"elements": "*i64", **dict.fromkeys(["rows", "steps", "hold", "phase"], "i32")}
kinds |= dict.fromkeys(["temperature", "log_scale_least", "log_scale_most", "levels"], "fp32")
kinds |= dict.fromkeys(constants, "constexpr")
source = ASTSource(triton_kernel.make_steps, kinds, constants)
options = {"num_stages": 3, "num_warps": triton_engine._warps(constants, precision), "enable_fp_fusion": True}
made = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=options)
print(made.metadata.shared, len(re.findall(r"gpu\\.barrier|ttg\\.barrier", made.asm["ttir"])))
"""


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
@pytest.mark.parametrize(("precision", "weights", "barriers"), [("float32", "*fp32", 5), ("bfloat16", "*bf16", 3)])
def test_the_kernel_compiles_for_a_device_that_is_not_here(precision, weights, barriers):
    """What the interpreter does not show: types, shapes of products, memory, and barriers, which it has no need of."""
    shared, found = map(int, run(["-c", COMPILE, precision, weights]).split())
    assert shared <= 99 * 1024, "more than small devices have"
    assert found == barriers


def test_what_is_missing_is_said(monkeypatch):
    packed = pack(random_stack(CONFIGS["one layer"], P, P))
    with pytest.raises(EngineUnavailable, match="triton has no int8, but float32 and bfloat16"):
        TritonEngine(packed, "cuda", "int8")
    monkeypatch.setitem(sys.modules, "vqaudio.generation.triton_kernel", None)
    monkeypatch.delattr("vqaudio.generation.triton_kernel", raising=False)
    with pytest.raises(EngineUnavailable, match="triton needs the package triton: "):
        TritonEngine(packed, "cuda")


class Compiled:
    """Stands for the module of the kernel where it is not interpreted."""

    INTERPRETED = False


def test_without_cuda_it_does_not_serve(monkeypatch):
    packed = pack(random_stack(CONFIGS["one layer"], P, P))
    monkeypatch.setattr(triton_engine, "_import_kernel", lambda: Compiled)
    with pytest.raises(EngineUnavailable, match="triton runs on cuda, not on cpu"):
        TritonEngine(packed, "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineUnavailable, match=r"triton needs CUDA, which torch .* does not find here"):
        TritonEngine(packed, "cuda")


def test_tanh_and_sigmoid_take_turns():
    channels = torch.tensor([[1.0, 2, 3, 10, 20, 30], [4, 5, 6, 40, 50, 60]])
    expected = [[2.0, 10, 4, 20, 6, 30, 0, 0], [8, 40, 10, 50, 12, 60, 0, 0]]
    assert triton_engine._by_turns(channels, 8).tolist() == expected


@pytest.mark.parametrize("precision", TritonEngine.precisions)
@pytest.mark.parametrize("config", [*CONFIGS.values(), PAPER, StackConfig(10, 2, 192, 384, 256)], ids=str)
def test_products_are_cut_into_whole_parts(config, precision):
    c = triton_engine._constants(pack(CausalStack(config, 513, 513)), precision, 16)
    assert c["RESIDUAL"] >= config.residual_channels
    assert c["GATE"] >= config.gate_channels
    for width in (c["RESIDUAL"], c["GATE"], c["SKIP"], c["OUT"], c["CHUNK"], c["GATES_CHUNK"], c["SKIP_CHUNK"]):
        assert width >= 16
        assert math.log2(width).is_integer()
    parts = {"CHUNK": (c["RESIDUAL"], c["GATE"] // 2), "SKIP_CHUNK": (c["SKIP"],)}
    parts["GATES_CHUNK"] = (config.layers * c["GATE"] // 2,)
    assert all(inputs % c[chunk] == 0 for chunk, all_inputs in parts.items() for inputs in all_inputs)
