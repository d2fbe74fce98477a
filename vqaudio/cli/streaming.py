"""Waveforms that are heard or read while they are made: one utterance after the other, chunk by chunk.

--stream FILE    a WAV file that grows, and can be read at any moment
--stream -       a WAV of unknown length on standard output, for a pipe; also into a named pipe or a device
--play           a player
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vqaudio.audio.wav_stream import GrowingWav, PcmPipe
from vqaudio.cli.player import find_player, player_pipe
from vqaudio.cli.speech import Drawing, Utterance, folder_opener, speakers_of
from vqaudio.cli.speed import Stopwatch
from vqaudio.errors import VQAudioError
from vqaudio.units.locks import at_work

if TYPE_CHECKING:
    from torch import Tensor

    from vqaudio.api import Model
    from vqaudio.cli.speed import Figures
    from vqaudio.cli.waveform_folder import WaveformFolder

logger = logging.getLogger(__name__)


class Listeners:
    """Where chunks go: `stream` is a path or "-", `play` says whether they are played; either may be left out."""

    def __init__(self, stream: str | None, play: bool) -> None:
        """Raises VQAudioError at once for what could not be written to later."""
        if stream == "-" and sys.stdout.isatty():
            raise VQAudioError("--stream -: standard output is a terminal; pipe it into a program, or name a file")
        if stream is not None and Path(stream).is_dir():
            raise VQAudioError(f"--stream {stream}: is a directory, expected a file or -")
        self._stream, self._player = stream, find_player() if play else None
        self._sinks: list[GrowingWav | PcmPipe] = []

    @contextmanager
    def listening(self, sample_rate: int) -> Iterator[None]:
        """Open them for a waveform at `sample_rate` Hz, and close them after the block.

        The log says what was clipped; and, before BrokenPipeError goes on, how far a listener came who has gone.
        """
        try:
            with ExitStack() as stack:
                if self._stream is not None:
                    self._sinks.append(stack.enter_context(_open_stream(self._stream, sample_rate)))
                if self._player is not None:
                    self._sinks.append(stack.enter_context(player_pipe(self._player, sample_rate)))
                yield
        except BrokenPipeError:
            heard = max((sink.frames for sink in self._sinks), default=0) / sample_rate
            logger.warning("whoever listened has gone after %.2f s of audio: stopped", heard)
            raise
        finally:
            for sink in self._sinks:
                if sink.clipped:
                    logger.warning("%s: %d of %d samples clipped", sink.name, sink.clipped, sink.frames)

    def hear(self, chunk: Tensor) -> None:
        """Hand the next samples (T,) to all of them."""
        for sink in self._sinks:
            sink.write(chunk.numpy())


def stream_speech(
    model: Model, utterances: Sequence[Utterance], listeners: Listeners, drawing: Drawing, out: str | None
) -> None:
    """Let `listeners` hear the utterances while they are made; each is what `speak` makes of it.

    With `out`, each finished one is also written there, as by `speak`.
    """
    model.require_precision(drawing.precision, drawing.force_precision)
    speakers = speakers_of(model, utterances)
    if out is None:
        _stream(model, utterances, speakers, listeners, drawing)
        return
    open_folder = folder_opener(model, utterances, drawing)
    with at_work(Path(out), None):
        folder = open_folder(Path(out))
        figures = _stream(model, utterances, speakers, listeners, drawing, folder)
        folder.tidy()
        figures.write(folder.path, model.sample_rate)


def _stream(
    model: Model,
    utterances: Sequence[Utterance],
    speakers: Sequence[int],
    listeners: Listeners,
    drawing: Drawing,
    folder: WaveformFolder | None = None,
) -> Figures:
    """Let the listeners hear the utterances, write them to the folder where there is one; return how fast it was."""
    import torch

    from vqaudio.generation.decode import decoder_engine
    from vqaudio.generation.stream import stream_waveform

    engine = decoder_engine(model.network, drawing.engine, drawing.precision)
    watch = Stopwatch()
    with listeners.listening(model.sample_rate):
        for utterance, speaker in zip(utterances, speakers):
            units = torch.from_numpy(utterance.units)
            chunks = stream_waveform(model.network, units, speaker, key=utterance.id, engine=engine, **drawing.sampling)
            made = []
            for chunk in _trimmed(watch.timed(chunks, len), utterance.length):
                listeners.hear(chunk)
                made.append(chunk)
            if folder is not None:
                folder.write(utterance.id, torch.cat(made))
    return watch.figures(model.sample_rate, engine)


def _trimmed(chunks: Iterable[Tensor], length: int | None) -> Iterator[Tensor]:
    """Yield `chunks` up to `length` samples of them all (None: all of them)."""
    done = 0
    for chunk in chunks:
        yield chunk if length is None else chunk[: max(0, length - done)]
        done += len(chunk)


@contextmanager
def _open_stream(name: str, sample_rate: int) -> Iterator[GrowingWav | PcmPipe]:
    if name == "-":
        yield PcmPipe.with_header(sys.stdout.buffer, "standard output", sample_rate)
    elif Path(name).exists() and not Path(name).is_file():  # a named pipe or a device: nothing to go back in
        with open(name, "wb") as file:
            yield PcmPipe.with_header(file, name, sample_rate)
    else:
        with GrowingWav(name, sample_rate) as wav:
            yield wav
