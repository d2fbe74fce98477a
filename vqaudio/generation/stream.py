"""One waveform while it is made, in chunks; from units that are there, or that become known as it goes on.

    units so far   ├────────────────────────┤░░reach░░│ ?       a unit's condition looks `reach` units ahead
    generated      ├──────┼──────┼──────┤                       and then a chunk is as good as the whole

The samples are, bit by bit, those of `generate_waveforms`: conditions come in the same blocks and shape, engines keep
their state from call to call, random numbers come from the same stream, and so does de-emphasis carry its state on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from vqaudio.errors import VQAudioError
from vqaudio.generation.decode import (
    block_condition,
    block_units,
    check_speaker,
    check_units,
    decoder_engine,
    emphasis_undoer,
)
from vqaudio.generation.engine import Engine
from vqaudio.generation.state import SamplerState
from vqaudio.generation.uniforms import next_uniforms, uniform_stream
from vqaudio.models.sampling import Draw
from vqaudio.models.vqvae import VQVAE

log = logging.getLogger(__name__)

CHUNK_SECONDS = 0.04
"""About the length of a chunk, where the caller does not choose: such as sound cards take, and calls hardly cost."""
FIRST_SHARE = 4
"""The first chunk is a quarter as long, so that it comes sooner."""


def stream_waveform(
    model: VQVAE,
    units: Tensor | Iterable[Tensor],
    speaker: int,
    *,
    key: str = "0",
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    engine: str | Engine = "auto",
    precision: str = "float32",
    chunk_units: int | None = None,
) -> Iterator[Tensor]:
    """Return an iterator over the chunks of one waveform: float32 tensors on the CPU, at the model's rate.

    `units`: a LongTensor (N,), or an iterable of such that are taken as they become known; a sample is generated
    as soon as `reach` units after its own are known (`WaveNetDecoder.reach`). A chunk is `chunk_units`·hop_length
    samples long, by default about CHUNK_SECONDS; the first one is a quarter as long, each further one at most twice
    as long as the one before, so that a player that starts at once does not run dry where generation takes up to
    half of real time; the last one is what is left. The other arguments are those of `stream_waveforms`, and the
    chunks joined are its waveform for the same `key`. The model's weights must stay as they are meanwhile.

    Raises UnitsError for units that are not the model's: at once, or, where they come later, when they come.
    """
    watch = Stopwatch()
    draw = Draw(model.decoder.distribution, temperature, top_k, top_p)
    check_speaker(model, speaker, key)
    chunk_units = _default_chunk(model) if chunk_units is None else chunk_units
    if chunk_units < 1:
        raise VQAudioError(f"chunk_units: got {chunk_units!r}, expected at least 1")
    if isinstance(units, Tensor):
        check_units(model, units, key)
        units = [units]
    made = decoder_engine(model, engine, precision) if isinstance(engine, str) else engine
    work = _Work(model, made, draw, uniform_stream(seed, "samples", key), emphasis_undoer(model.config.decoder), watch)
    watch.stop()  # until the first chunk is asked for
    return _chunks(work, _Conditions(model, units, speaker, key, watch), chunk_units)


class Stopwatch:
    """Seconds of one's own work, without those spent waiting for others."""

    def __init__(self) -> None:
        self._before, self._started = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds while it ran."""
        return self._before + (0.0 if self._started is None else time.perf_counter() - self._started)

    def stop(self) -> None:
        """Let the time that follows not count."""
        self._before, self._started = self.seconds, None

    def start(self) -> None:
        """Go on after `stop`."""
        self._started = time.perf_counter()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let the time of the block not count."""
        self.stop()
        try:
            yield
        finally:
            self.start()


