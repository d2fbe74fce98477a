"""Waveforms from units: the decoder's stack, run sample by sample over a batch of utterances.

    units (N,) ─embed─▶ z_q ─condition─▶ (N·S, L·G) ─Engine, N·hop_length steps─▶ y ─de-emphasis─▶ waveform

Utterances are taken longest first, a batch at a time; one that ends leaves its batch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from vqaudio.audio.emphasis import DeEmphasis
from vqaudio.config import DecoderConfig
from vqaudio.errors import ModelError, UnitsError
from vqaudio.generation.engine import Engine, batches, choose_engine
from vqaudio.generation.packed import pack
from vqaudio.generation.state import SamplerState
from vqaudio.generation.torch_engine import one_thread
from vqaudio.generation.uniforms import next_uniforms, uniform_stream
from vqaudio.models.sampling import Draw
from vqaudio.models.vqvae import VQVAE

log = logging.getLogger(__name__)

BLOCK_SAMPLES = 2048
"""About as many samples of an utterance are conditioned at a time, so that memory does not grow with its length."""


def generate_waveforms(model: VQVAE, units: Sequence[Tensor], speakers: Sequence[int], **options) -> list[Tensor]:
    """Return the waveform (N_i·hop_length,) of each sequence of units (N_i,); options as of `stream_waveforms`."""
    waveforms = dict(stream_waveforms(model, units, speakers, **options))
    return [waveforms[i] for i in range(len(units))]


@torch.no_grad()
def stream_waveforms(
    model: VQVAE,
    units: Sequence[Tensor],
    speakers: Sequence[int],
    *,
    keys: Sequence[str] | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    engine: str | Engine = "auto",
    precision: str = "float32",
    batch_size: int = 64,
    progress: bool = False,
) -> Iterator[tuple[int, Tensor]]:
    """Yield (i, waveform) as utterances are finished: float32 (N_i·hop_length,) on the CPU, at the model's rate.

    `units`: one LongTensor (N_i,) per utterance; `speakers`: an index each. The random numbers of utterance i are a
    function of `seed` and `keys[i]` (by default its place, "0", "1", …) alone, so that the order of the utterances
    and `batch_size` change nothing. `temperature`, `top_k` and `top_p`: see `OutputDistribution.sample`. `engine`: a
    name, its weights kept in `precision`, or what `decoder_engine` made. Runs on the model's device. A waveform can
    exceed [-1, 1] where the decoder overshoots: writing it counts the clipping.

    Raises UnitsError for units that are not the model's, ModelError for a speaker that it does not have.
    """
    draw = Draw(model.decoder.distribution, temperature, top_k, top_p)
    keys = [str(i) for i in range(len(units))] if keys is None else keys
    _check_requests(model, units, speakers, keys)
    chosen = decoder_engine(model, engine, precision) if isinstance(engine, str) else engine
    order = sorted(range(len(units)), key=lambda i: -len(units[i]))
    samples, rate = sum(map(len, units)) * model.hop_length, model.config.sample_rate
    started, elsewhere = time.perf_counter(), 0.0  # `elsewhere`: seconds spent by whoever takes the waveforms
    with tqdm(total=samples, unit=" samples", unit_scale=True, desc="generating", disable=not progress) as bar:
        for batch in batches(order, batch_size):
            requests = [_Request(units[i], speakers[i], uniform_stream(seed, "samples", keys[i])) for i in batch]
            for row, emphasised in _generate_batch(model, chosen, requests, draw, bar):
                waveform = emphasis_undoer(model.config.decoder)(emphasised)
                paused = time.perf_counter()
                yield batch[row], waveform
                elsewhere += time.perf_counter() - paused
    _log_speed(len(units), samples, rate, time.perf_counter() - started - elsewhere)


def decoder_engine(model: VQVAE, engine: str = "auto", precision: str = "float32") -> Engine:
    """Return the engine called `engine` with the weights of the model's decoder, on its device; see `choose_engine`."""
    stack = model.decoder.stack
    return choose_engine(pack(stack), engine, stack.bias.device, precision)


@dataclass(frozen=True)
class _Request:
    """What one waveform is made of."""

    units: Tensor
    speaker: int
    uniforms: np.random.Generator


