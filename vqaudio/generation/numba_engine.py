"""Generation on a CPU by code that numba compiles at its first use: for machines that have no C compiler."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import llvmlite.binding
import numba
import numpy as np
import torch
from numba.core import event
from numba.core.dispatcher import Dispatcher
from torch import Tensor

from vqaudio.errors import VQAudioError
from vqaudio.generation.engine import EngineUnavailable, held_rows, require_precision
from vqaudio.generation.numba_step import CLASSES, FOLLOW, LOGISTICS, Rule, Weights, advance, compiled
from vqaudio.generation.packed import PackedStack
from vqaudio.generation.state import SamplerState
from vqaudio.models.distributions import Categorical, MixtureOfLogistics
from vqaudio.models.sampling import Draw

log = logging.getLogger(__name__)


class NumbaEngine:
    """Generates from packed weights in float32, the sequences divided among `torch.get_num_threads()` threads.

    It draws by itself, from categorical distributions and mixtures of logistics.
    """

    name = "numba"
    precisions = ("float32",)

    def __init__(self, packed: PackedStack, device: torch.device | str = "cpu", precision: str = "float32") -> None:
        require_precision(type(self), precision)
        self.packed, self.device, self.precision = packed, torch.device(device), precision
        if self.device.type != "cpu":
            raise EngineUnavailable(f"engine {self.name} runs on cpu, not on {self.device}")
        if numba.config.DISABLE_JIT:
            raise EngineUnavailable(f"{self.name}: compiling is switched off (NUMBA_DISABLE_JIT)")
        self.weights = _weights(packed)

    def describe(self) -> str:
        """Return the engine's name, the CPU that it compiles for and the number of threads."""
        cpu, threads = numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name(), torch.get_num_threads()
        return f"{self.name} ({self.device}, {self.precision}, compiled for {cpu}, threads: {threads})"

    @torch.inference_mode()
    def generate(self, state: SamplerState, condition: Tensor | None, uniforms: Tensor, draw: Draw) -> Tensor:
        """Draw the next T elements of each sequence: see `Engine.generate`.

        Raises VQAudioError for a distribution that it does not know, ModelError where parameters are NaN.
        """
        rule = drawing_rule(draw)
        _check_distribution(draw, self.packed, uniforms)
        elements = np.empty(uniforms.shape[:2])
        self._advance(state, condition, rule, uniforms, elements, torch.empty(0, 0, 0))
        return torch.from_numpy(elements).to(state.inputs.dtype)

    @torch.inference_mode()
    def follow(self, state: SamplerState, condition: Tensor | None, inputs: Tensor) -> Tensor:
        """Return the parameters at each of T given elements: see `Engine.follow`."""
        elements = inputs.to("cpu", state.inputs.dtype).to(torch.float64).contiguous().numpy()
        parameters = torch.empty(*inputs.shape, len(self.packed.output_bias))
        self._advance(state, condition, Rule(FOLLOW), torch.empty(0, 0, 0), elements, parameters)
        return parameters

    def _advance(
        self,
        state: SamplerState,
        condition: Tensor | None,
        rule: Rule,
        uniforms: Tensor,
        elements: np.ndarray,
        parameters: Tensor,
    ) -> None:
        """Check what is given, for compiled code does not, and make the steps of `advance`."""
        B, T = elements.shape
        if state.batch != B:
            raise ValueError(f"elements or uniforms of {B} sequences, expected {state.batch}")
        condition, _ = held_rows(condition, state.batch, T, self.packed.bias.size)
        inputs = state.inputs.to(torch.float64).numpy()
        if rule.kind == FOLLOW:
            _check_symbols(elements, self.packed.tokens)
        _check_symbols(inputs, self.packed.tokens)
        state.ring = state.ring.contiguous()
        before = (self.weights, rule, state.ring.numpy(), inputs, state.position)
        after = (_array(condition), _array(uniforms), elements, parameters.numpy())
        step = _stepper()
        _compile(step, (*before, 0, B, *after))
        _divide(lambda first, last: step(*before, first, last, *after), B, torch.get_num_threads())
        state.inputs.copy_(torch.from_numpy(inputs))
        state.position += T


