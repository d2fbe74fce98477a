"""The unit scores of what any learned unit has to beat: k-means over spectral features of the same audio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vqaudio.corpus import Utterance
from vqaudio.evaluation.baseline_units import KINDS, baseline_units, shuffled
from vqaudio.evaluation.heldout import read_waveforms
from vqaudio.evaluation.material import Material
from vqaudio.evaluation.results import Results
from vqaudio.evaluation.unit_scores import score_units
from vqaudio.evaluation.unit_set import UnitSet
from vqaudio.units.spec import UnitSpec


def score_baselines(train: Sequence[Utterance], material: Material, spec: UnitSpec, seed: int) -> Results:
    """Return `baselines`: for each kind, all unit scores of `material`, fitted on a random choice of `train`.

    The units have the rate and the number of codes of `spec`. One that cannot be fitted is noted as not measured.
    """
    results = Results()
    for kind in KINDS:
        with results.part(f"baselines.{kind}"):
            units = _units_of(kind, train, material.utterances, spec, seed)
            results.baselines[kind] = score_units(units, material, seed)
    return results


def _units_of(
    kind: str, train: Sequence[Utterance], heldout: Sequence[Utterance], spec: UnitSpec, seed: int
) -> UnitSet:
    def waveforms(utterances: Sequence[Utterance]) -> Iterator[tuple[str, np.ndarray]]:
        return zip((u.id for u in utterances), read_waveforms(utterances, spec.sample_rate))

    return baseline_units(
        kind, waveforms(shuffled(train, seed)), waveforms(heldout),
        spec.sample_rate, spec.hop_length, spec.codebook_size, seed,
    )  # fmt: skip
