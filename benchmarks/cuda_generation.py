"""Samples a second of the decoder's stack on a CUDA device, of every engine that runs on one.

    python -m benchmarks.cuda_generation

One stream, and the sum over 16, 128 and 1,024 streams with a condition each; random weights at the paper's size.
Timed is all of `Engine.generate`: the layout of the condition for the engine is in it, compiling and recording are
not. Median of several runs. Below stands what real time at 16 kHz takes. Without CUDA the exit status is 2.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence

import torch

from benchmarks.rows import figure
from benchmarks.sizes import CLASSES, HOP, PAPER, multiply_adds
from vqaudio.errors import VQAudioError
from vqaudio.generation import choose_engine, pack
from vqaudio.generation.engine import Engine
from vqaudio.generation.packed import PackedStack
from vqaudio.generation.state import SamplerState
from vqaudio.models.distributions import MuLawSoftmax
from vqaudio.models.sampling import Draw
from vqaudio.models.wavenet import CausalStack

SAMPLE_RATE = 16_000
STREAMS = (1, 16, 128, 1024)
SIDES = (
    ("torch", "float32"),
    ("cuda-graph", "float32"), ("cuda-graph", "bfloat16"),
    ("triton", "float32"), ("triton", "bfloat16"),
)  # fmt: skip
UNITS = {"torch": 4}
"""Rows of the condition a call, where they are not MOST_UNITS: launching every operation, `torch` takes long."""
MOST_UNITS = 32


def main(words: Sequence[str] | None = None) -> int:
    """Carry out the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="runs of which the median counts (default: %(default)s)")
    options = parser.parse_args(words)
    if not torch.cuda.is_available():
        print(f"cuda_generation: torch {torch.__version__} finds no CUDA device here", file=sys.stderr)
        return 2
    for line in table(options.rounds):
        print(line, flush=True)
    return 0


def table(rounds: int) -> Iterator[str]:
    """Yield the lines of the table as they are measured, and then what could not be."""
    torch.manual_seed(0)
    packed = pack(CausalStack(PAPER, CLASSES, CLASSES).eval())
    yield f"{torch.cuda.get_device_name()}, torch {torch.__version__}; {multiply_adds(PAPER, CLASSES):,} multiply-adds"
    yield ""
    yield "| samples/s | " + " | ".join(f"{n:,} stream{'s' * (n > 1)}" for n in STREAMS) + " |"
    yield "| --- |" + " --- |" * len(STREAMS)
    missing = []
    for name, precision in SIDES:
        speeds: list[float | None] = [None] * len(STREAMS)
        try:
            engine = choose_engine(packed, name, "cuda", precision)
            for i, streams in enumerate(STREAMS):
                speeds[i] = samples_per_second(engine, streams, UNITS.get(name, MOST_UNITS), rounds)
        except (VQAudioError, torch.cuda.OutOfMemoryError) as error:
            missing.append(f"- {name}, {precision}: {str(error).splitlines()[0]}")
        yield f"| {name}, {precision} | " + " | ".join(map(figure, speeds)) + " |"
    floor = " | ".join(f"{SAMPLE_RATE * streams:,}" for streams in STREAMS)
    yield f"| real time at {SAMPLE_RATE // 1000} kHz | {floor} |"
    yield from ["", *missing] if missing else []


def samples_per_second(engine: Engine, streams: int, units: int, rounds: int) -> float:
    """Return the median speed of `streams` streams together, over calls of so many units."""
    condition = torch.randn(streams, units, condition_size(engine.packed), device=engine.device)
    uniforms = torch.rand(streams, units * HOP, 1, device=engine.device)
    silence = torch.full((streams,), CLASSES // 2)
    state, draw = SamplerState.begin(engine.packed, silence, engine.device), Draw(MuLawSoftmax(CLASSES))
    seconds = []
    for _ in range(1 + rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        engine.generate(state, condition, uniforms, draw)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return streams * units * HOP / statistics.median(seconds[1:])  # the first run compiles and records


def condition_size(packed: PackedStack) -> int:
    """Return the channels of a row of condition: L·G."""
    layers, _, gate = packed.past.shape
    return layers * gate


if __name__ == "__main__":
    sys.exit(main())
