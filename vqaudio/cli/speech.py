"""What decode, convert and sample have in common: a folder of WAV files, one per utterance, made from units.

OUT/<utterance>.wav   whole or absent
OUT/made.jsonl        what each was made of: the next run with the same settings leaves it as it is
OUT/generation.json   how long the generation took
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vqaudio.errors import VQAudioError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from vqaudio.api import Model
    from vqaudio.generation import Engine

logger = logging.getLogger(__name__)
T = TypeVar("T")
MADE_FILE, SPEED_FILE = "made.jsonl", "generation.json"


@dataclass(frozen=True)
class Utterance:
    """One waveform to make: its id, which names the file; its units (N,), the voice, and its length in samples."""

    id: str
    units: np.ndarray
    speaker: str
    length: int | None = None
    """None for all that the units cover."""


@dataclass(frozen=True)
class Drawing:
    """How samples are drawn from the decoder's distribution, and by what."""

    temperature: float
    top_k: int | None
    top_p: float | None
    seed: int
    engine: str
    precision: str
    force_precision: bool
    batch_size: int

    @classmethod
    def of(cls, options: Any) -> Drawing:
        """Take the options of the command line."""
        return cls(**{name: getattr(options, name) for name in cls.__dataclass_fields__})

    @property
    def sampling(self) -> dict[str, Any]:
        """What decides, beside the engine's precision, which samples are drawn."""
        return {name: getattr(self, name) for name in ("temperature", "top_k", "top_p", "seed")}


def speak(model: Model, utterances: Sequence[Utterance], out: str | Path, drawing: Drawing, progress: bool) -> None:
    """Write `out/<id>.wav` for each utterance, but for those that an earlier run with the same settings wrote.

    An utterance's waveform is a function of the model, its id, units and speaker, and of the drawing's options
    except engine and batch size. Each file appears as soon as it is finished.
    """
    import torch

    from vqaudio.generation import stream_waveforms
    from vqaudio.generation.decode import decoder_engine

    model.require_precision(drawing.precision, drawing.force_precision)
    folder = WaveformFolder(Path(out), model, utterances, drawing)
    speakers = speakers_of(model, utterances)
    todo = [i for i, utterance in enumerate(utterances) if not folder.has(utterance)]
    if len(todo) < len(utterances):
        logger.info("%d of %d waveforms are in %s already", len(utterances) - len(todo), len(utterances), out)
    if not todo:
        return
    engine = decoder_engine(model.network, drawing.engine, drawing.precision)
    stream = stream_waveforms(
        model.network, [torch.from_numpy(utterances[i].units) for i in todo], [speakers[i] for i in todo],
        keys=[utterances[i].id for i in todo], engine=engine, batch_size=drawing.batch_size, progress=progress,
        **drawing.sampling,
    )  # fmt: skip
    speed = Speed(folder.path / SPEED_FILE, model.sample_rate, engine)
    if len(todo) < len(utterances):
        speed.go_on()
    try:
        for index, waveform in speed.timed(stream, lambda pair: len(pair[1])):
            utterance = utterances[todo[index]]
            folder.write(utterance, waveform[: utterance.length])
    finally:
        speed.write()


def speakers_of(model: Model, utterances: Sequence[Utterance]) -> list[int]:
    """Return the index of each utterance's speaker. Raises ModelError for one whom the model does not know."""
    from vqaudio.models.folder import speaker_index

    return [speaker_index(model.speakers, utterance.speaker) for utterance in utterances]


class WaveformFolder:
    """OUT: a WAV file per utterance, and the record of what each was made of."""

    def __init__(self, path: Path, model: Model, utterances: Sequence[Utterance], drawing: Drawing) -> None:
        _check_ids(utterances, path)
        self.path, self._sample_rate = path, model.sample_rate
        self._stamps = dict(zip((u.id for u in utterances), _stamps(model, utterances, drawing)))
        self._record = MadeRecord(path)

    def has(self, utterance: Utterance) -> bool:
        """Whether its file is there, made with these settings."""
        return self._record.has(utterance.id, self._stamps[utterance.id])

    def write(self, utterance: Utterance, waveform: Tensor) -> None:
        """Write its file, and take it down."""
        from vqaudio.audio.io import write_wav

        write_wav(self.path / f"{utterance.id}.wav", waveform.numpy(), self._sample_rate)
        self._record.add(utterance.id, self._stamps[utterance.id])


