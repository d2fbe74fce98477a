"""Unit sequences from the prior, one unit a step, until the model ends the utterance."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vqaudio.errors import ModelError, VQAudioError
from vqaudio.generation.engine import Engine, batches, choose_engine
from vqaudio.generation.packed import pack
from vqaudio.generation.state import SamplerState
from vqaudio.generation.uniforms import next_uniforms, uniform_stream
from vqaudio.models.prior import UnitPrior
from vqaudio.models.sampling import Draw

log = logging.getLogger(__name__)

BLOCK_UNITS = 32
"""Steps between looks at which utterances have ended; what was drawn after an end is thrown away."""


@torch.no_grad()
def sample_units(
    prior: UnitPrior,
    n: int,
    speakers: Sequence[int] | None = None,
    *,
    max_units: int,
    keys: Sequence[str] | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    engine: str = "auto",
    precision: str = "float32",
    batch_size: int = 64,
    progress: bool = False,
) -> list[Tensor]:
    """Return `n` sequences of units, of one speaker each: LongTensors (N_i,) on the CPU, 0 <= N_i <= max_units.

    `speakers` may be left out for a prior that is not conditioned on them. A sequence is a function of `seed`, its
    key (by default its place, "0", "1", …) and its speaker, whatever the others. One that has not ended by itself
    after `max_units` is cut there, and the log says how many were. `temperature`, `top_k`, `top_p`: see
    `filter_logits`; they apply to the end of the utterance as to any unit.

    Raises ModelError for a speaker that the prior does not have.
    """
    draw = Draw(prior.distribution, temperature, top_k, top_p)
    keys = [str(i) for i in range(n)] if keys is None else keys
    speakers = _check_requests(prior, n, speakers, keys, max_units)
    chosen = choose_engine(pack(prior.stack), engine, prior.stack.bias.device, precision)
    requests = [(speaker, uniform_stream(seed, "units", key)) for speaker, key in zip(speakers, keys)]
    sequences: list[Tensor] = []
    started = time.perf_counter()
    with tqdm(total=n, unit="utt", desc="sampling units", disable=not progress) as bar:
        for batch in batches(requests, batch_size):
            sequences += _sample_batch(prior, chosen, batch, max_units, draw, bar)
    _log_summary(sequences, prior.boundary, max_units, time.perf_counter() - started)
    return [s[s != prior.boundary] for s in sequences]


def _sample_batch(
    prior: UnitPrior,
    engine: Engine,
    requests: Sequence[tuple[int, np.random.Generator]],
    max_units: int,
    draw: Draw,
    bar: tqdm,
) -> list[Tensor]:
    """Return sequences that end with the boundary symbol, unless they were cut at `max_units`.

    `requests`: speaker and random numbers of each.
    """
    sequences = [torch.empty(0, dtype=torch.long)] * len(requests)
    active = list(range(len(requests)))
    condition = _conditions(prior, [speaker for speaker, _ in requests])
    state = SamplerState.begin(engine.packed, torch.full((len(active),), prior.boundary), engine.device)
    for start in range(0, max_units, BLOCK_UNITS):
        uniforms = next_uniforms([requests[i][1] for i in active], min(BLOCK_UNITS, max_units - start), 1)
        drawn = engine.generate(state, None if condition is None else condition[active], uniforms, draw).cpu()
        for i, symbols in zip(active, drawn):
            sequences[i] = torch.cat([sequences[i], _through_first(symbols, prior.boundary)])
        rows = [row for row, i in enumerate(active) if prior.boundary not in sequences[i][-1:]]
        bar.update(len(active) - len(rows))
        if not rows:
            return sequences
        if len(rows) < len(active):
            state, active = state.keep(rows), [active[row] for row in rows]
    bar.update(len(active))
    return sequences


def _conditions(prior: UnitPrior, speakers: Sequence[int]) -> Tensor | None:
    """Return the condition (B, 1, L·G), each row computed alone: its rounding does not depend on the batch."""
    device = prior.stack.bias.device
    rows = [prior.condition(torch.tensor([speaker], device=device)) for speaker in speakers]
    return None if rows[0] is None else torch.cat(rows)


def _through_first(symbols: Tensor, boundary: int) -> Tensor:
    """Return `symbols` up to and including the first `boundary`; all of them where there is none."""
    places = (symbols == boundary).nonzero()
    return symbols[: int(places[0]) + 1] if len(places) else symbols


def _check_requests(
    prior: UnitPrior, n: int, speakers: Sequence[int] | None, keys: Sequence[str], max_units: int
) -> Sequence[int]:
    """Return the speaker of each sequence; any one where the prior does not look at it."""
    if max_units < 1:
        raise VQAudioError(f"max_units: got {max_units}, expected at least 1")
    if speakers is None:
        if prior.config.speaker_conditional:
            raise ModelError(f"no speakers given; this prior is conditioned on one of its {prior.num_speakers}")
        speakers = [0] * n
    if not n == len(speakers) == len(keys):
        raise VQAudioError(f"{n} sequences, {len(speakers)} speakers and {len(keys)} keys: not as many each")
    for key, speaker in zip(keys, speakers):
        if not 0 <= speaker < prior.num_speakers:
            raise ModelError(
                f"sequence {key}: speaker {speaker}, expected 0 to {prior.num_speakers - 1}: "
                f"the prior has {prior.num_speakers} speakers"
            )
    return speakers


def _log_summary(sequences: list[Tensor], boundary: int, max_units: int, seconds: float) -> None:
    ended = sum(bool(boundary == s[-1]) for s in sequences)
    units = sum(map(len, sequences)) - ended
    log.info(
        "sampled %d utterances, %d units, in %.2f s: %.0f units/s", len(sequences), units, seconds, units / seconds
    )
    if ended < len(sequences):
        log.warning("%d of %d utterances were cut at %d units", len(sequences) - ended, len(sequences), max_units)
