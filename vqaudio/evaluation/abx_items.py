"""Which stretches of speech an ABX task compares: triphones from alignments, and the `.item` file of the field.

An item is a phone together with its neighbours. As in the item files of the Zero Resource Speech challenges and of
Libri-Light (Kahn et al. 2020, *Libri-Light: A Benchmark for ASR with Limited or No Supervision*), it spans
the whole triphone, from the onset of the previous phone to the offset of the next one:

    #file onset offset #phone prev-phone next-phone speaker
    6295-244435-0009 0.2925 0.4725 IH L NG 6295
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vqaudio.audio.atomic import write_text_whole
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.alignments import Segment
from vqaudio.evaluation.phone_sets import SILENCE

logger = logging.getLogger(__name__)

HEADER = "#file onset offset #phone prev-phone next-phone speaker"

SILENCES = SILENCE | {"epi", "<sil>", "<p:>"}
"""Labels of what is not a phone, in TIMIT, in Kaldi's lexicons and in common aligners; whatever their case."""

TOUCHING = 1e-3
"""Seconds between two phones that are still neighbours: alignments round their times."""

DECIMALS = 6
"""Of an item's times. They are decimal numbers, not binary ones: whether a frame's centre is within is then exact."""


class Item(NamedTuple):
    """A triphone: where it is, times in seconds from the utterance's start, and what is spoken there by whom."""

    utterance: str
    onset: float
    offset: float
    phone: str
    previous: str
    next: str
    speaker: str


def triphone_items(
    alignments: Mapping[str, Sequence[Segment]], speakers: Mapping[str, str], silences: Iterable[str] = SILENCES
) -> list[Item]:
    """Return each phone between two others as an item, in order of utterance and time.

    A phone is left out where it or a neighbour is silence, and where it does not touch a neighbour (1 ms is allowed
    for rounding): its context would not be that of the label.

    Args:
        alignments: utterance to its segments, in order of time.
        speakers: utterance to speaker.
        silences: labels that are no phones, whatever their case; "" always is none.

    Raises:
        VQAudioError: an utterance without a speaker.
    """
    silent = {label.lower() for label in silences} | {""}
    items: list[Item] = []
    for utterance in sorted(alignments):
        if utterance not in speakers:
            raise VQAudioError(f"{utterance} is aligned but has no speaker, expected one in utt2spk")
        segments = alignments[utterance]
        for triphone in zip(segments, segments[1:], segments[2:], strict=False):
            if _connected(triphone) and not any(segment.label.lower() in silent for segment in triphone):
                items.append(_item(utterance, triphone, speakers[utterance]))
    return items


def write_items(path: str | Path, items: Iterable[Item]) -> None:
    """Write an `.item` file, as fastabx, ABXpy and the Zero Resource Speech challenges read it.

    Raises:
        VQAudioError: a label, utterance or speaker that is empty or has a space in it, which the format cannot hold.
    """
    lines = [HEADER]
    for item in items:
        names = (item.utterance, *item[3:])
        if wrong := [name for name in names if len(name.split()) != 1]:
            raise VQAudioError(f"{item}: {wrong[0]!r} in an item file, expected a name without spaces")
        times = (f"{time:.{DECIMALS}f}" for time in (item.onset, item.offset))
        lines.append(" ".join([item.utterance, *times, *item[3:]]))
    write_text_whole(path, "\n".join(lines) + "\n")


def read_items(path: str | Path) -> list[Item]:
    """Read an `.item` file.

    Raises:
        VQAudioError: another header, or a line that breaks the form: file, line and what was expected.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    if not lines or lines[0].split() != HEADER.split():
        raise VQAudioError(f"{path}:1: {lines[0] if lines else ''!r}, expected {HEADER!r}")
    return [_parsed(line, f"{path}:{number}") for number, line in enumerate(lines[1:], start=2) if line.strip()]


def _connected(segments: Sequence[Segment]) -> bool:
    return all(abs(after.start - before.end) <= TOUCHING for before, after in itertools.pairwise(segments))


def _item(utterance: str, triphone: Sequence[Segment], speaker: str) -> Item:
    previous, phone, following = triphone
    onset, offset = round(previous.start, DECIMALS), round(following.end, DECIMALS)
    return Item(utterance, onset, offset, phone.label, previous.label, following.label, speaker)


def _parsed(line: str, where: str) -> Item:
    fields = line.split()
    try:
        utterance, onset, offset, phone, previous, following, speaker = fields
        start, end = float(onset), float(offset)
    except ValueError:
        raise VQAudioError(f"{where}: {line!r}, expected {HEADER!r}") from None
    if not (0 <= start < end and math.isfinite(end)):
        raise VQAudioError(f"{where}: from {onset} to {offset} s, expected 0 <= onset < offset")
    return Item(utterance, start, end, phone, previous, following, speaker)
