"""How well the learned prior predicts held-out units."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vqaudio.errors import UnitsError
from vqaudio.evaluation.windows import evaluating, windows
from vqaudio.models.prior import UnitPrior

WINDOW_UNITS = 4096
"""Units that the prior scores at a time: bounds memory, whatever the length of an utterance."""


def prior_bits_per_unit(
    prior: UnitPrior, units: Sequence[Tensor], speakers: Sequence[int] | None = None
) -> dict[str, float]:
    """Score held-out utterances: units, each a LongTensor (N_i,), and the speakers' indices.

    Returns:
        bits_per_unit: mean of -log2 p(u_n | u_<n, speaker) over all units of all utterances, in bits; what the
            prior loses by expecting the end too early is in it. In [0, ∞); log2 K is what a uniform prior has.
        end_bits_per_utterance: mean of -log2 p(end | u, speaker) over utterances, in bits.

    Raises:
        UnitsError: no units, units outside the codebook, or speakers missing for a prior that needs them.
    """
    bits, end_bits = utterance_prior_bits(prior, units, speakers)
    return {
        "bits_per_unit": float(bits.sum()) / sum(map(len, units)),
        "end_bits_per_utterance": float(end_bits.mean()),
    }


def utterance_prior_bits(
    prior: UnitPrior, units: Sequence[Tensor], speakers: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return -log2 p(u | speaker) of each utterance and of its end, in bits: float64 (U,) each.

    Arguments and errors are those of `prior_bits_per_unit`.
    """
    speakers = _checked(prior, units, speakers)
    with evaluating(prior), torch.inference_mode():
        nats = [sequence_nll(prior, sequence, speaker) for sequence, speaker in zip(units, speakers, strict=True)]
    sums = np.array([[float(nll[:-1].sum()), float(nll[-1])] for nll in nats]) / math.log(2)  # (U, 2)
    return sums[:, 0], sums[:, 1]


def sequence_nll(prior: UnitPrior, units: Tensor, speaker: int) -> Tensor:
    """Return -ln p of each unit of an utterance (N,) and, last, of its end: float64 (N + 1,), in nats."""
    device = next(prior.parameters()).device
    symbols = F.pad(units.to(device), (1, 1), value=prior.boundary)  # K u_0 … u_N-1 K
    inputs, targets = symbols[:-1], symbols[1:]
    speakers = torch.tensor([speaker], device=device)
    parts = []
    for begin, start, stop in windows(len(inputs), WINDOW_UNITS, prior.stack.receptive_field - 1):
        logits = prior(inputs[None, begin:stop], speakers)[0, start - begin :]  # (stop - start, K + 1)
        parts.append(F.cross_entropy(logits.double(), targets[start:stop], reduction="none"))
    return torch.cat(parts)


def _checked(prior: UnitPrior, units: Sequence[Tensor], speakers: Sequence[int] | None) -> Sequence[int]:
    codes = prior.config.codebook_size
    if not units:
        raise UnitsError("no utterances to score")
    for number, sequence in enumerate(units):
        if sequence.dim() != 1 or len(sequence) == 0:
            raise UnitsError(f"utterance {number} has units of shape {tuple(sequence.shape)}, expected (N,), N ≥ 1")
        if sequence.min() < 0 or sequence.max() >= codes:
            wrong = int(sequence.min() if sequence.min() < 0 else sequence.max())
            raise UnitsError(f"utterance {number} holds {wrong}, the prior knows units from 0 to {codes - 1}")
    if speakers is None:
        if prior.config.speaker_conditional:
            raise UnitsError("the prior is conditioned on speakers, but none were given: expected one per utterance")
        return [0] * len(units)
    return _checked_speakers(prior, speakers, len(units))


def _checked_speakers(prior: UnitPrior, speakers: Sequence[int], utterances: int) -> Sequence[int]:
    if len(speakers) != utterances:
        raise UnitsError(f"{len(speakers)} speakers for {utterances} utterances, expected one each")
    unknown = [speaker for speaker in speakers if not 0 <= speaker < prior.num_speakers]
    if prior.config.speaker_conditional and unknown:
        raise UnitsError(f"speaker {unknown[0]}, expected an index from 0 to {prior.num_speakers - 1}")
    return speakers
