"""How much of the words survives: a recogniser reads what a model made, beside the recordings it was made from.

A recogniser errs on recordings, too. What counts is how much more it errs on what was made (`wer_over_natural`); and
figures of two recognisers, or of two sets of utterances, do not compare.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from vqaudio.audio.atomic import write_text_whole
from vqaudio.audio.waveform import as_waveform
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.recognisers import Reading, Recogniser, reads
from vqaudio.evaluation.uncertainty import Interval, ratio_interval
from vqaudio.evaluation.word_errors import ErrorRate, characters, edit_operations, error_rate, normalise

logger = logging.getLogger(__name__)

READINGS_FILE = "readings.jsonl"
FEWEST_SPEAKERS = 5
"""From so many speakers on, intervals are over speakers; of fewer, a sample of speakers says little."""


class Item(NamedTuple):
    """What is to be read: its id, float32 (T,), its rate in Hz, and its language; None where that is not known."""

    id: str
    waveform: ArrayLike
    sample_rate: int
    language: str | None = None


@dataclass(frozen=True)
class Intelligibility:
    """Error rates of what was made and of the recordings, as shares of the words (characters) of the transcripts.

    Attributes:
        utterances: how many were compared.
        interval_over: what the intervals resample, "speakers" or "utterances".
        wer, cer: of what was made, against the transcripts.
        wer_natural, cer_natural: of the recordings: the recogniser's own errors.
        wer_over_natural: wer - wer_natural, in [-1, ∞), and `wer_over_natural_interval`, of the difference within the
            same utterances: narrower than the two intervals suggest. None where there is one item alone.
        wer_against_natural: of what was made, against what was read in the recordings, right or wrong; None where
            nothing was.
    """

    utterances: int
    interval_over: str
    wer: ErrorRate
    cer: ErrorRate
    wer_natural: ErrorRate
    cer_natural: ErrorRate
    wer_over_natural: float
    wer_over_natural_interval: Interval | None
    wer_against_natural: ErrorRate | None

    @property
    def words(self) -> int:
        """Words of the transcripts."""
        return self.wer.length


def intelligibility(
    references: Mapping[str, str],
    natural: Mapping[str, Reading],
    made: Mapping[str, Reading],
    speakers: Mapping[str, str] | None = None,
    languages: Mapping[str, str] | None = None,
) -> Intelligibility:
    """Compare readings of recordings and of what was made from them with the transcripts, as `normalise` cuts them.

    Args:
        references: id to transcript; readings without one are left out, and that is logged.
        natural, made: id to reading, of the same ids.
        speakers: id to speaker: intervals are over speakers where there are `FEWEST_SPEAKERS` or more.
        languages: id to language, for `normalise`.

    Raises:
        NotMeasured: no transcripts of what was read, or none with a word.
        VQAudioError: ids with one reading of the two, or without a speaker.
    """
    if odd := sorted(natural.keys() ^ made.keys()):
        raise VQAudioError(f"{len(odd)} ids, such as {odd[0]!r}, with a reading of recording or made alone, not both")
    ids = sorted(made.keys() & references.keys())
    if not ids:
        raise NotMeasured("no transcripts of what was read")
    if len(ids) < len(made):
        logger.info("%d of %d readings have no transcript and are left out", len(made) - len(ids), len(made))
    groups = _groups(ids, speakers)
    said, recorded, heard = (
        [normalise(texts[key], (languages or {}).get(key)) for key in ids]
        for texts in (references, _texts(natural), _texts(made))
    )
    wer, wer_natural = (error_rate(zip(said, other), groups) for other in (heard, recorded))
    over, over_interval = ratio_interval(
        np.subtract(_errors(said, heard), _errors(said, recorded)), [len(words) for words in said], groups
    )
    return Intelligibility(
        len(ids),
        "utterances" if groups is None else "speakers",
        wer,
        _character_error_rate(said, heard, groups),
        wer_natural,
        _character_error_rate(said, recorded, groups),
        over,
        over_interval,
        error_rate(zip(recorded, heard), groups) if any(recorded) else None,
    )


def read_aloud(
    recogniser: Recogniser, items: Iterable[Item], cache: str | Path | None = None, progress: bool = False
) -> dict[str, Reading]:
    """Let a recogniser read each item: id to reading.

    Items in a language that it does not read are left out, and that is logged.

    Args:
        cache: a folder; readings are kept in its `readings.jsonl`, by recogniser, language and samples, as soon as
            there are any: what was read once is not read again.
        progress: whether to show a bar.

    Raises:
        NotMeasured: the recogniser reads the language of none of the items.
        VQAudioError: an id twice, a waveform that is none, or a folder that cannot be written.
    """
    found: dict[str, Reading] = {}
    other: dict[str, str] = {}
    kept = _Kept(cache, recogniser.name)
    total = len(items) if isinstance(items, Sequence) else None
    for item in tqdm((Item(*item) for item in items), "read", total, unit="utt", disable=not progress):
        if item.id in found or item.id in other:
            raise VQAudioError(f"{item.id}: two items to read with this id, expected one")
        if not reads(recogniser, item.language):
            other[item.id] = item.language
            continue
        found[item.id] = _read(recogniser, item, kept)
    if other:
        languages = ", ".join(sorted(set(other.values())))
        logger.info("%s does not read %s: %d items are left out", recogniser.name, languages, len(other))
        if not found:
            raise NotMeasured(f"{recogniser.name} does not read {languages}")
    return found


def mean_confidence(
    recogniser: Recogniser | None,
    waveforms: Sequence[ArrayLike],
    sample_rate: int,
    cache: str | Path | None = None,
    progress: bool = False,
) -> tuple[float, Interval | None]:
    """Return how sure a recogniser is of what it reads, its mean over waveforms in [0, 1], and the interval of that.

    A measure without transcripts, for samples of a prior: beside recordings, less of it means less like words. Where
    nothing is read it is 0. It compares within one recogniser alone.

    Raises:
        NotMeasured: no recogniser (None), no waveforms, or a recogniser that does not say how sure it is.
        VQAudioError: as `read_aloud`.
    """
    if recogniser is None:
        raise NotMeasured("no recogniser given (--asr)")
    if not len(waveforms):
        raise NotMeasured("no audio to read")
    items = [Item(str(number), waveform, sample_rate) for number, waveform in enumerate(waveforms)]
    readings = read_aloud(recogniser, items, cache, progress).values()
    if any(reading.text and reading.confidence is None for reading in readings):
        raise NotMeasured(f"{recogniser.name} does not say how sure it is")
    sure = [reading.confidence if reading.text else 0.0 for reading in readings]
    return ratio_interval(sure, np.ones(len(sure)))


def _texts(readings: Mapping[str, Reading]) -> dict[str, str]:
    return {key: reading.text for key, reading in readings.items()}


def _groups(ids: Sequence[str], speakers: Mapping[str, str] | None) -> list[str] | None:
    """Return the speaker of each id, or None where there are too few to resample."""
    if speakers is None:
        return None
    if strangers := [key for key in ids if key not in speakers]:
        raise VQAudioError(f"no speaker of {strangers[0]!r} and {len(strangers) - 1} more, expected one of each")
    groups = [speakers[key] for key in ids]
    return groups if len(set(groups)) >= FEWEST_SPEAKERS else None


def _errors(said: Sequence[list[str]], heard: Sequence[list[str]]) -> list[int]:
    return [edit_operations(reference, words).total for reference, words in zip(said, heard)]


def _character_error_rate(said: list[list[str]], heard: list[list[str]], groups: list[str] | None) -> ErrorRate:
    return error_rate([(characters(a), characters(b)) for a, b in zip(said, heard)], groups)


def _read(recogniser: Recogniser, item: Item, kept: _Kept) -> Reading:
    waveform = as_waveform(item.waveform, item.id)
    key = _key(recogniser.name, item.language, item.sample_rate, waveform)
    if key not in kept.readings:
        reading = recogniser.transcribe(waveform, item.sample_rate, item.language)
        if not isinstance(reading, Reading):
            raise VQAudioError(f"{recogniser.name}: transcribe returned {type(reading).__name__}, expected a Reading")
        kept.add(key, reading)
    return kept.readings[key]


def _key(recogniser: str, language: str | None, sample_rate: int, waveform: np.ndarray) -> str:
    about = json.dumps([recogniser, language, int(sample_rate)]).encode()
    return hashlib.sha256(about + waveform.astype("<f4", copy=False).tobytes()).hexdigest()


class _Kept:
    """Readings of this and earlier runs by their keys, in a file of a folder where one is given."""

    def __init__(self, folder: str | Path | None, recogniser: str) -> None:
        self._path = None if folder is None else Path(folder) / READINGS_FILE
        self._recogniser = recogniser
        self.readings: dict[str, Reading] = {}
        if self._path is not None and self._path.is_file():
            self._load(self._path)

    def add(self, key: str, reading: Reading) -> None:
        """Keep a reading, in the file as well."""
        self.readings[key] = reading
        if self._path is None:
            return
        record = {"key": key, "recogniser": self._recogniser, **asdict(reading)}
        line = json.dumps(record, ensure_ascii=False, default=float)  # of NumPy's numbers
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise VQAudioError(f"cannot write {self._path}: {error.strerror or error}") from error

    def _load(self, path: Path) -> None:
        """Take in the lines of the file, and take out those that broke off when a run was killed."""
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            lines = list(file)
        whole = [line for line in lines if line.endswith("\n") and self._parse(line)]
        if len(whole) < len(lines):
            write_text_whole(path, "".join(whole))

    def _parse(self, line: str) -> bool:
        try:
            record = json.loads(line)
            self.readings[record["key"]] = Reading(record["text"], record["confidence"])
        except (ValueError, KeyError, TypeError, VQAudioError):
            return False
        return True
