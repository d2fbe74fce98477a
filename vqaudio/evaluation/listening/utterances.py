"""What is to be heard: held-out utterances with all versions of each, and unconditional samples."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vqaudio.audio.io import read_audio
from vqaudio.corpus import DataDir, read_utterance
from vqaudio.corpus.tables import read_table
from vqaudio.evaluation.alignments import Segment, read_alignments
from vqaudio.evaluation.listening.experiment import Experiment

logger = logging.getLogger(__name__)

_CONVERTED_SHARE = 1 / 3  # of the utterances shown: a conversion into every voice takes much room
_TEMPERATURE = re.compile(r"temperature-(\d+(?:\.\d+)?)$")


class Track(NamedTuple):
    """One version of an utterance: its name, and its waveform, float32 (T,), at a rate in Hz."""

    name: str
    waveform: np.ndarray
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.waveform) / self.sample_rate


@dataclass(frozen=True)
class Utterance:
    """All that is shown of an utterance. `notes` say what there is not."""

    id: str
    tracks: list[Track]
    units: np.ndarray | None = None
    speaker: str = ""
    text: str = ""
    language: str = ""
    phones: Sequence[Segment] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The length of its longest version."""
        return max(track.seconds for track in self.tracks)


class SampleGroup(NamedTuple):
    """Unconditional samples of one temperature of the prior; None where the folder's name does not say it."""

    folder: str
    temperature: str | None
    samples: list[Utterance]
    found: int


def held_out_utterances(experiment: Experiment, data_dir: Path | None, wanted: int) -> list[Utterance]:
    """Return up to `wanted` utterances of `resynthesis/` and `conversion/`, spread evenly over their speakers."""
    reconstructed = _ids(experiment.path / "resynthesis", converted=False)
    converted = _ids(experiment.path / "conversion", converted=True)
    about = _About.gather(experiment, data_dir)
    chosen = _choose(reconstructed, converted, about.speakers, wanted)
    units = experiment.units("resynthesis/chosen") | experiment.units("units/test")
    return [_utterance(experiment, id, about, units.get(id)) for id in chosen]


def sample_groups(experiment: Experiment, wanted: int) -> list[SampleGroup]:
    """Return up to `wanted` samples of each folder of `unconditional/`, by rising temperature, and of `samples/`."""
    folders = [path.parent for path in experiment.path.glob("unconditional/*/sample-*.wav")]
    ordered = sorted(set(folders), key=lambda folder: (float(_temperature(folder) or "inf"), folder.name))
    groups = [_samples(experiment, folder, wanted) for folder in [*ordered, experiment.path / "samples"]]
    return [group for group in groups if group.samples]


def spread(ids: Sequence[str], speakers: Mapping[str, str], wanted: int) -> list[str]:
    """Return up to `wanted` of `ids`: of each speaker in turn, those of a speaker evenly over the sorted list."""
    by_speaker: dict[str, list[str]] = {}
    for id in sorted(ids):
        by_speaker.setdefault(speakers.get(id, ""), []).append(id)
    names = sorted(by_speaker)
    names = [names[i] for i in _evenly(len(names), min(wanted, len(names)))]
    share = {name: 0 for name in names}
    while sum(share.values()) < wanted and (free := [n for n in names if share[n] < len(by_speaker[n])]):
        share[min(free, key=lambda name: share[name])] += 1
    return [by_speaker[name][i] for name in names for i in _evenly(len(by_speaker[name]), share[name])]


def _evenly(length: int, count: int) -> list[int]:
    return [int((i + 0.5) * length / count) for i in range(count)]


def _choose(reconstructed: set[str], converted: set[str], speakers: Mapping[str, str], wanted: int) -> list[str]:
    """Return ids in the order of speakers: a third are of those that were converted, reconstructed ones before others.

    What neither kind has enough of is filled up with the other.
    """
    share = round(wanted * _CONVERTED_SHARE)
    chosen: set[str] = set()
    for ids, most in (
        (converted & reconstructed, share),
        (converted, share),
        (reconstructed - converted, wanted),
        (reconstructed, wanted),
        (converted, wanted),
    ):
        chosen.update(spread(sorted(ids - chosen), speakers, most - len(chosen)))
    return sorted(chosen, key=lambda id: (speakers.get(id, ""), id))


