"""What an ABX task compares: the frames of each item, cut from units or features, ready for the distances."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from vqaudio.errors import VQAudioError, did_you_mean
from vqaudio.evaluation.abx_items import Item
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.unit_set import UnitSet

logger = logging.getLogger(__name__)

DISTANCES = ("angular", "one-hot", "edit")
PAST_END = 0.1
"""Seconds that items may reach past an utterance's frames: some front ends drop frames at the end."""


IDENTICAL, TABLE, VECTORS, EDITS = 0, 1, 2, 3
"""Ways to compare: codes that are the same or not; a distance for each two codes; an angle; edits of codes.

Compiled functions that numba keeps have these numbers in them: do not give a number another meaning."""


class Frames(NamedTuple):
    """Frames of all items, one item after the other. What the kind has no use for is empty."""

    kind: int
    codes: np.ndarray
    """(T,), int64."""
    table: np.ndarray
    """(U, U), float32: distances of the codes 0 to U - 1."""
    vectors: np.ndarray
    """(T, D), float32, of length 1."""
    bounds: np.ndarray
    """(items + 1,), int64: item i is from bounds[i] up to bounds[i + 1]."""


@dataclass(frozen=True)
class Features:
    """Feature vectors of a set of utterances, as a yardstick for units: MFCCs, or an encoder's outputs.

    Attributes:
        sequences: utterance id to float (N, D).
        frame_rate: frames per second of audio, in Hz; frame n is centred at (n + 1/2) / frame_rate seconds.
    """

    sequences: Mapping[str, np.ndarray]
    frame_rate: float

    def __post_init__(self) -> None:
        if not self.frame_rate > 0:
            raise VQAudioError(f"a frame rate of {self.frame_rate!r}, expected frames per second above 0")
        widths = {features.shape[1] if features.ndim == 2 else None for features in self.sequences.values()}
        if len(widths) > 1 or None in widths:
            raise VQAudioError("features of several widths or not of the shape (N, D), expected one D for all")
        for utterance, features in self.sequences.items():
            if not np.isfinite(features).all():
                raise VQAudioError(f"{utterance}: features with NaN or infinity, expected numbers")


@dataclass(frozen=True)
class Tokens:
    """Items with at least one frame: what is compared, and by which labels. All but `frames` are int64 (items,)."""

    frames: Frames
    phone: np.ndarray
    context: np.ndarray
    """Numbers the pairs of previous and next phone."""
    speaker: np.ndarray
    left_out: int
    """Items without a frame of their own."""


def tokens_of(material: UnitSet | Features, items: Sequence[Item], distance: str) -> Tokens:
    """Cut out each item's frames, and prepare them for a distance of `DISTANCES`.

    Items without a frame's centre in them, and those that reach past the last frame, are left out and logged.

    Raises:
        VQAudioError: an unknown distance, an item of an utterance without frames or that ends far behind them.
        NotMeasured: no items are left, or units without vectors for angles.
    """
    _check(material, items, distance)
    units = isinstance(material, UnitSet)
    rate = material.unit_rate if units else material.frame_rate
    kept, cuts = [], []
    for item in items:
        start, end = frame_range(item.onset, item.offset, rate)
        sequence = _sequence(material, item, rate)
        if start < end <= len(sequence):
            kept.append(item)
            cuts.append(sequence[start:end])
    left_out = len(items) - len(kept)
    if not kept:
        raise NotMeasured(f"none of {len(items)} items holds a frame at {rate:g} Hz")
    if left_out:
        logger.info("%d of %d ABX items left out: no frame at %g Hz, or past the last one", left_out, len(items), rate)
    frames = _unit_frames(cuts, material.codebook, distance) if units else _feature_frames(cuts)
    contexts = _numbered([(item.previous, item.next) for item in kept])
    speakers = _numbered([item.speaker for item in kept])
    return Tokens(frames, _numbered([item.phone for item in kept]), contexts, speakers, left_out)


