"""Numbers: a training that is lost is stopped with a clear report, none that is not; bfloat16 and float32 agree."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator

import torch

from tests.reliability.numbers_agreement import final_bits_agree, one_step_agrees
from tests.reliability.numbers_trainings import (
    Case,
    Materials,
    goes_on_as_told,
    must_not_end_lost,
    must_not_stop,
    must_stop,
    overflows,
)  # fmt: skip
from tests.reliability.promises import Bench, Promise

Trial = Callable[[Materials], str]
VQVAES = ("vqvae_two_cores", "vqvae_accelerator", "vqvae_paper")
PRIORS = ("prior_two_cores", "prior_accelerator", "prior_paper")
PRECISIONS = ("float32", "bfloat16")
MOL = {"model": {"decoder": {"output": "mol", "pre_emphasis": 0}}}
LOSING_PRIOR, LOSING_VQVAE = (3, 30, 300, 1e5), (3, 30, 300)
UNCERTAIN_PRIOR, UNCERTAIN_VQVAE = (0.03, 0.1, 0.3, 1), (0.03, 0.3, 1)


def lost() -> list[Trial]:
    """Return trainings at rates far too high."""
    prior = [
        Case(config, rate, precision, seed)
        for seed, (config, rate, precision) in enumerate(itertools.product(PRIORS[:2], LOSING_PRIOR, PRECISIONS))
    ]
    vqvae = [
        Case(config, rate, precision, seed, changes=changes)
        for seed, (rate, precision, (config, changes)) in enumerate(
            itertools.product(LOSING_VQVAE, PRECISIONS, (*((c, {}) for c in VQVAES), (VQVAES[0], MOL)))
        )
    ]
    return [functools.partial(must_stop, case) for case in _mixed(vqvae, prior)]


def uncertain() -> list[Trial]:
    """Return trainings at rates where luck decides."""
    prior = [Case(PRIORS[0], *rest) for rest in itertools.product(UNCERTAIN_PRIOR, PRECISIONS, (0, 1))]
    vqvae = [
        Case(config, rate, precision)
        for rate, precision, config in itertools.product(UNCERTAIN_VQVAE, PRECISIONS, VQVAES)
    ]
    return [functools.partial(must_not_end_lost, case) for case in _mixed(vqvae, prior)]


def healthy() -> list[Trial]:
    """Return the shipped configurations, others that people would try, and data that say little or nothing."""
    tiny, free = {"training": {"batch_size": 1, "crop_units": 4}}, {"training": {"freeze_units": False}}
    changes = [
        tiny,
        MOL,
        {"training": {"warmup_steps": 0}},
        {"training": {"accumulate_steps": 2}},
        {"model": {"quantizer": {"start_step": 300, "init": "sample"}}} | free,  # a late jump
        {"model": {"quantizer": {"update": "gradient", "start_step": 150}}} | free,
    ]
    cases = [Case(config, None, precision) for precision in PRECISIONS for config in VQVAES + PRIORS]
    cases += [Case(VQVAES[0], seed=1, changes=change) for change in changes]
    odd = ("silence", "noise at full scale", "clipped", "clicks", "bursts")
    cases += [Case(VQVAES[0], kind=kind) for kind in odd] + [Case(VQVAES[2], kind=kind) for kind in odd[:2]]
    cases += [Case(VQVAES[0], kind=kind, changes=MOL) for kind in odd[:3]]
    cases += [Case(PRIORS[0], kind=kind, steps=900) for kind in ("random", "one and the same")]
    cases += [Case(config, 5e-3, precision, 2) for config in (VQVAES[0], PRIORS[0]) for precision in PRECISIONS]
    return [functools.partial(must_not_stop, case) for case in cases]


def afterwards() -> list[Trial]:
    """Return trainings that go well, are lost, and go on as the report says."""
    cases = [Case(config, 2e-3, p, steps=240) for p in PRECISIONS for config in (PRIORS[0], VQVAES[0], VQVAES[2])]
    return [functools.partial(goes_on_as_told, case) for case in cases]


def overflowing() -> list[Trial]:
    """Return trainings of which something overflows unseen."""

    def sums(trainer) -> None:  # of a code that no vector is near to
        trainer.task.model.quantizer.sums[-1] = float("inf")

    def code(trainer) -> None:
        trainer.task.model.quantizer.codebook[-1] = 3e38
        trainer.task.model.quantizer.sums[-1] = 3e38
        trainer.task.model.quantizer.counts[-1] = 1e-6

    def moments(trainer) -> None:
        next(iter(trainer.update.optimizer.state.values()))["exp_avg_sq"].fill_(float("inf"))

    def average(trainer) -> None:
        next(iter(trainer.average.average.values()))[0] = float("nan")

    return [functools.partial(overflows, spoil.__name__, spoil) for spoil in (sums, code, moments, average)]


def agreement() -> list[Trial]:
    """Return comparisons of bfloat16 with float32."""
    shipped = [Case(config, seed=seed) for seed in range(2) for config in VQVAES + PRIORS]
    steps = [functools.partial(one_step_agrees, case) for case in shipped]
    final = [
        functools.partial(final_bits_agree, Case(config, seed=seed))
        for seed in range(2)
        for config in (PRIORS[0], VQVAES[0], VQVAES[2])
    ]
    return _mixed(final, steps)


def _mixed(*kinds: list) -> list:
    """Return the items of all kinds, one of each by turns."""
    turns = itertools.zip_longest(*kinds)
    return [item for turn in turns for item in turn if item is not None]


TRIALS = _mixed(lost(), healthy(), agreement(), uncertain(), overflowing(), afterwards())
LEAST = 6
"""One of each kind."""


def trials(bench: Bench) -> Iterator[str]:
    """Do the first trials: one of each kind by turns."""
    materials, threads = Materials(bench.folder), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for trial in TRIALS[: bench.count]:
            yield trial(materials)
    finally:
        torch.set_num_threads(threads)


PROMISE = Promise(
    "numbers",
    "a learning rate that diverges is stopped with a clear report; bfloat16 and float32 agree",
    "rates from the shipped ones to 100,000, VQ-VAE and prior, both precisions; the last good checkpoint named, gone "
    "on from; healthy trainings, silence, noise; one step and a short training in both precisions",
    len(TRIALS),
    trials,
    least=LEAST,
)