def drawing_rule(draw: Draw) -> Rule:
    """Return `draw` in numbers. Raises VQAudioError for a distribution that compiled code does not draw from."""
    distribution = draw.distribution
    sample = type(distribution).sample  # a subclass may draw in its own way
    top_p = 1.0 if draw.top_p is None else float(draw.top_p)
    options = (float(draw.temperature), int(draw.top_k or 0), top_p)
    if sample is Categorical.sample:
        return Rule(CLASSES, distribution.classes, *options)
    if sample is MixtureOfLogistics.sample:
        log_scales = (float(limit) for limit in distribution.log_scale_range)
        return Rule(LOGISTICS, distribution.mixtures, *options, float(distribution.step), *log_scales)
    raise VQAudioError(
        f"engine numba: got a distribution {type(distribution).__name__}, expected a Categorical or a "
        "MixtureOfLogistics; engine torch draws from any"
    )


def _weights(packed: PackedStack) -> Weights:
    layers = range(len(packed.dilations))
    # The last layer has no residual output: its slice is empty.
    matrices = [m for i in layers for m in (packed.past[i], packed.now[i], packed.residual[i : i + 1])]
    matrices += [packed.skip, packed.hidden, packed.output]
    return Weights(
        np.array(packed.dilations),
        packed.tokens is not None,
        packed.input_weight,
        packed.input_bias,
        # torch's memory begins on a cache line, as NumPy's does not.
        torch.cat([torch.from_numpy(m).flatten() for m in matrices]).numpy(),
        packed.bias.ravel(),
        packed.skip_bias,
        packed.hidden_bias,
        packed.output_bias,
    )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.to("cpu", torch.float32).contiguous().numpy()


def _check_symbols(inputs: np.ndarray, tokens: int | None) -> None:
    """Raise ValueError for inputs of a stack with symbols that are none of them."""
    if tokens is not None and inputs.size and not 0 <= inputs.min() <= inputs.max() < tokens:
        raise ValueError(f"inputs from {inputs.min():.0f} to {inputs.max():.0f}, expected 0 to {tokens - 1}")


def _check_distribution(draw: Draw, packed: PackedStack, uniforms: Tensor) -> None:
    """Raise ValueError unless the stack's outputs are parameters of the distribution, and its draws inputs."""
    distribution, outputs = draw.distribution, len(packed.output_bias)
    has = (distribution.num_parameters, distribution.input_tokens)
    if has != (outputs, packed.tokens):
        raise ValueError(
            f"a distribution with {has[0]} parameters of {has[1]} symbols (None: of real values), "
            f"expected {outputs} of {packed.tokens}"
        )
    if uniforms.shape[-1] < distribution.uniforms_per_sample:
        raise ValueError(f"{uniforms.shape[-1]} uniforms a draw, expected {distribution.uniforms_per_sample}")


@functools.cache
def _stepper() -> Dispatcher:
    """Return `advance`, as numba's function that is compiled for the arguments that come."""
    try:
        return compiled(cache=True)(advance)
    except RuntimeError:  # numba can write neither beside the source nor into the user's cache folder
        return compiled()(advance)


class _SayCompiling(event.Listener):
    """Logs that a function is being compiled. It is not where numba finds it kept from an earlier process."""

    def __init__(self, step: Dispatcher) -> None:
        self.step = step

    def on_start(self, event: event.Event) -> None:
        if event.data["dispatcher"] is not self.step:  # but one of the functions that it calls
            return
        kept = "kept for the next time" if self.step.stats.cache_path else "not kept: set NUMBA_CACHE_DIR to a folder"
        log.info("compiling the numba engine; this takes some seconds, and the result is %s", kept)

    def on_end(self, event: event.Event) -> None:
        """Say nothing: the engine is at work then."""


def _compile(step: Dispatcher, arguments: tuple) -> None:
    """Have the function ready for such arguments; before threads call it, so that they do not wait for each other."""
    if step.signatures:
        return
    with event.install_listener("numba:compile", _SayCompiling(step)):
        try:
            step.compile(tuple(numba.typeof(argument) for argument in arguments))
        except OSError as error:  # it is compiled all the same
            log.warning("the compiled numba engine cannot be kept for the next time: %s", error)


def _divide(work: Callable[[int, int], None], rows: int, threads: int) -> None:
    """Call `work(first, last)` for all of so many rows, in at most as many parts as threads."""
    parts = max(1, min(threads, rows))
    if parts == 1:
        work(0, rows)
        return
    bounds = [rows * part // parts for part in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))  # a list, so that an error is raised here
