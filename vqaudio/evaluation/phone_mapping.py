"""Which phone a code stands for, and how often it is right: the phone test of the VQ-VAE paper, across speakers.

A unit is scored against the phone at its centre. What lies in no segment, or in one that was left out, is not scored.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.alignments import unit_labels
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.phone_sets import Alignments
from vqaudio.evaluation.uncertainty import Interval, ratio_interval
from vqaudio.evaluation.unit_set import UnitSet


@dataclass(frozen=True)
class PhoneAccuracy:
    """How often a code stands for the phone that is spoken, and what to hold that against; shares in [0, 1].

    Attributes:
        accuracy: share of units whose code stands for the phone at their centre.
        majority: the same, had every code stood for the commonest phone.
        shuffled: the same, fitted and scored with the units of each utterance in random order: what the frequencies
            of units alone give. It may lie below `majority`: rare codes are fitted to chance.
        units_scored: units that had a phone.
        interval: 95% bootstrap interval of the accuracy over the speakers scored, the mapping being as fitted.
    """

    accuracy: float
    majority: float
    shuffled: float
    units_scored: int
    interval: Interval | None


@dataclass(frozen=True)
class LabelledUnits:
    """The units that have a phone, of all utterances.

    Attributes:
        codes: int64 (n,), in [0, K).
        phones: int64 (n,), indices into `labels`.
        utterances: int64 (n,), indices into `ids`.
        labels: names of the P phones.
        ids: names of the utterances that have units and an alignment, sorted.
        codebook_size: K.
    """

    codes: np.ndarray
    phones: np.ndarray
    utterances: np.ndarray
    labels: list[str]
    ids: list[str]
    codebook_size: int

    def counts(self, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Count code and phone together over the chosen units: int64 (K, P)."""
        shape = (self.codebook_size, len(self.labels))
        cells = self.codes[chosen] * shape[1] + self.phones[chosen]
        return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)

    def speakers(self, speaker_of: Mapping[str, str]) -> tuple[np.ndarray, list[str]]:
        """Return the speaker of each unit, int64 (n,), as indices into the speakers' names, sorted.

        Raises:
            VQAudioError: an utterance without a speaker.
            NotMeasured: fewer than 2 speakers.
        """
        strangers = [id for id in self.ids if id not in speaker_of]
        if strangers:
            raise VQAudioError(f"{len(strangers)} utterances have no speaker: {', '.join(strangers[:5])}")
        names = sorted({speaker_of[id] for id in self.ids})
        if len(names) < 2:
            raise NotMeasured(f"{len(names)} speaker with aligned phones, of whom 2 are needed")
        place = {name: index for index, name in enumerate(names)}
        return np.array([place[speaker_of[id]] for id in self.ids])[self.utterances], names


def label_units(units: UnitSet, alignments: Alignments, labels: Sequence[str] | None = None) -> LabelledUnits:
    """Find the phone of each unit; `labels` as for `joint_counts`.

    Raises:
        NotMeasured: no unit has a phone.
    """
    shared = sorted(units.sequences.keys() & alignments.keys())
    rows = [unit_labels(alignments[id], len(units.sequences[id]), units.unit_rate) for id in shared]
    names = sorted({name for row in rows for name in row if name is not None}) if labels is None else list(labels)
    place = {name: index for index, name in enumerate(names)}
    phones = {id: np.array([place.get(name, -1) for name in row], dtype=np.int64) for id, row in zip(shared, rows)}
    ids = [id for id in shared if (phones[id] >= 0).any()]
    if not ids:
        raise NotMeasured(
            f"no unit has a phone: {len(units.sequences)} utterances with units, {len(alignments)} with an alignment, "
            f"{len(shared)} with both"
        )
    all_phones = np.concatenate([phones[id] for id in ids])
    all_codes = np.concatenate([units.sequences[id] for id in ids]).astype(np.int64)
    utterances = np.repeat(np.arange(len(ids)), [len(phones[id]) for id in ids])
    kept = all_phones >= 0
    return LabelledUnits(all_codes[kept], all_phones[kept], utterances[kept], names, ids, units.codebook_size)


