"""How well the decoder predicts held-out audio, and how much of that it owes to the units."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vqaudio.errors import VQAudioError, did_you_mean
from vqaudio.evaluation.windows import evaluating, windows
from vqaudio.models.vqvae import VQVAE

Units = Literal["true", "shuffled", "zero"]

WINDOW_SAMPLES = 4096
"""Samples that the decoder scores at a time: bounds memory, whatever the length of an utterance."""


def bits_per_sample(
    model: VQVAE,
    utterances: Iterable[tuple[Tensor, int]],
    device: torch.device | str = "cpu",
    units: Units = "true",
    seed: int = 0,
) -> float:
    """Mean of -log2 p(x_t | x_<t, units, speaker) over all samples of all utterances, in bits per sample.

    Samples weigh alike, so that a long utterance counts more than a short one. Range: above 0; the lower, the
    better. For the arguments, and what x is, see `utterance_bits`.
    """
    bits, samples = utterance_bits(model, utterances, device, units, seed)
    return float(bits.sum() / samples.sum())


def utterance_bits(
    model: VQVAE,
    utterances: Iterable[tuple[Tensor, int]],
    device: torch.device | str = "cpu",
    units: Units = "true",
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return -log2 p(x | units, speaker) of each utterance, in bits, and its samples: float64 (U,), int64 (U,).

    x is what the decoder models: the pre-emphasised waveform at the levels of its output distribution (with
    256 companded levels, a decoder that knows nothing has 8 bits per sample). Computed in float32.

    Args:
        utterances: waveforms (T,) at the model's rate, and speaker indices (`heldout.read_heldout`).
        units: "true"; "shuffled", each utterance's units permuted in time; or "zero", z_q all zeros. What these
            two cost more than "true" is what the order of the units, or the units, are worth to the decoder.
        seed: of the permutations.
    """
    if units not in get_args(Units):
        raise VQAudioError(
            f"units {units!r}: expected one of {', '.join(get_args(Units))}.{did_you_mean(units, get_args(Units))}"
        )
    generator = torch.Generator().manual_seed(seed)
    nats, samples = [], []
    with evaluating(model), torch.inference_mode():
        for waveform, speaker in utterances:
            nll = utterance_nll(model, waveform.to(device), speaker, units, generator)
            nats.append(float(nll.double().sum()))
            samples.append(len(nll))
    if not samples:
        raise VQAudioError("no samples to score: no utterances, or empty ones")
    return np.array(nats) / math.log(2), np.array(samples)


def utterance_nll(model: VQVAE, waveform: Tensor, speaker: int, units: Units, generator: torch.Generator) -> Tensor:
    """Return -ln p of each sample (T,) of one waveform (T,), in nats; for `units` see `utterance_bits`."""
    if waveform.dim() != 1 or len(waveform) == 0:
        raise VQAudioError(f"waveform of shape {tuple(waveform.shape)}, expected mono samples (T,), T ≥ 1")
    z_q = _altered(model, model.encode(waveform), units, generator)[None]  # (1, N, D)
    hop = model.hop_length
    padded = F.pad(waveform.float(), (1, z_q.shape[1] * hop - len(waveform)))
    y = model.emphasise(padded[None])  # (1, N·hop)
    previous = F.pad(y, (1, 0))[:, :-1]  # at t, the sample t-1; silence before the first
    speakers = torch.tensor([speaker], device=waveform.device)
    # Windows begin and end between units: the stack holds each row of its condition for `hop` samples.
    overlap = -(-(model.decoder.stack.receptive_field - 1) // hop)
    parts = []
    for begin, start, stop in windows(z_q.shape[1], max(1, WINDOW_SAMPLES // hop), overlap):
        condition = _condition(model, z_q, speakers, begin, stop)
        inputs = model.distribution.to_input(previous[:, begin * hop : stop * hop])
        parameters = model.decoder.stack(inputs, condition)[:, (start - begin) * hop :]
        parts.append(model.distribution.nll(parameters, y[:, start * hop : stop * hop])[0])
    return torch.cat(parts)[: len(waveform)]


def _altered(model: VQVAE, units: Tensor, how: Units, generator: torch.Generator) -> Tensor:
    """Return the codes (N, D) of units (N,), of the same units in another order, or zeros."""
    if how == "shuffled":
        units = units[torch.randperm(len(units), generator=generator).to(units.device)]
    codes = model.embed(units)
    return torch.zeros_like(codes) if how == "zero" else codes


def _condition(model: VQVAE, z_q: Tensor, speakers: Tensor, begin: int, stop: int) -> Tensor:
    """Return the condition (1, (stop - begin)·S, L·G) of units `begin` … `stop`, from the codes that it depends on."""
    reach, rows_of_unit = model.decoder.reach, model.decoder.steps
    first = max(0, begin - reach)
    rows = model.decoder.condition(z_q[:, first : stop + reach], speakers)
    return rows[:, (begin - first) * rows_of_unit : (stop - first) * rows_of_unit]
