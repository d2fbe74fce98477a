"""Utterances: one, and a sequence of any number of them that keeps what they say in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from vqaudio.corpus.strings import Strings


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance: who speaks, and which stretch of which recording it is.

    `recording` is an absolute path, or a shell command ending in '|' where the user allowed those. `start`
    and `end` are seconds within it; None means its own start and end. `duration` is in seconds, from utt2dur.
    `recording_id` is the recording's key in wav.scp, given where the utterance is a segment. `num_samples` is its
    length in samples at the recording's rate, from utt2num_samples.
    """

    id: str
    speaker: str
    recording: str
    start: float | None = None
    end: float | None = None
    text: str | None = None
    duration: float | None = None
    recording_id: str | None = None
    num_samples: int | None = None

    @property
    def is_segment(self) -> bool:
        """Whether the utterance is cut from a recording by a line of `segments`."""
        return self.recording_id is not None


@dataclass(frozen=True, eq=False)
class Utterances(Sequence[Utterance]):
    """A sequence of n utterances, each made when it is asked for. Slices, and `take`, share the columns' bytes.

    ids, texts         what each is called and says
    names, speakers    the speakers, and int32 (n,): which of them speaks
    recordings         r paths or commands, and recording_ids their keys in wav.scp, None where there are no segments
    recording_of       int64 (n,): which of them each utterance is of
    starts, ends       float64 (n,): seconds in the recording, NaN for its own start and end
    durations          float64 (n,): seconds, NaN where they are unknown
    num_samples        int64 (n,): 0 where they are unknown
    """

    ids: Strings
    names: Sequence[str]
    speakers: np.ndarray
    recordings: Strings
    recording_ids: Strings
    recording_of: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    texts: Strings
    durations: np.ndarray
    num_samples: np.ndarray

    @classmethod
    def of(cls, utterances: Iterable[Utterance]) -> Utterances:
        """Return any utterances as such a sequence."""
        if isinstance(utterances, cls):
            return utterances
        items = list(utterances)
        numbers: dict[str, int] = {}
        speakers = [numbers.setdefault(u.speaker, len(numbers)) for u in items]
        return cls(
            ids=Strings.of(u.id for u in items),
            names=list(numbers),
            speakers=np.array(speakers, dtype=np.int32),
            recordings=Strings.of(u.recording for u in items),
            recording_ids=Strings.of(u.recording_id for u in items),
            recording_of=np.arange(len(items)),
            starts=_floats(u.start for u in items),
            ends=_floats(u.end for u in items),
            texts=Strings.of(u.text for u in items),
            durations=_floats(u.duration for u in items),
            num_samples=np.array([u.num_samples or 0 for u in items], dtype=np.int64),
        )

    @classmethod
    def join(cls, parts: Sequence[Utterances]) -> Utterances:
        """Return the utterances of all parts, one part after the other."""
        numbers: dict[str, int] = {}
        for part in parts:
            for name in part.names:
                numbers.setdefault(name, len(numbers))
        speakers = [np.array([numbers[name] for name in part.names], np.int32)[part.speakers] for part in parts]
        firsts = np.cumsum([0, *(len(part.recordings) for part in parts)])
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("starts", "ends", "durations", "num_samples")
        }
        strings = {
            name: Strings.join([getattr(part, name) for part in parts])
            for name in ("ids", "recordings", "recording_ids", "texts")
        }
        recording_of = [part.recording_of + first for part, first in zip(parts, firsts, strict=False)]
        return cls(names=list(numbers), speakers=np.concatenate(speakers), recording_of=np.concatenate(recording_of),
                   **columns, **strings)  # fmt: skip

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...

    @overload
    def __getitem__(self, index: slice) -> Utterances: ...

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        recording = self.recording_of[index]
        return Utterance(
            id=self.ids[index],
            speaker=self.names[self.speakers[index]],
            recording=self.recordings[recording],
            start=_known(self.starts[index]),
            end=_known(self.ends[index]),
            text=self.texts[index],
            duration=_known(self.durations[index]),
            recording_id=self.recording_ids[recording],
            num_samples=int(self.num_samples[index]) or None,
        )

    def __iter__(self) -> Iterator[Utterance]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"<{len(self)} utterances: {shown}{', …' if len(self) > 3 else ''}>"

    def take(self, rows: np.ndarray) -> Utterances:
        """Return the utterances with these numbers (m,), in that order."""
        return replace(
            self,
            ids=self.ids.take(rows),
            speakers=self.speakers[rows],
            recording_of=self.recording_of[rows],
            starts=self.starts[rows],
            ends=self.ends[rows],
            texts=self.texts.take(rows),
            durations=self.durations[rows],
            num_samples=self.num_samples[rows],
        )

    def sorted(self) -> Utterances:
        """Return the utterances in order of their ids, by their bytes."""
        keys = self.ids.padded()
        return self if np.all(keys[1:] >= keys[:-1]) else self.take(np.argsort(keys, kind="stable"))

    @property
    def used_names(self) -> list[str]:
        """The names of those who speak, sorted."""
        return sorted(self.names[number] for number in np.unique(self.speakers))


def _floats(values: Iterable[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _known(value: np.floating) -> float | None:
    return None if np.isnan(value) else float(value)