def _ids(folder: Path, converted: bool) -> set[str]:
    """Return the ids of the utterances that a folder has audio of."""
    originals = {path.name.removesuffix(".original.wav") for path in folder.glob("*.original.wav")}
    if converted:
        return {id for id in originals if any(folder.glob(f"{_globbed(id)}-to-*.wav"))}
    made = {path.stem for path in folder.glob("*.wav") if not path.name.endswith(".original.wav")}
    return made


def _globbed(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


@dataclass(frozen=True)
class _About:
    """What data directories say of utterances."""

    speakers: dict[str, str]
    texts: dict[str, str]
    languages: dict[str, str]
    phones: dict[str, list[Segment]]
    recordings: dict[str, object]

    @classmethod
    def gather(cls, experiment: Experiment, data_dir: Path | None) -> _About:
        """Read `data_dir`, which must be valid, and the tables of `chosen/`, whose audio may have moved."""
        recordings = {} if data_dir is None else {u.id: u for u in DataDir.load(data_dir).utterances}
        folders = [experiment.path / name / "chosen" for name in ("conversion", "resynthesis")]
        folders += [data_dir] if data_dir is not None else []

        def merged(name: str) -> dict[str, str]:
            return {key: value for folder in folders for key, value in _column(folder / name).items()}

        phones = {id: segments for folder in folders for id, segments in read_alignments(folder).items()}
        return cls(merged("utt2spk"), merged("text"), merged("utt2lang"), phones, recordings)


def _column(path: Path) -> dict[str, str]:
    """Return keys and values of a table, {} where there is none; of what breaks its form, all that can be read."""
    if not path.is_file():
        return {}
    return {key: row.value for key, row in read_table(path, "<utterance> [...]").rows.items()}


def _utterance(experiment: Experiment, id: str, about: _About, units: np.ndarray | None) -> Utterance:
    tracks, notes = [], []
    natural = _natural(experiment, id, about)
    if natural is None:
        notes.append("no recording beside it: --data_dir names where it lies")
    else:
        tracks.append(natural)
    made = experiment.path / "resynthesis" / f"{id}.wav"
    if made.is_file():
        tracks.append(_track("reconstructed", made))
    tracks += list(_conversions(experiment, id))
    if units is None:
        notes.append("no units of it in units/test")
    return Utterance(
        id, tracks, units, about.speakers.get(id, ""), about.texts.get(id, ""), about.languages.get(id, ""),
        about.phones.get(id, ()), notes,
    )  # fmt: skip


def _natural(experiment: Experiment, id: str, about: _About) -> Track | None:
    for folder in ("resynthesis", "conversion"):
        path = experiment.path / folder / f"{id}.original.wav"
        if path.is_file():
            return _track("natural", path)
    if id in about.recordings:
        return Track("natural", *read_utterance(about.recordings[id]))
    return None


def _conversions(experiment: Experiment, id: str) -> Iterator[Track]:
    for path in sorted((experiment.path / "conversion").glob(f"{_globbed(id)}-to-*.wav")):
        target = path.stem.removeprefix(f"{id}-to-")
        if not experiment.speakers or target in experiment.speakers:  # others are of an id that begins with this one
            yield _track(f"as {target}", path)


def _track(name: str, path: Path) -> Track:
    return Track(name, *read_audio(path))


def _samples(experiment: Experiment, folder: Path, wanted: int) -> SampleGroup:
    paths = sorted(folder.glob("sample-*.wav"), key=lambda path: (_number(path), path.name))
    inside = folder.relative_to(experiment.path).as_posix()
    units = experiment.units(f"{inside}/units") or experiment.units(inside) if paths else {}
    samples = []
    for path in paths[:wanted]:
        _, _, speaker = path.stem.removeprefix("sample-").partition("-")
        track = _track("sample", path)
        samples.append(Utterance(path.stem, [track], units.get(path.stem), speaker))
    return SampleGroup(inside, _temperature(folder), samples, len(paths))


def _number(path: Path) -> int:
    digits = re.match(r"sample-(\d+)", path.stem)
    return int(digits[1]) if digits else 0


def _temperature(folder: Path) -> str | None:
    found = _TEMPERATURE.search(folder.name)
    return found[1] if found else None
