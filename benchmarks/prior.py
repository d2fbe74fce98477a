"""Units a second of a prior of 20 layers of 256 channels, one sequence of LENGTH units.

Ours: `Engine.generate`, from the beginning of a sequence. The peers: the stack that training uses, run over all that
was drawn so far for each next unit, which is how a model without a state is sampled; and the same generation by the
engine "torch".
"""

from __future__ import annotations

from functools import partial

import torch

from benchmarks import limits
from benchmarks.rows import Unit
from benchmarks.sizes import multiply_adds
from benchmarks.timing import Benchmark, Contest, Effort, Limit, Side
from vqaudio.config import PriorConfig, StackConfig
from vqaudio.generation import choose_engine, pack
from vqaudio.generation.state import SamplerState
from vqaudio.models.prior import UnitPrior
from vqaudio.models.sampling import Draw

UNITS_PER_SECOND = Unit("units/s")
STACK = StackConfig(layers=20, stacks=2, residual_channels=256, gate_channels=512, skip_channels=256)
CODES = 512
LENGTH = 625
"""Five seconds at 125 units a second: as long as recipes let an utterance become."""
SAMPLED_POSITIONS = 16
"""Positions at which recomputing is timed, in the middle of stretches of equal length: its cost grows steadily."""


def our_side(prior: UnitPrior, engine: str, effort: Effort) -> Side:
    """Return generation of one sequence from its beginning."""
    made = choose_engine(pack(prior.stack), engine)
    length = 16 if effort.quick else LENGTH
    draw = Draw(prior.distribution)

    @torch.inference_mode()
    def run() -> None:
        state = SamplerState.begin(made.packed, torch.tensor([prior.boundary]), "cpu")
        made.generate(state, prior.condition(torch.tensor([0])), torch.rand(1, length, 1), draw)

    return Side(made.describe(), run, length)


def recomputing(prior: UnitPrior, effort: Effort) -> Side:
    """Return the drawing of a unit after each of the sampled lengths: on average what one of the sequence costs."""
    stretch = LENGTH // (2 if effort.quick else SAMPLED_POSITIONS)
    lengths = range(stretch // 2, LENGTH, stretch)
    drawn = torch.randint(CODES, (1, LENGTH))
    draw = Draw(prior.distribution)

    @torch.inference_mode()
    def run() -> None:
        for length in lengths:
            logits = prior(drawn[:, :length], torch.tensor([0]))
            draw(logits[:, -1], torch.rand(1, 1))

    return Side("the whole sequence again for each unit", run, len(lengths))


def contest(peer: str, effort: Effort) -> Contest:
    """Return the compiled engine against `peer`: "recomputing" or an engine."""
    torch.manual_seed(0)
    prior = UnitPrior(PriorConfig(codebook_size=CODES, stack=STACK), speakers=4).eval()
    ours = our_side(prior, "compiled", effort)
    other = recomputing(prior, effort) if peer == "recomputing" else our_side(prior, peer, effort)
    size = 4 * multiply_adds(STACK, CODES + 1)
    read = limits.streaming(size)
    limit = Limit(read.per_second / size, read.how)
    return Contest(ours, other, limit, note=f"ours: {ours.name}; sequences of {LENGTH} units")


PATHS = {
    "prior": Benchmark(
        "prior, against recomputing the sequence for each unit", UNITS_PER_SECOND, partial(contest, "recomputing")
    ),
    "prior_torch_step": Benchmark("prior, against engine torch", UNITS_PER_SECOND, partial(contest, "torch")),
}
