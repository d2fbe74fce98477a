"""Units to be scored: sequences of whatever system, how many distinct ones there are, and how many a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vqaudio.errors import UnitsError


@dataclass(frozen=True)
class UnitSet:
    """Unit sequences of a set of utterances, one unit per 1 / unit_rate seconds.

    Attributes:
        sequences: utterance id to int64 (N,), units in [0, K).
        codebook_size: K.
        unit_rate: units per second of audio, in Hz.
        codebook: float32 (K, D), the vector that each unit stands for; None where units are only numbers.
    """

    sequences: Mapping[str, np.ndarray]
    codebook_size: int
    unit_rate: float
    codebook: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not self.unit_rate > 0:
            raise UnitsError(f"a unit rate of {self.unit_rate!r}, expected units per second above 0")
        if self.codebook is not None and (self.codebook.ndim != 2 or len(self.codebook) != self.codebook_size):
            raise UnitsError(f"a codebook of shape {self.codebook.shape}, expected ({self.codebook_size}, D)")
        for utterance, units in self.sequences.items():
            _check(utterance, units, self.codebook_size)

    @property
    def seconds(self) -> float:
        """Audio that the units stand for, in seconds."""
        return sum(map(len, self.sequences.values())) / self.unit_rate


def _check(utterance: str, units: np.ndarray, codebook_size: int) -> None:
    if units.ndim != 1 or not len(units) or not np.issubdtype(units.dtype, np.integer):
        given = f"units of shape {units.shape} and type {units.dtype}"
        raise UnitsError(f"{utterance}: {given}, expected integers (N,), N ≥ 1")
    if units.min() < 0 or units.max() >= codebook_size:
        wrong = units.min() if units.min() < 0 else units.max()
        raise UnitsError(f"{utterance}: holds {wrong}, expected units from 0 to {codebook_size - 1}")
