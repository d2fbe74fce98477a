"""What keeping the decoder's weights in fewer bits costs in prediction, on real held-out speech."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.windows import evaluating
from vqaudio.generation.decode import block_condition, block_units
from vqaudio.generation.engine import Engine, batches, choose_engine
from vqaudio.generation.packed import pack
from vqaudio.generation.state import SamplerState
from vqaudio.models.vqvae import VQVAE

BATCH = 16
"""Utterances that are scored side by side."""


def engine_bits(
    model: VQVAE, utterances: Sequence[tuple[Tensor, int]], precision: str, engine: str = "auto", progress: bool = False
) -> float:
    """Mean of -log2 p(x_t | x_<t, units, speaker) in bits per sample, as an engine of this precision predicts it.

    In float32 it is `likelihood.bits_per_sample` within 1e-5; what another precision has more is its rise. Range:
    above 0; the lower, the better.

    Args:
        utterances: waveforms (T,) at the model's rate, and speaker indices (`heldout.read_heldout`).
        precision: "float32", "bfloat16" or "int8".
        engine: by name, or "auto".
    """
    stack = model.decoder.stack
    chosen = choose_engine(pack(stack), engine, stack.bias.device, precision)
    longest_first = sorted(utterances, key=lambda utterance: -len(utterance[0]))
    nats, samples = 0.0, 0
    bar = tqdm(total=sum(len(w) for w, _ in utterances), unit=" samples", unit_scale=True, desc=precision,
               disable=not progress)  # fmt: skip
    with evaluating(model), torch.inference_mode(), bar:
        for batch in batches(longest_first, BATCH):
            for nll, valid in _batch_nll(model, chosen, batch):
                nats += float(nll[valid].double().sum())
                samples += int(valid.sum())
                bar.update(int(valid.sum()))
    if not samples:
        raise VQAudioError("no samples to score: no utterances, or empty ones")
    return nats / samples / math.log(2)


def _batch_nll(model: VQVAE, engine: Engine, batch: Sequence[tuple[Tensor, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield -ln p (active rows, steps) of one block after the other, and which of them are of an utterance.

    `batch`: waveforms and speakers, the longest first.
    """
    hop, distribution = model.hop_length, model.distribution
    units = [model.encode(waveform) for waveform, _ in batch]
    count = max(map(len, units))
    waveforms = pad_sequence([waveform.float() for waveform, _ in batch], batch_first=True)
    lengths = torch.tensor([len(waveform) for waveform, _ in batch], device=waveforms.device)
    y = model.emphasise(F.pad(waveforms, (1, count * hop - waveforms.shape[1])))  # (B, count·hop)
    elements = distribution.to_input(y)
    silence = distribution.to_input(torch.zeros(len(batch), device=y.device))
    state = SamplerState.begin(engine.packed, silence, engine.device)
    block = block_units(model)
    for start in range(0, count, block):
        span = slice(start * hop, min(start + block, count) * hop)
        active = sum(len(u) > start for u in units)  # the first ones: they are sorted by length
        if active < state.batch:
            state = state.keep(range(active))
        pairs = [(u, speaker) for u, (_, speaker) in zip(units[:active], batch)]
        rows = [
            block_condition(model, u, speaker, start)[: (count - start) * model.decoder.steps] for u, speaker in pairs
        ]
        parameters = engine.follow(state, torch.stack(rows), elements[:active, span]).to(y.device)
        places = torch.arange(span.start, span.stop, device=y.device)
        yield distribution.nll(parameters, y[:active, span]), places < lengths[:active, None]