def _generate_batch(
    model: VQVAE, engine: Engine, requests: list[_Request], draw: Draw, bar: tqdm
) -> Iterator[tuple[int, Tensor]]:
    """Yield (row, waveform as the stack models it) of requests sorted by length, longest first."""
    distribution, hop, rows_of_unit = model.decoder.distribution, model.hop_length, model.decoder.steps
    lengths = [len(r.units) for r in requests]
    yield from ((row, torch.empty(0)) for row, length in enumerate(lengths) if length == 0)
    block = block_units(model)
    rows = sum(length > 0 for length in lengths)
    silence = distribution.to_input(torch.zeros(rows))  # what precedes the first sample
    state = SamplerState.begin(engine.packed, silence, engine.device)
    parts, conditions = [], []
    for active, start, end in _stretches(lengths, block):
        if active < rows:
            state, rows = state.keep(range(active)), active
        if start % block == 0:
            conditions = [block_condition(model, r.units, r.speaker, start) for r in requests[:active]]
        held = slice(start % block * rows_of_unit, (start % block + end - start) * rows_of_unit)
        condition = torch.stack([c[held] for c in conditions[:active]])
        streams = [r.uniforms for r in requests[:active]]
        uniforms = next_uniforms(streams, (end - start) * hop, distribution.uniforms_per_sample)
        parts.append(distribution.to_waveform(engine.generate(state, condition, uniforms, draw)).cpu())
        bar.update(parts[-1].numel())
        yield from ((row, torch.cat([p[row] for p in parts])) for row in range(active) if lengths[row] == end)


def _stretches(lengths: Sequence[int], block: int) -> Iterator[tuple[int, int, int]]:
    """Yield (active rows, start, end) of the stretches in which neither the active rows nor the block change.

    `lengths` fall; a row is active before its length, so that the active ones are the first rows.

        row 0  ├───────────────┼───┼───────┼──────┤
        row 1  ├───────────────┼───┼───────┤
        row 2  ├───────────────┼───┤
               │ block 0       │ block 1          │
    """
    ends = {*lengths, *range(block, max(lengths, default=0), block)} - {0}
    start = 0
    for end in sorted(ends):
        yield sum(length > start for length in lengths), start, end
        start = end


def block_units(model: VQVAE) -> int:
    """Return how many units are conditioned at a time."""
    return max(1, BLOCK_SAMPLES // model.hop_length)


def block_condition(model: VQVAE, units: Tensor, speaker: int, start: int) -> Tensor:
    """Return the condition (block·S, L·G) of `block_units` units (N,) from number `start` on, S rows a unit.

    Computed alone, on one thread and always in the same shape, so that a row's rounding depends on nothing but the
    units that the convolutions reach:

        units        ░░reach░░│      block      │░░reach░░      beyond the utterance: zeros for z_q
        condition             │      block      │

    A row is thus the same, bit by bit, whether the units beyond its reach are known by now or not.
    """
    rows_of_unit = model.decoder.steps
    reach, block = model.decoder.reach, block_units(model)
    device = model.decoder.stack.bias.device
    before = max(0, start - reach)
    with one_thread():
        z_q = model.embed(units[before : start + block + reach].to(device))
        missing = before - (start - reach)
        z_q = F.pad(z_q, (0, 0, missing, block + 2 * reach - missing - len(z_q)))
        condition = model.decoder.condition(z_q[None], torch.tensor([speaker], device=device))[0]
    return condition[reach * rows_of_unit : (reach + block) * rows_of_unit]


def emphasis_undoer(config: DecoderConfig) -> Callable[[Tensor], Tensor]:
    """Return what maps consecutive blocks (T_i,) of gain · pre-emphasis, which the stack models, to the waveform's."""
    if not config.pre_emphasis:
        return Tensor.clone
    inverse = DeEmphasis(config.pre_emphasis)
    return lambda block: inverse(block / config.emphasis_gain)


def _check_requests(model: VQVAE, units: Sequence[Tensor], speakers: Sequence[int], keys: Sequence[str]) -> None:
    if not len(units) == len(speakers) == len(keys):
        raise UnitsError(
            f"{len(units)} unit sequences, {len(speakers)} speakers and {len(keys)} keys: not as many each"
        )
    for key, sequence, speaker in zip(keys, units, speakers):
        check_units(model, sequence, key)
        check_speaker(model, speaker, key)


def check_units(model: VQVAE, units: Tensor, key: str) -> None:
    """Raise UnitsError unless `units` are one sequence (N,) of the model's units."""
    size = model.config.quantizer.codebook_size
    if units.dim() != 1:
        raise UnitsError(f"utterance {key}: units of shape {tuple(units.shape)}, expected one sequence (N,)")
    if len(units) and not 0 <= int(units.min()) <= int(units.max()) < size:
        wrong = next(int(u) for u in units if not 0 <= u < size)
        raise UnitsError(f"utterance {key}: unit {wrong}, expected 0 to {size - 1}: the codebook has {size} codes")


def check_speaker(model: VQVAE, speaker: int, key: str) -> None:
    """Raise ModelError unless `speaker` is the index of one of the model's."""
    if not 0 <= speaker < model.num_speakers:
        raise ModelError(
            f"utterance {key}: speaker {speaker}, expected 0 to {model.num_speakers - 1}: "
            f"the model has {model.num_speakers} speakers"
        )


def _log_speed(utterances: int, samples: int, rate: int, seconds: float) -> None:
    log.info(
        "generated %d utterances, %.2f s of audio in %.2f s: %.2f times real time, %.0f samples/s",
        utterances, samples / rate, seconds, samples / rate / seconds, samples / seconds,
    )  # fmt: skip
