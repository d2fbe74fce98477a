"""The interface of generation engines, and which of them serves."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from vqaudio.errors import VQAudioError, did_you_mean
from vqaudio.generation.packed import PackedStack
from vqaudio.generation.state import SamplerState
from vqaudio.models.sampling import Draw

T = TypeVar("T")

log = logging.getLogger(__name__)


class EngineUnavailable(VQAudioError):
    """This engine cannot run here; the message says what it lacks."""


class Engine(Protocol):
    """Advances B sequences of one stack in step.

    The contract: the parameters are those of `CausalStack.forward` within 1e-5 (in float32), whatever the batch size
    and however the steps are divided into calls; so that from the same uniforms every float32 engine draws the same
    elements, but where a uniform lies within that rounding of the border between two. Of one engine the draws do not
    depend on batch size and division at all. A state is any engine's: what one began another can go on with.

    A class is made as `Engine(packed, device, precision)` and raises EngineUnavailable where it cannot serve.
    """

    name: str
    precisions: tuple[str, ...]
    """What the engine can keep weights in: of "float32", "bfloat16", "int8"."""
    precision: str
    """What it keeps them in."""
    device: torch.device
    packed: PackedStack

    def describe(self) -> str:
        """Return what the log says of the engine, such as its instruction set."""

    def generate(self, state: SamplerState, condition: Tensor | None, uniforms: Tensor, draw: Draw) -> Tensor:
        """Draw the next T elements of each sequence, advancing `state`; return them as inputs (B, T).

        `condition`: (B, N, L·G), each of its rows held for T / N steps, T being a multiple of N; None for none.
        `uniforms`: (B, T, U) in [0, 1).
        """

    def follow(self, state: SamplerState, condition: Tensor | None, inputs: Tensor) -> Tensor:
        """Advance `state` by T steps after which come the elements `inputs` (B, T), whatever would be drawn.

        Returns the distribution's parameters (B, T, P): those at t are of element t of `inputs`.
        """


ENGINES = {
    "triton": ("vqaudio.generation.triton_engine", "TritonEngine", "cuda"),
    "cuda-graph": ("vqaudio.generation.graph_engine", "GraphEngine", "cuda"),
    "compiled": ("vqaudio.generation.compiled_engine", "CompiledEngine", "cpu"),
    "numba": ("vqaudio.generation.numba_engine", "NumbaEngine", "cpu"),
    "torch": ("vqaudio.generation.torch_engine", "TorchEngine", None),
}
"""Module, class and kind of device (None: any) of each engine, in the order in which "auto" prefers them."""

CHECKED_STEPS = 40
AGREEMENT = {"float32": 1e-3, "bfloat16": 0.3, "int8": 0.6}
"""Largest difference to engine torch, in standard deviations of its parameters, that is still rounding."""

PRECISIONS = ("float32", "bfloat16", "int8")
"""What weights can be kept in, by which engine whatever."""


def choose_engine(
    packed: PackedStack, name: str = "auto", device: torch.device | str = "cpu", precision: str = "float32"
) -> Engine:
    """Return the engine called `name`, or the preferred one that serves, with these weights on `device`.

    The log says which one it is, and why none of those before it. Raises VQAudioError for an unknown name, an
    engine that cannot run here (with what it lacks), and a precision that none of them has.
    """
    _check_name("engine", name, ["auto", *ENGINES])
    _check_name("precision", precision, PRECISIONS)
    device = torch.device(device)
    if name != "auto":
        engine = _make(name, packed, device, precision)
        _say(f"engine: {engine.describe()}, as asked for")
        return engine
    passed_over = []
    for candidate, (_, _, kind) in ENGINES.items():
        if kind not in (None, device.type):
            continue
        try:
            engine = _make(candidate, packed, device, precision)
            if device.type != "cpu" and candidate != "torch":
                _require_agreement(engine)
        except EngineUnavailable as reason:
            passed_over.append(str(reason))
            continue
        why = f"the fastest for {device.type}" + (f" that serves ({'; '.join(passed_over)})" if passed_over else "")
        _say(f"engine: {engine.describe()}, {why}")
        return engine
    raise VQAudioError(f"precision: no engine keeps weights in {precision} on {device}: {'; '.join(passed_over)}")


def batches(items: Sequence[T], batch_size: int) -> Iterator[Sequence[T]]:
    """Yield `items` in their order, `batch_size` at a time."""
    if batch_size < 1:
        raise VQAudioError(f"batch_size: got {batch_size!r}, expected at least 1")
    for first in range(0, len(items), batch_size):
        yield items[first : first + batch_size]


def held_rows(condition: Tensor | None, batch: int, steps: int, size: int) -> tuple[Tensor, int]:
    """Return condition (B, N, `size`), zeros where there is none, and for how many of T = `steps` each row is held.

    Raises ValueError unless it is of `batch` sequences and `size` channels, and its rows can be held evenly.
    """
    if condition is None:
        condition = torch.zeros(1, 1, size).expand(batch, 1, size)
    if condition.shape[0] != batch:
        raise ValueError(f"a condition of {condition.shape[0]} sequences, expected {batch}")
    if condition.shape[2] != size:
        raise ValueError(f"a condition of {condition.shape[2]} channels, expected {size}")
    if condition.shape[1] == 0 or steps % condition.shape[1]:
        raise ValueError(f"a condition of {condition.shape[1]} rows cannot be held over {steps} steps evenly")
    return condition, steps // condition.shape[1]


def require_precision(engine: type[Engine], precision: str) -> None:
    """Raise EngineUnavailable unless `engine` can keep its weights in `precision`."""
    if precision not in engine.precisions:
        raise EngineUnavailable(f"{engine.name} has no {precision}, but {' and '.join(engine.precisions)}")


def _make(name: str, packed: PackedStack, device: torch.device, precision: str) -> Engine:
    module, cls, kind = ENGINES[name]
    if kind not in (None, device.type):
        raise EngineUnavailable(f"engine {name} runs on {kind}, not on {device}")
    try:
        made = getattr(importlib.import_module(module), cls)
    except ImportError as error:
        raise EngineUnavailable(f"{name}: {error}") from error
    require_precision(made, precision)
    return made(packed, device, precision)


@torch.inference_mode()
def _require_agreement(engine: Engine) -> None:
    """Raise EngineUnavailable unless some steps have the same parameters as engine torch's, as far as precision goes.

    Devices, drivers and versions of compilers are many, and tests have seen few of them.
    """
    reference = _make("torch", engine.packed, engine.device, "float32")
    generator = torch.Generator().manual_seed(0)
    condition = torch.randn(3, 1, engine.packed.bias.size, generator=generator)
    values = torch.rand(3, CHECKED_STEPS, generator=generator)
    tokens = engine.packed.tokens
    elements = 2 * values - 1 if tokens is None else (values * tokens).long()
    first = elements[:, 0]
    ours, theirs = (
        e.follow(SamplerState.begin(e.packed, first, e.device), condition, elements) for e in (engine, reference)
    )
    off = float((ours - theirs).abs().max() / theirs.std().clamp_min(1e-6))
    if not off <= AGREEMENT[engine.precision]:
        raise EngineUnavailable(f"{engine.name} is off by {off:.2g} of the parameters' spread on {engine.device}")


def _check_name(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise VQAudioError(f"{what}: got {name!r}, expected one of {', '.join(known)}.{did_you_mean(name, known)}")


_said: set[str] = set()


def _say(line: str) -> None:
    """Log a line once: a program makes many engines of one kind."""
    if line not in _said:
        _said.add(line)
        log.info("%s", line)
