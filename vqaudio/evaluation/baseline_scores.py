"""The unit scores of what any learned unit has to beat: k-means over spectral features of the same audio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vqaudio.corpus import Utterance
from vqaudio.evaluation.baseline_units import KINDS, baseline_units, shuffled
from vqaudio.evaluation.heldout import read_waveforms
from vqaudio.evaluation.material import Material
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.results import Results
from vqaudio.evaluation.unit_scores import score_units


def score_baselines(
    train: Sequence[Utterance], material: Material, sample_rate: int, unit_rate: float, codes: int, seed: int
) -> Results:
    """Return `baselines`: for each kind, all unit scores of `material`, fitted on a random choice of `train`.

    The units are `codes` distinct ones at `unit_rate` Hz. One that cannot be made is noted as not measured.
    """
    results = Results()
    for kind in KINDS:
        with results.part(f"baselines.{kind}"):
            hop = whole_hop(sample_rate, unit_rate)
            fitted, scored = (
                _waveforms(shuffled(train, seed), sample_rate),
                _waveforms(material.utterances, sample_rate),
            )
            units = baseline_units(kind, fitted, scored, sample_rate, hop, codes, seed)
            results.baselines[kind] = score_units(units, material, seed)
    return results


def whole_hop(sample_rate: int, unit_rate: float) -> int:
    """Return the samples that a unit stands for; NotMeasured where that is no whole number."""
    hop = round(sample_rate / unit_rate)
    if hop < 1 or abs(sample_rate / unit_rate - hop) > 1e-6:
        raise NotMeasured(f"{unit_rate:g} units a second are no whole number of samples at {sample_rate} Hz each")
    return hop


def _waveforms(utterances: Sequence[Utterance], sample_rate: int) -> Iterator[tuple[str, np.ndarray]]:
    return zip((u.id for u in utterances), read_waveforms(utterances, sample_rate))
