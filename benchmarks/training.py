"""One training step of the decoder's stack: forward, loss and backward, BATCH crops of SAMPLES samples, no optimizer.

The peer is wavenet_vocoder's model in float32, as it is trained. Its one-hot inputs and the condition at the sample
rate are made beforehand; the projection of ours at the unit rate is timed. Freed memory is kept by the process, for
both sides, as `vqaudio train` does.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks import limits, peers
from benchmarks.rows import Unit
from benchmarks.sizes import CLASSES, CONDITION_CHANNELS, HOP, PAPER, multiply_adds
from benchmarks.timing import Absent, Benchmark, Contest, Effort, Limit, Side
from vqaudio.models.distributions import MuLawSoftmax
from vqaudio.models.wavenet import CausalStack
from vqaudio.training.precision import autocast, keep_freed_memory

MILLISECONDS = Unit("ms/step", per_second=1e3)
BATCH, SAMPLES = 2, 4096


def our_side(dtype: torch.dtype, samples: int) -> Side:
    """Return a step of `CausalStack` with matrix products in `dtype`."""
    torch.manual_seed(0)
    distribution = MuLawSoftmax(CLASSES)
    stack = CausalStack(PAPER, CLASSES, CLASSES)
    model = nn.ModuleDict({"stack": stack, "project": nn.Linear(CONDITION_CHANNELS, stack.condition_size)})
    waveform = 0.1 * torch.randn(BATCH, samples)
    features = torch.randn(BATCH, samples // HOP, CONDITION_CHANNELS)

    def run() -> None:
        model.zero_grad()
        with autocast(torch.device("cpu"), dtype):
            parameters = stack(distribution.to_input(waveform), model["project"](features))
            loss = distribution.nll(parameters, waveform).mean()
        loss.backward()

    return Side("ours", run, 1)


def peer_side(samples: int) -> Side | Absent:
    """Return a step of wavenet_vocoder's model."""
    name = peers.label("wavenet_vocoder")
    try:
        model = peers.paper_sized_wavenet(CONDITION_CHANNELS).train()
    except peers.PeerMissing as missing:
        return Absent(name, str(missing))
    targets = torch.randint(CLASSES, (BATCH, samples))
    inputs = F.one_hot(targets, CLASSES).float().transpose(1, 2).contiguous()  # (B, CLASSES, T)
    condition = torch.randn(BATCH, CONDITION_CHANNELS, samples)

    def run() -> None:
        model.zero_grad()
        F.cross_entropy(model(inputs, c=condition), targets).backward()

    return Side(f"{name}, float32", run, 1)


def contest(precision: str, effort: Effort) -> Contest:
    """Return a step in `precision` against the peer's in float32."""
    keep_freed_memory()
    samples = 4 * HOP if effort.quick else SAMPLES
    peak = limits.multiply_adds(precision)
    # Forward, and backward to the inputs and to the weights of each product.
    work = 3 * BATCH * samples * multiply_adds(PAPER, CLASSES)
    note = f"{BATCH} crops of {samples:,} samples, forward and backward"
    limit = Limit(peak.per_second / work, peak.how)
    return Contest(our_side(getattr(torch, precision), samples), peer_side(samples), limit, note=note)


PATHS = {
    f"training_step_{precision}": Benchmark(
        f"decoder, one training step, {precision}", MILLISECONDS, partial(contest, precision)
    )
    for precision in ("float32", "bfloat16")
}
