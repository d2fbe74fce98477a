"""bfloat16 beside float32: one step from the same weights, and short trainings.

The bounds are for the shipped configurations, shrunk. Of twelve steps the worst was 0.01% apart in its loss and 10% in
its gradient (where bfloat16 moves an encoder output to another code, its gradient is another one; the others were at
most 4.4% apart); trainings came out at most 0.006 bits apart, and on real speech, priors of 400 steps, up to 0.03.
"""

from __future__ import annotations

import json
from dataclasses import replace

import torch

from tests.reliability.numbers_trainings import Case, Materials, train
from tests.reliability.promises import HELD
from vqaudio.training import loop

LOSS_BOUND = 0.001
"""Of the loss of a step, relative."""
GRADIENT_BOUND = 0.25
"""Of the gradient of a step: the distance of the two, by the length of float32's."""
BITS_BOUND = 0.05
"""Bits per sample or unit on the dev set, after TRAINED steps."""
TRAINED = 300
WARM = 150
"""Steps trained before the step that is compared: gradients of a network that knows something."""


def one_step_agrees(case: Case, materials: Materials) -> str:
    """Compare loss and gradient of one step in both precisions, from the same weights, on the same batch."""
    of_loss, of_gradient = step_apart(case, materials)
    if of_loss <= LOSS_BOUND and 0 < of_gradient <= GRADIENT_BOUND:  # 0: it was not bfloat16 at all
        return HELD
    bounds = f"bounds {LOSS_BOUND:.1%} and {GRADIENT_BOUND:.0%}, and not the very same"
    return f"{case}: loss {of_loss:.2%}, gradient {of_gradient:.2%} apart; {bounds}"


def step_apart(case: Case, materials: Materials) -> tuple[float, float]:
    """Return by how much, relative to float32, loss and gradient differ after WARM steps."""
    found, original = {}, loop.Trainer._step

    def step(trainer, batch):
        if trainer.progress.step == WARM:
            for dtype in (torch.float32, torch.bfloat16):
                found[dtype] = _loss_and_gradient(trainer, batch, dtype)
        return original(trainer, batch)

    loop.Trainer._step = step
    try:
        end = train(replace(case, steps=WARM + 10), materials)
    finally:
        loop.Trainer._step = original
    if end.status != 0:
        raise RuntimeError(f"{case}: status {end.status}: {end.said[-600:]}")
    (loss, gradient), (loss16, gradient16) = found[torch.float32], found[torch.bfloat16]
    return abs(loss16 - loss) / loss, float((gradient16 - gradient).norm() / gradient.norm())


def _loss_and_gradient(trainer, batch, dtype: torch.dtype) -> tuple[float, torch.Tensor]:
    """Return what the update computes before it clips; random numbers are drawn alike."""
    random = torch.get_rng_state()
    trainer.update.optimizer.zero_grad(set_to_none=True)
    loss, _ = trainer.update._gradients(batch, trainer.progress.step, dtype)
    torch.set_rng_state(random)
    gradients = [p.grad.flatten().double() for p in trainer.update.parameters if p.grad is not None]
    trainer.update.optimizer.zero_grad(set_to_none=True)
    return float(loss), torch.cat(gradients)


def final_bits_agree(case: Case, materials: Materials) -> str:
    """Compare what two short trainings that differ in precision alone come to on the dev set."""
    apart = bits_apart(case, materials)
    if 0 < apart <= BITS_BOUND:
        return HELD
    return f"{case}: {apart:.4f} bits apart on the dev set; bound {BITS_BOUND}, and not the very same"


def bits_apart(case: Case, materials: Materials) -> float:
    """Return the distance, in bits per sample or unit, between trainings of TRAINED steps in the two precisions."""
    bits = []
    for precision in ("float32", "bfloat16"):
        end = train(replace(case, precision=precision, steps=TRAINED), materials)
        if end.status != 0:
            raise RuntimeError(f"{case}: status {end.status}: {end.said[-600:]}")
        bits.append(json.loads((end.folder / "heartbeat.json").read_text())["score"]["value"])
    return abs(bits[1] - bits[0])
