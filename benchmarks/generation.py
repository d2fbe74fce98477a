"""Samples a second of the decoder's stack, of every engine for a CPU.

Ours: the stack with random weights; timed are the projection of the condition at the unit rate, the uniform random
numbers, and all of `Engine.generate`. The peer: wavenet_vocoder's incremental generation at the same size, its weight
normalisation taken off as it does for synthesis, with a condition of as many channels, already at the sample rate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import limits, peers
from benchmarks.rows import Unit
from benchmarks.sizes import CLASSES, CONDITION_CHANNELS, HOP, PAPER, multiply_adds
from benchmarks.timing import Absent, Benchmark, Contest, Effort, Limit, Side
from vqaudio.generation import choose_engine, pack
from vqaudio.generation.state import SamplerState
from vqaudio.models.distributions import MuLawSoftmax
from vqaudio.models.sampling import Draw
from vqaudio.models.wavenet import CausalStack

SAMPLES_PER_SECOND = Unit("samples/s")
BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
STREAMS = 16
WORK = multiply_adds(PAPER, CLASSES)


def our_side(engine: str, precision: str, batch: int, effort: Effort, threads: int | None = None) -> Side:
    """Return generation of `batch` streams by one of our engines, each with a condition of its own.

    `threads`: how many torch may use, where that is not what it may use anyway. Raises what `choose_engine` raises.
    """
    torch.manual_seed(0)
    distribution = MuLawSoftmax(CLASSES)
    stack = CausalStack(PAPER, CLASSES, CLASSES).eval()
    project = nn.Linear(CONDITION_CHANNELS, stack.condition_size)
    made = choose_engine(pack(stack), engine, "cpu", precision)
    units = 2 if effort.quick else 16
    features = torch.randn(batch, units, CONDITION_CHANNELS)
    state = SamplerState.begin(made.packed, distribution.to_input(torch.zeros(batch)), "cpu")

    @torch.inference_mode()
    def run() -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        made.generate(state, project(features), torch.rand(batch, units * HOP, 1), Draw(distribution))

    return Side(made.describe(), run, batch * units * HOP)


def peer_side(batch: int, effort: Effort) -> Side | Absent:
    """Return generation of `batch` streams by wavenet_vocoder."""
    name = peers.label("wavenet_vocoder")
    try:
        model = peers.paper_sized_wavenet(CONDITION_CHANNELS)
    except peers.PeerMissing as missing:
        return Absent(name, str(missing))
    model.eval().make_generation_fast_()
    samples = 16 if effort.quick else 128
    condition = torch.randn(batch, CONDITION_CHANNELS, samples)
    draw = draw_one if batch == 1 else draw_batch
    return Side(name, partial(draw, model, condition), batch * samples)


@torch.no_grad()
def draw_one(model: nn.Module, condition: Tensor) -> Tensor:
    """Return one stream (1, CLASSES, T), one-hot, drawn by the peer's own loop; condition (1, C, T)."""
    return model.incremental_forward(_silence(1).transpose(1, 2), c=condition, T=condition.shape[2])


@torch.no_grad()
def draw_batch(model: nn.Module, condition: Tensor) -> Tensor:
    """Return B streams (B, CLASSES, T), one-hot, drawn step by step; condition (B, C, T).

    The release's own loop can draw for one stream only. This one calls the same layers, and draws for all streams at
    once, as the later source of the project does.
    """
    model.clear_buffer()
    x, drawn = _silence(condition.shape[0]), []
    for now in condition.transpose(1, 2).contiguous().unbind(1):
        skips, x = 0, model.first_conv.incremental_forward(x)
        for layer in model.conv_layers:
            x, skip = layer.incremental_forward(x, now[:, None])
            skips = skips + skip
        for layer in model.last_conv_layers:
            skips = getattr(layer, "incremental_forward", layer)(skips)
        classes = torch.multinomial(F.softmax(skips[:, 0], dim=1), 1)  # (B, 1)
        x = F.one_hot(classes, CLASSES).float()  # (B, 1, CLASSES)
        drawn.append(x[:, 0])
    model.clear_buffer()
    return torch.stack(drawn, dim=2)


def _silence(batch: int) -> Tensor:
    """Return the middle class of each stream, one-hot (B, 1, CLASSES)."""
    return F.one_hot(torch.full((batch, 1), CLASSES // 2), CLASSES).float()


def one_stream(engine: str, precision: str, effort: Effort) -> Contest:
    """One stream reads every weight once a sample: no faster than they can be read."""
    ours = our_side(engine, precision, 1, effort)
    size = WORK * BYTES[precision]
    read = limits.streaming(size)
    return Contest(ours, peer_side(1, effort), Limit(read.per_second / size, read.how), note=f"ours: {ours.name}")


def many_streams(precision: str, effort: Effort) -> Contest:
    """Many streams use a weight many times for each time that it is read: arithmetic is the limit."""
    ours = our_side("compiled", precision, STREAMS, effort)
    peak = limits.multiply_adds(precision)
    note = f"ours: {ours.name}; {STREAMS} streams with a condition each, their samples together; see README.md"
    return Contest(ours, peer_side(STREAMS, effort), Limit(peak.per_second / WORK, peak.how), note=note)


def two_cores(effort: Effort) -> Contest:
    """The same on two threads and on one."""
    ours, alone = (our_side("compiled", "float32", STREAMS, effort, threads) for threads in (2, 1))
    peer = Side("the same on one thread", alone.run, alone.amount)
    return Contest(ours, peer, note=f"ours: {ours.name} on two threads; {STREAMS} streams")


def _benchmark(what: str, prepare: Callable[[Effort], Contest], cores: int = 1) -> Benchmark:
    return Benchmark(what, SAMPLES_PER_SECOND, prepare, cores)


PATHS = {
    **{
        f"one_stream_{p}": _benchmark(f"decoder, one stream, compiled engine, {p}", partial(one_stream, "compiled", p))
        for p in BYTES
    },
    **{
        f"streams16_{p}": _benchmark(f"decoder, {STREAMS} streams, compiled engine, {p}", partial(many_streams, p))
        for p in ("float32", "bfloat16")
    },
    "torch_reference": _benchmark("decoder, one stream, engine torch", partial(one_stream, "torch", "float32")),
    "no_compiler": _benchmark("decoder, one stream, engine numba", partial(one_stream, "numba", "float32")),
    "two_cores_float32": _benchmark(f"decoder, {STREAMS} streams on two cores and on one", two_cores, cores=2),
}