def joint_counts(
    units: UnitSet, alignments: Alignments, labels: Sequence[str] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Count how often each code falls on each phone: int64 (K, P), and the P labels of its columns.

    Args:
        labels: the columns, in this order; other phones are not counted. All that occur, sorted, without it.

    Raises:
        NotMeasured: no unit has a phone.
    """
    labelled = label_units(units, alignments, labels)
    return labelled.counts(), labelled.labels


def phone_accuracy(units: UnitSet, alignments: Alignments, speakers: Mapping[str, str], seed: int = 0) -> PhoneAccuracy:
    """Accuracy of the units as phones, each code taken for its likeliest phone.

    After van den Oord, Vinyals and Kavukcuoglu (2017, *Neural Discrete Representation Learning*, section 4.3), who
    give 49.3% for 128 codes at 25 Hz and 41 phones, where always the commonest phone would give 7.2%. They do not
    say on what the mapping was fitted. Fitted on what it is scored on, more codes would always seem better, in the
    end one for each unit. So the speakers, sorted by name, fall alternately into two halves; the mapping is fitted on
    one half, scored on the other, both ways, and all units of both are pooled.

    Where a code fell on several phones equally often, and where it did not occur in the fitting half, it stands for
    the commonest of these phones (of all), and of equally common ones for the alphabetically first.

    Args:
        units: K codes.
        alignments: folded as they are to be scored, see `phone_sets.fold`.
        speakers: utterance to its speaker.
        seed: of the random order.

    Raises:
        NotMeasured: no unit has a phone, or fewer than 2 speakers have such units.
        VQAudioError: an utterance without a speaker.
    """
    labelled = label_units(units, alignments)
    place, names = labelled.speakers(speakers)
    correct, majority = _right(labelled, speakers)
    scored = np.bincount(place, minlength=len(names))
    accuracy, interval = ratio_interval(np.bincount(place, weights=correct, minlength=len(names)), scored)
    shuffled, _ = _right(label_units(shuffle_in_time(units, seed), alignments), speakers)
    return PhoneAccuracy(accuracy, float(majority.mean()), float(shuffled.mean()), len(correct), interval)


def confusions(units: UnitSet, alignments: Alignments, speakers: Mapping[str, str]) -> tuple[np.ndarray, list[str]]:
    """Count phones that were spoken (rows) by phones that the codes stand for (columns): int64 (P, P), and P labels.

    Fitted across speakers as in `phone_accuracy`, which is the share of its diagonal. Raises as that does.
    """
    labelled = label_units(units, alignments)
    guessed, _ = _guess(labelled, speakers)
    size = len(labelled.labels)
    return np.bincount(labelled.phones * size + guessed, minlength=size**2).reshape(size, size), labelled.labels


def shuffle_in_time(units: UnitSet, seed: int = 0) -> UnitSet:
    """Return `units` with those of each utterance in random order; the same seed gives the same order, whatever else
    is in the set."""

    def permuted(id: str) -> np.ndarray:
        return np.random.default_rng((seed, zlib.crc32(id.encode()))).permutation(units.sequences[id])

    return replace(units, sequences={id: permuted(id) for id in units.sequences})


def _right(labelled: LabelledUnits, speakers: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Tell of each unit, bool (n,), whether its code stands for its phone, and whether the commonest phone is it."""
    guessed, commonest = _guess(labelled, speakers)
    return guessed == labelled.phones, commonest == labelled.phones


def _guess(labelled: LabelledUnits, speakers: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the phone of each unit's code, and the commonest phone, by the other half's speakers: int64 (n,) each."""
    place, _ = labelled.speakers(speakers)
    guessed, commonest = np.empty_like(labelled.phones), np.empty_like(labelled.phones)
    for half in (0, 1):
        scored = place % 2 == half
        counts = labelled.counts(~scored)
        guessed[scored] = likeliest_phones(counts)[labelled.codes[scored]]
        commonest[scored] = counts.sum(axis=0).argmax()
    return guessed, commonest


def likeliest_phones(counts: np.ndarray) -> np.ndarray:
    """Return the phone that each code falls on most often, int64 (K,), of counts (K, P).

    Of several, and where the code does not occur, the one that is commonest over all codes; of several, the first.
    """
    order = np.argsort(-counts.sum(axis=0), kind="stable")
    return order[counts[:, order].argmax(axis=1)]
