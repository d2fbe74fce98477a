"""A training that was cut and goes on, against one that was never cut: every step after the cut, hashed.

Each training is small but whole: the codebook starts at step 5 and is revived, the rate warms up until step 6 and falls
from step 18 of 30 on, there is an evaluation every 10 steps and a checkpoint every 8.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.promises import HELD, Bench, Promise
from tests.reliability.recorded_runs import Cut, Records, record
from tests.training import two_ranks
from tests.training.conftest import SMALL_PRIOR, SMALL_VQVAE, merged, write_corpus, write_small_units
from vqaudio.config import PriorTrainingConfig, VQVAETrainingConfig
from vqaudio.config_files import from_dict

STEPS = 30
TRAINING = {
    "max_steps": STEPS, "warmup_steps": 6, "decay_share": 0.4, "eval_interval": 10, "checkpoint_interval": 8,
    "log_interval": 4, "weight_decay": 0.01,
}  # fmt: skip
QUANTIZER = {"start_step": 5, "revive_window": 3}
SECONDS = 240.0
"""Limit of a run."""


@dataclass(frozen=True)
class Point:
    """Where a training is cut, how often and how, and what is particular about its configuration."""

    words: str
    cuts: tuple[Cut, ...]
    training: dict[str, Any] = field(default_factory=dict)
    quantizer: dict[str, Any] = field(default_factory=dict)


POINTS = (
    Point("stopped before the codebook starts, in warm-up", (Cut(3),)),
    Point("stopped right before the codebook starts", (Cut(5),), quantizer={"init": "sample"}),
    Point("stopped right after its first step; precision measured", (Cut(6),), {"precision": "auto"}),
    Point("stopped on a checkpoint's step; gradient codebook", (Cut(8),), quantizer={"update": "gradient"}),
    Point("stopped in an evaluation, and right after it", (Cut(10), Cut(20, evaluated=True))),
    Point("killed between two checkpoints", (Cut(13, killed=True),)),
    Point("killed right after a checkpoint; micro-batches", (Cut(16, killed=True),), {"accumulate_steps": 2}),
    Point("stopped as the rate begins to fall, and again in its fall", (Cut(18), Cut(22)),
          quantizer={"update": "gradient"}),
    Point("stopped in the fall; number of steps found by the clock", (Cut(25),),
          {"max_steps": None, "max_minutes": STEPS / 60}),
    Point("killed before its last step, and stopped at it", (Cut(29, killed=True), Cut(30)), {"precision": "bfloat16"}),
)  # fmt: skip


def trials(bench: Bench) -> Iterator[str]:
    """Cut trainings; each point, number of ranks and task once."""
    material, uncut = Material(bench.folder), {}
    for number, (point, task, ranks) in enumerate(chosen(bench.count)):
        config = material.config(task, point)
        key = task, ranks, repr(config)
        if key not in uncut:
            uncut[key] = material.run(task, config, ranks, bench.folder / f"uncut-{len(uncut)}")
        found = cut_run(material, task, config, ranks, point, bench.folder / f"cut-{number}")
        outcome = difference(found, uncut[key])
        yield HELD if outcome == HELD else f"{task}, {ranks} ranks, {point.words}: {outcome}"


def chosen(count: int) -> list[tuple[Point, str, int]]:
    """Return so many of all cases, evenly over the points; of four, one for each task and number of ranks."""
    cases = [(point, task, ranks) for point in POINTS for task, ranks in KINDS]
    stride = len(cases) / count
    # Within a point the four kinds follow each other: one more with each turn meets all of them.
    return [cases[(int(i * stride) // 4 * 4 + (i % 4)) if count < len(cases) else i] for i in range(count)]


KINDS = list(itertools.product(("vqvae", "prior"), (1, 2)))


class Material:
    """A corpus, units of a model, and trainings on them."""

    def __init__(self, folder: Path) -> None:
        self.corpus = folder / "corpus"
        write_corpus(self.corpus / "train", {"a": 0.6, "b": 0.5, "c": 0.02, "d": 0.4})
        write_corpus(self.corpus / "dev", {"e": 0.2, "f": 0.2})
        self.units, self.folder = None, folder

    def config(self, task: str, point: Point) -> VQVAETrainingConfig | PriorTrainingConfig:
        """Return the configuration of a point."""
        changes = {"training": {**TRAINING, **point.training}}
        if task == "prior":
            return from_dict(PriorTrainingConfig, merged(SMALL_PRIOR, changes))
        changes["model"] = {"quantizer": {**QUANTIZER, **point.quantizer}}
        return from_dict(VQVAETrainingConfig, merged(SMALL_VQVAE, changes))

    def run(self, task: str, config: Any, ranks: int, expdir: Path, cut: Cut | None = None) -> list[Records]:
        """Train, until the cut; return what each rank has recorded of each step."""
        job = (two_ranks.train, config, self.corpus)
        if task == "prior":
            job = (two_ranks.train_on_units, config, *self._units())
        return two_ranks.run(record, cut, *job, expdir, size=ranks, limit=SECONDS)

    def _units(self) -> tuple[Path, Path, dict[str, str]]:
        if self.units is None:
            point = Point("the model that units are of", ())
            model = self.folder / "vqvae" / "model"
            self.run("vqvae", self.config("vqvae", point), 1, model.parent)
            self.units = (model, *write_small_units(self.folder / "units", model))
        return self.units


def cut_run(material: Material, task: str, config: Any, ranks: int, point: Point, expdir: Path) -> list[Records] | str:
    """Train with the point's cuts, one after the other; return what was recorded after the last one."""
    for cut in point.cuts:
        results = material.run(task, config, ranks, expdir, cut)
        if not all(cut.is_done_in(result) for result in results):
            return f"the cut at step {cut.step} came out as {results}"
    return material.run(task, config, ranks, expdir)


def difference(found: list[Records] | str, expected: list[Records]) -> str:
    """Return what differs between a training that went on and one that was not cut; HELD where nothing does."""
    if isinstance(found, str):
        return found
    for rank, (own, other) in enumerate(zip(found, expected, strict=True)):
        if not isinstance(own, Records) or not isinstance(other, Records):
            return f"rank {rank} came out as {own!r}, and uncut as {other!r}"
        for step, state in own.steps.items():
            if state != other.steps.get(step):
                return f"rank {rank}, step {step}: {state.differing(other.steps.get(step))}"
        if max(own.steps, default=STEPS) != max(other.steps):
            return f"rank {rank}: {max(own.steps)} steps, and uncut {max(other.steps)}"
        if own.end != other.end:
            return f"rank {rank}: at the end {own.end.differing(other.end)}"
    return HELD


PROMISE = Promise(
    "resume",
    "resuming is exact",
    "weights, codebook statistics, optimizer, schedule, random states and place in the data hashed at every step after "
    "the cut: 10 points × 1 and 2 ranks (gloo) × VQ-VAE and prior",
    len(POINTS) * len(KINDS),
    trials,
    least=4,
)