class Speed:
    """How fast waveforms come from a generator, without the time that its user takes for them: generation.json."""

    def __init__(self, path: Path, sample_rate: int, engine: Engine) -> None:
        self.path, self.sample_rate = path, sample_rate
        self.engine = {"engine": engine.name, "precision": engine.precision}
        self.samples, self.seconds = 0, 0.0

    def go_on(self) -> None:
        """Add to the figures of an interrupted run with the same engine, if there are any."""
        try:
            before = json.loads(self.path.read_text(encoding="utf-8"))
            if {name: before[name] for name in self.engine} == self.engine:
                self.samples = round(before["seconds_of_audio"] * self.sample_rate)
                self.seconds = float(before["wall_seconds"])
        except (OSError, ValueError, TypeError, KeyError):
            logger.debug("%s: no figures to go on from", self.path)

    def timed(self, stream: Iterator[T], samples: Callable[[T], int]) -> Iterator[T]:
        """Pass on the items of `stream`, of so many samples each, and measure how long they take to come."""
        while True:
            before = time.perf_counter()
            item = next(stream, None)
            self.seconds += time.perf_counter() - before
            if item is None:
                return
            self.samples += samples(item)
            yield item

    def write(self) -> None:
        """Write the figures, and log the real-time factor: seconds of computing per second of audio."""
        from vqaudio.audio.atomic import write_text_whole

        if not self.samples:
            return
        audio = self.samples / self.sample_rate
        figures = {
            "seconds_of_audio": round(audio, 3),
            "wall_seconds": round(self.seconds, 3),
            "rtf": self.seconds / audio,
            "samples_per_second": self.samples / self.seconds,
            **self.engine,
        }
        write_text_whole(self.path, json.dumps(figures, indent=2) + "\n")
        logger.info("%s: real-time factor %.3g (%.1f s of computing for %.1f s of audio)",
                    self.path.parent, figures["rtf"], self.seconds, audio)  # fmt: skip


class MadeRecord:
    """`made.jsonl`: for each WAV file of a folder, a stamp of what it was made of."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MADE_FILE
        self._stamps = self._read()

    def has(self, utterance: str, stamp: str) -> bool:
        """Whether the utterance's WAV file is there, made with these settings."""
        return self._stamps.get(utterance) == stamp and (self.path.parent / f"{utterance}.wav").is_file()

    def add(self, utterance: str, stamp: str) -> None:
        """Take down a WAV file that is now there."""
        self._stamps[utterance] = stamp
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(_line(utterance, stamp))
        except OSError as error:
            raise VQAudioError(f"cannot write {self.path}: {error.strerror}") from error

    def _read(self) -> dict[str, str]:
        """Read the lines, the last one of each utterance counting; a broken line only means making its file again."""
        if not self.path.is_file():
            return {}
        text = self.path.read_text(encoding="utf-8", errors="replace")
        if text and not text.endswith("\n"):  # what a kill left of a line: end it, so that the next one stands alone
            with open(self.path, "a", encoding="utf-8") as file:
                file.write("\n")
        stamps = {}
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                stamps[entry["utterance"]] = entry["stamp"]
            except (ValueError, TypeError, KeyError):
                logger.debug("%s: passing over %r", self.path, line)
        return stamps


def _line(utterance: str, stamp: str) -> str:
    return json.dumps({"utterance": utterance, "stamp": stamp}, ensure_ascii=False) + "\n"


def _stamps(model: Model, utterances: Sequence[Utterance], drawing: Drawing) -> list[str]:
    """Return a hash of all that decides each waveform."""
    common = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        common.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    common.update(repr((model.network.config, model.speakers)).encode())
    common.update(repr((drawing.sampling, drawing.precision)).encode())
    stamps = []
    for utterance in utterances:
        own = common.copy()
        own.update(repr((utterance.id, utterance.speaker, utterance.length)).encode() + utterance.units.tobytes())
        stamps.append(own.hexdigest()[:16])
    return stamps


def _check_ids(utterances: Sequence[Utterance], out: Path) -> None:
    """Refuse ids that cannot be the names of files."""
    from vqaudio.corpus.tables import id_fault

    for utterance in utterances:
        if fault := id_fault(utterance.id):
            raise VQAudioError(f"cannot write the waveform of {utterance.id!r} into {out}: {fault}")
