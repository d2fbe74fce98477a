"""What decode, convert and sample have in common: a folder of WAV files, one per utterance, made from units.

OUT/<utterance>.wav, made.jsonl   the files, and what each was made of (`waveform_folder`)
OUT/generation.json               how long the generation took (`speed`)
OUT/shards/2-of-8/                the same of the second of eight jobs, until one without a shard takes it over
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqaudio.audio.space import require_space
from vqaudio.cli.speed import Figures, Stopwatch, add_up
from vqaudio.cli.waveform_folder import WaveformFolder
from vqaudio.errors import VQAudioError
from vqaudio.units.sharding import Shard, other_shards, remove_shards

if TYPE_CHECKING:
    import numpy as np

    from vqaudio.api import Model

logger = logging.getLogger(__name__)
BYTES_PER_SAMPLE, HEADER_BYTES = 2, 44
"""Of the WAV files: 16 bit, one channel."""


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


def speak(
    model: Model,
    utterances: Sequence[Utterance],
    out: str | Path,
    drawing: Drawing,
    progress: bool,
    shard: Shard | None = None,
) -> None:
    """Write `out/<id>.wav` for each utterance, but for those that an earlier run with the same settings wrote.

    An utterance's waveform is a function of the model, its id, units and speaker, and of the drawing's options
    except engine and batch size. Each file appears as soon as it is finished.

    With a `shard`, whose utterances these are, files are left in its folder for a later run without one to take over.
    """
    from vqaudio.units.locks import at_work

    model.require_precision(drawing.precision, drawing.force_precision)
    speakers = dict(zip((u.id for u in utterances), speakers_of(model, utterances)))
    open_folder = folder_opener(model, utterances, drawing)
    out = Path(out)
    with at_work(out, shard):
        folder, others = _folders(out, shard, open_folder)
        earlier = _figures(utterances, [folder, *others] if shard is None else [folder])
        if shard is None:
            _take_over(utterances, folder, others)
        todo = [u for u in utterances if not any(place.has(u.id) for place in (folder, *others))]
        if len(todo) < len(utterances):
            logger.info("%d of %d waveforms are in %s already", len(utterances) - len(todo), len(utterances), out)
        if todo:
            _require_space(model, todo, out)
            _generate(model, todo, [speakers[u.id] for u in todo], folder, drawing, earlier, progress)
        elif others and shard is None and (total := add_up(earlier)):
            total.write(out, model.sample_rate)
        if shard is None:
            folder.tidy()
            remove_shards(out, [other.path for other in others if _holds_more(other)])


def _require_space(model: Model, utterances: Sequence[Utterance], out: Path) -> None:
    """Raise VQAudioError where the disk has no room for the waveforms, whose lengths units tell to the sample."""
    samples = sum(len(u.units) * model.hop_length if u.length is None else u.length for u in utterances)
    require_space(out, BYTES_PER_SAMPLE * samples + HEADER_BYTES * len(utterances), f"{len(utterances)} waveforms")


def _folders(
    out: Path, shard: Shard | None, open_folder: Callable[[Path], WaveformFolder]
) -> tuple[WaveformFolder, list[WaveformFolder]]:
    """Return the folder to write to, and others where some of the waveforms may be."""
    others = [open_folder(path) for path in other_shards(out, shard).values()]
    if shard is not None:
        return open_folder(shard.folder(out)), [*others, open_folder(out)]
    for other in others:
        if other.is_of_other_making():
            raise VQAudioError(
                f"{other.path} holds waveforms of other units or other settings than those given: complete them with "
                f"the options that they were made with, or delete {other.path.parent} to make all again"
            )
    return open_folder(out), others


def _figures(utterances: Sequence[Utterance], folders: Iterable[WaveformFolder]) -> list[Figures]:
    """Return how fast those of the waveforms were made that are in folders already."""
    used = [folder.path for folder in folders if any(folder.has(u.id) for u in utterances)]
    return [figures for path in used if (figures := Figures.read(path)) is not None]


def _take_over(utterances: Sequence[Utterance], folder: WaveformFolder, others: Iterable[WaveformFolder]) -> None:
    taken = 0
    for other in others:
        for utterance in utterances:
            if other.has(utterance.id) and not folder.has(utterance.id):
                folder.take_over(utterance.id, other)
                taken += 1
    if taken:
        logger.info("%s: %d waveforms of shards are taken over", folder.path, taken)


def _holds_more(other: WaveformFolder) -> bool:
    """Whether a shard has waveforms that were not asked for, as after a --limit; the log says so."""
    more = other.others()
    if more:
        logger.warning("%s is kept: it has %d waveforms of utterances that were not asked for now", other.path, more)
    return bool(more)


def _generate(
    model: Model,
    utterances: Sequence[Utterance],
    speakers: Sequence[int],
    folder: WaveformFolder,
    drawing: Drawing,
    earlier: Sequence[Figures],
    progress: bool,
) -> None:
    """Make waveforms and write them; and how fast that was, with what of the folder was made before."""
    import torch

    from vqaudio.generation import stream_waveforms
    from vqaudio.generation.decode import decoder_engine

    engine = decoder_engine(model.network, drawing.engine, drawing.precision)
    stream = stream_waveforms(
        model.network, [torch.from_numpy(u.units) for u in utterances], speakers, keys=[u.id for u in utterances],
        engine=engine, batch_size=drawing.batch_size, progress=progress, **drawing.sampling,
    )  # fmt: skip
    watch = Stopwatch()

    def note_speed() -> None:
        watch.figures(model.sample_rate, engine).plus(earlier).write(folder.path, model.sample_rate)

    try:
        for index, waveform in watch.timed(stream, lambda pair: len(pair[1])):
            folder.write(utterances[index].id, waveform[: utterances[index].length])
    except BaseException:
        with suppress(VQAudioError):  # a full disk, perhaps: what it is that failed first is to be told
            note_speed()
        raise
    note_speed()


def speakers_of(model: Model, utterances: Sequence[Utterance]) -> list[int]:
    """Return the index of each utterance's speaker. Raises ModelError for one whom the model does not know."""
    from vqaudio.models.folder import speaker_index

    return [speaker_index(model.speakers, utterance.speaker) for utterance in utterances]


def folder_opener(model: Model, utterances: Sequence[Utterance], drawing: Drawing) -> Callable[[Path], WaveformFolder]:
    """Return what opens a folder for the utterances' waveforms. Raises VQAudioError for ids that cannot name files."""
    _check_ids(utterances)
    stamps = dict(zip((u.id for u in utterances), _stamps(model, utterances, drawing)))
    return lambda path: WaveformFolder(path, stamps, model.sample_rate)


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


def _check_ids(utterances: Sequence[Utterance]) -> None:
    from vqaudio.corpus.tables import id_fault

    for utterance in utterances:
        if fault := id_fault(utterance.id):
            raise VQAudioError(f"cannot write a WAV file of the utterance {utterance.id!r}: {fault}")