def frame_range(onset: float, offset: float, rate: float) -> tuple[int, int]:
    """Return [first, after): the frames whose centres (n + 1/2) / rate lie in [onset, offset], both ends included.

    ⌈onset · rate - 1/2⌉ to ⌊offset · rate - 1/2⌋, as ABXpy and fastabx cut; Libri-Light dropped the last one. Times
    and rate are taken as the decimal numbers that they are written as: a centre that is an end is within.
    """
    first, last = (Decimal(str(float(time))) * Decimal(str(float(rate))) - Decimal("0.5") for time in (onset, offset))
    return math.ceil(first), math.floor(last) + 1


def _check(material: UnitSet | Features, items: Sequence[Item], distance: str) -> None:
    if distance not in DISTANCES:
        raise VQAudioError(
            f"distance {distance!r}, expected {', '.join(DISTANCES)}.{did_you_mean(distance, DISTANCES)}"
        )
    if isinstance(material, Features) and distance != "angular":
        raise VQAudioError(f"distance {distance!r} of features, expected 'angular': they have no units to compare")
    if isinstance(material, UnitSet) and distance == "angular" and material.codebook is None:
        raise NotMeasured("angular distances need a vector for each unit, and these units come without a codebook")
    if absent := sorted({item.utterance for item in items} - material.sequences.keys()):
        raise VQAudioError(f"items of {len(absent)} utterances that have no frames: {', '.join(absent[:3])}")
    if not items:
        raise NotMeasured("no items: no phone between two others in the alignments")


def _sequence(material: UnitSet | Features, item: Item, rate: float) -> np.ndarray:
    sequence = material.sequences[item.utterance]
    if item.offset > len(sequence) / rate + PAST_END:
        raise VQAudioError(
            f"{item.utterance}: an item ends at {item.offset:g} s, but {len(sequence)} frames at {rate:g} Hz end at "
            f"{len(sequence) / rate:.3f} s: is that the rate?"
        )
    return sequence


def _unit_frames(cuts: Sequence[np.ndarray], codebook: np.ndarray | None, distance: str) -> Frames:
    if distance == "edit":
        cuts = [cut[np.insert(cut[1:] != cut[:-1], 0, True)] for cut in cuts]  # runs count once
    used, codes = np.unique(np.concatenate(cuts), return_inverse=True)
    kind = {"angular": TABLE, "one-hot": IDENTICAL, "edit": EDITS}[distance]
    table = _angles(codebook[used]) if kind == TABLE else np.empty((0, 0), dtype=np.float32)
    return Frames(kind, codes.astype(np.int64), table, np.empty((0, 0), dtype=np.float32), _bounds(cuts))


def _feature_frames(cuts: Sequence[np.ndarray]) -> Frames:
    vectors = _normalised(np.concatenate(cuts)).astype(np.float32)
    nothing = np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32)
    return Frames(VECTORS, *nothing, np.ascontiguousarray(vectors), _bounds(cuts))


def _angles(vectors: np.ndarray) -> np.ndarray:
    """Return the angles between (U, D) vectors as shares of π: float32 (U, U), 0 between a vector and itself."""
    vectors = _normalised(vectors)
    angles = np.arccos(np.clip(vectors @ vectors.T, -1, 1)) / np.pi
    np.fill_diagonal(angles, 0)  # rounding would leave about 1e-8
    return angles.astype(np.float32)


def _normalised(vectors: np.ndarray) -> np.ndarray:
    """Return (N, D) vectors of length 1, float64; those of length 0 become (1, …, 1) / √D, as in fastabx."""
    vectors = vectors.astype(np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > 0, vectors, 1 / math.sqrt(vectors.shape[1])) / np.where(length > 0, length, 1)


def _bounds(cuts: Sequence[np.ndarray]) -> np.ndarray:
    return np.cumsum([0, *map(len, cuts)], dtype=np.int64)


def _numbered(names: Sequence[object]) -> np.ndarray:
    """Number names in their sorted order: int64, one for each."""
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([numbers[name] for name in names], dtype=np.int64)