class _Conditions:
    """The conditions of an utterance whose units come one by one, computed in the blocks that `decode` computes."""

    def __init__(self, model: VQVAE, source: Iterable[Tensor], speaker: int, key: str, watch: Stopwatch) -> None:
        self._model, self._speaker, self._key, self._watch = model, speaker, key, watch
        self._source: Iterator[Tensor] | None = iter(source)
        self._units: list[int] = []
        self._block, self._rows, self._sure = -1, torch.empty(0), 0  # number, condition and rows that stay

    def up_to(self, wanted: int) -> int:
        """Wait until the rows before `wanted` can be computed, or all units are known; return how many of them can."""
        while self._source is not None and self._known < wanted:
            with self._watch.stopped():
                new = next(self._source, None)
            if new is None:
                self._source = None
            else:
                check_units(self._model, new, self._key)
                self._units += new.tolist()
        return min(wanted, self._known)

    @property
    def _known(self) -> int:
        """Units whose condition nothing that is still to come can change."""
        return len(self._units) if self._source is None else len(self._units) - self._model.decoder.reach

    def rows(self, start: int, stop: int) -> Tensor:
        """Return the condition ((stop - start)·S, L·G) of units that `up_to` has said can be computed."""
        size, rows_of_unit, parts = block_units(self._model), self._model.decoder.steps, []
        for block in range(start // size, -(-stop // size)):
            first = block * size
            wanted = slice(max(0, start - first) * rows_of_unit, (stop - first) * rows_of_unit)
            parts.append(self._of_block(block, stop - first)[wanted])
        return torch.cat(parts)

    def _of_block(self, block: int, needed: int) -> Tensor:
        """Return the rows of a block, of whose units at least the first `needed` have final ones."""
        size = block_units(self._model)
        if block != self._block or min(needed, size) > self._sure:
            first, reach = block * size, self._model.decoder.reach
            before = max(0, first - reach)
            window = torch.tensor(self._units[before : first + size + reach])
            self._rows = block_condition(self._model, window, self._speaker, first - before)
            self._block, self._sure = block, min(size, self._known - first)
        return self._rows


class _Work:
    """What turns rows of the condition into samples, and how far it has come."""

    def __init__(
        self,
        model: VQVAE,
        engine: Engine,
        draw: Draw,
        uniforms: np.random.Generator,
        undo: Callable[[Tensor], Tensor],
        watch: Stopwatch,
    ) -> None:
        self.model, self.engine, self.draw, self.watch = model, engine, draw, watch
        self._uniforms, self._undo = uniforms, undo
        silence = model.decoder.distribution.to_input(torch.zeros(1))  # what precedes the first sample
        self._state = SamplerState.begin(engine.packed, silence, engine.device)

    def chunk(self, condition: Tensor) -> Tensor:
        """Return the next N·hop_length samples of the waveform, of the condition (N·S, L·G) of N units."""
        distribution = self.model.decoder.distribution
        steps = len(condition) // self.model.decoder.steps * self.model.hop_length
        uniforms = next_uniforms([self._uniforms], steps, distribution.uniforms_per_sample)
        drawn = self.engine.generate(self._state, condition[None], uniforms, self.draw)
        return self._undo(distribution.to_waveform(drawn)[0].cpu())


@torch.no_grad()
def _chunks(work: _Work, conditions: _Conditions, chunk_units: int) -> Iterator[Tensor]:
    size, start, latency = max(1, chunk_units // FIRST_SHARE), 0, None
    work.watch.start()
    try:
        while (stop := conditions.up_to(start + size)) > start:
            chunk = work.chunk(conditions.rows(start, stop))
            latency = work.watch.seconds if latency is None else latency
            start, size = stop, min(chunk_units, 2 * size)
            with work.watch.stopped():
                yield chunk
    finally:
        if latency is not None:
            _log_speed(work, start, latency)


def _default_chunk(model: VQVAE) -> int:
    return max(1, round(CHUNK_SECONDS * model.config.sample_rate / model.hop_length))


def _log_speed(work: _Work, units: int, latency: float) -> None:
    audio, seconds = units * work.model.hop_length / work.model.config.sample_rate, work.watch.seconds
    log.info(
        "streamed %.2f s of audio in %.2f s (%s): real-time factor %.3g, the first chunk after %.1f ms",
        audio, seconds, work.engine.name, seconds / audio, 1000 * latency,
    )  # fmt: skip
