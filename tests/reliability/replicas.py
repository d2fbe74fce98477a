"""Ranks hash all that they have after every step: do they all have the same?

A trial is one training of 200 steps. Codes are revived all along (those that stood idle for three steps), ranks draw
dropout and jitter of their own, and in some trials what one rank gets is shorter than what another gets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.promises import HELD, Bench, Promise
from tests.training import two_ranks
from tests.training.conftest import SMALL_PRIOR, SMALL_VQVAE, merged, write_corpus, write_small_units
from vqaudio.config import PriorTrainingConfig, VQVAETrainingConfig
from vqaudio.config_files import from_dict

STEPS = 200
TRAINING = {
    "max_steps": STEPS, "eval_interval": 100, "checkpoint_interval": 100, "log_interval": 50, "warmup_steps": 10,
    "learning_rate": 3e-3,
}  # fmt: skip
QUANTIZER = {"start_step": 10, "revive_window": 3, "update": "ema"}
LONG = {"a": 0.6, "b": 0.5, "c": 0.02, "d": 0.4}
"""Seconds; a crop has 0.032. One of four utterances is shorter than that."""
SHORT = {"a": 0.011, "b": 0.02, "c": 0.007, "d": 0.004, "e": 0.031}
ONE = {"a": 0.01}
"""Fewer crops than ranks: an epoch is a single one, and all ranks get it again and again."""
SECONDS = 400.0
"""Limit of a run."""


@dataclass(frozen=True)
class Case:
    """One training of several ranks."""

    words: str
    ranks: int
    utterances: dict[str, float] = field(default_factory=lambda: LONG)
    training: dict[str, Any] = field(default_factory=dict)
    quantizer: dict[str, Any] = field(default_factory=dict)
    prior: bool = False


CASES = (
    Case("revival", 2),
    Case("revival", 4),
    Case("all utterances shorter than a crop", 2, SHORT, {"batch_size": 1}),
    Case("fewer crops than ranks", 4, ONE, {"batch_size": 1}),
    Case("bfloat16", 2, training={"precision": "bfloat16"}),
    Case("bfloat16", 4, training={"precision": "bfloat16"}),
    Case("gradient codebook", 2, quantizer={"update": "gradient"}),
    Case("gradient codebook", 4, quantizer={"update": "gradient"}),
    Case("codes sampled, from the first step", 4, quantizer={"init": "sample", "start_step": 0}),
    Case("micro-batches", 2, training={"batch_size": 1, "accumulate_steps": 3}),
    Case("micro-batches", 4, training={"batch_size": 1, "accumulate_steps": 2}),
    Case("all utterances shorter than a crop", 4, SHORT, {"batch_size": 1, "accumulate_steps": 2}),
    Case("fewer crops than ranks; gradient codebook", 2, ONE, {"batch_size": 1}, {"update": "gradient"}),
    Case("prior", 2, prior=True),
    Case("prior", 4, prior=True),
    Case("prior, fewer rows than ranks", 4, prior=True, training={"crop_units": 64, "batch_size": 1}),
)


def trials(bench: Bench) -> Iterator[str]:
    """Train once for each of the cases."""
    for number, case in enumerate(CASES[: bench.count]):
        folder = bench.folder / str(number)
        corpus = folder / "corpus"
        write_corpus(corpus / "train", case.utterances)
        write_corpus(corpus / "dev", {name: 0.2 for name in list(case.utterances)[:2]})
        outcome = disagreement(train(case, corpus, folder))
        if outcome == HELD and not case.prior and not re.search(r" revived [1-9]", log_of(folder)):
            outcome = "no code was revived"
        yield HELD if outcome == HELD else f"{case.ranks} ranks, {case.words}: {outcome}"


def log_of(folder: Path) -> str:
    """Return the training's log."""
    return (folder / "exp" / "train.log").read_text(encoding="utf-8")


def train(case: Case, corpus: Path, folder: Path) -> list[Any]:
    """Return, of each rank, digests of every step, or how it ended."""
    changes = {"training": {**TRAINING, **case.training}}
    if case.prior:
        config = from_dict(PriorTrainingConfig, merged(SMALL_PRIOR, changes))
        job = two_ranks.train_on_units, config, *model_and_units(corpus, folder)
    else:
        changes["model"] = {"quantizer": {**QUANTIZER, **case.quantizer}}
        job = two_ranks.train, from_dict(VQVAETrainingConfig, merged(SMALL_VQVAE, changes)), corpus
    given = *job, folder / "exp"
    try:
        return two_ranks.run(two_ranks.digests_of_steps, *given, size=case.ranks, limit=SECONDS)
    except TimeoutError as hanging:
        return [hanging]


def model_and_units(corpus: Path, folder: Path) -> tuple[Path, Path, dict[str, str]]:
    """Return the model folder of a VQ-VAE hardly trained, units of it, and their speakers."""
    config = from_dict(VQVAETrainingConfig, SMALL_VQVAE)
    two_ranks.run(two_ranks.train, config, corpus, folder / "vqvae", size=1, limit=SECONDS)
    return folder / "vqvae" / "model", *write_small_units(folder / "units", folder / "vqvae" / "model")


def disagreement(results: list[Any]) -> str:
    """Return where ranks differ, of what each has recorded; HELD where nowhere."""
    failed = [f"rank {rank}: {found!r}" for rank, found in enumerate(results) if not isinstance(found, list)]
    if failed:
        return "; ".join(failed)
    if any(len(found) != STEPS for found in results):
        return f"steps of the ranks: {[len(found) for found in results]}, expected {STEPS}"
    for step, states in enumerate(zip(*results)):
        for rank, state in enumerate(states):
            # Random states differ, as they shall: they are looked at where resuming is.
            names = [name for name in state if name != "random" and state[name] != states[0][name]]
            if names:
                return f"after step {step}, ranks 0 and {rank} have not the same {', '.join(names)}"
    if len({found[-1]["random"] for found in results}) < len(results):
        return "ranks draw the same random numbers"
    return HELD


PROMISE = Promise(
    "replicas",
    "replicas agree",
    f"a training of {STEPS} steps on 2 or 4 ranks, in which codes are revived: weights, codebook, optimizer and average"
    " hashed on every rank after every step; some with ranks whose crops are shorter, or fewer crops than ranks",
    len(CASES),
    trials,
    least=4,
    in_tests=2,
)
