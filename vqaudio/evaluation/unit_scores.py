"""All scores of a set of units: a model's, a baseline's or another system's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vqaudio.errors import UnitsError
from vqaudio.evaluation import unit_statistics
from vqaudio.evaluation.material import Material
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.results import Results
from vqaudio.evaluation.unit_set import UnitSet
from vqaudio.units.spec import SPEC_FILE
from vqaudio.units.text import UNITS_FILE, read_frame_units, read_plain_units

logger = logging.getLogger(__name__)

PHONES = ("phone_accuracy", "phone_accuracy_majority", "phone_accuracy_shuffled")
MUTUAL = ("pnmi", "pnmi_shuffled", "phone_purity", "cluster_purity")
NO_ALIGNMENTS = "no alignments: the data directory has no phones.ctm"


def score_units(units: UnitSet, material: Material, seed: int = 0) -> Results:
    """Return every score of `units` that `material` allows; those that it does not, with the reason.

    `seed` is that of shuffled units, folds and bootstrap draws.
    """
    results = Results()
    results.put_all(unit_costs(units.sequences, units.codebook_size, units.unit_rate))
    results.merge(score_content(units, material, seed))
    return results


def score_content(units: UnitSet, material: Material, seed: int = 0) -> Results:
    """Return the scores of what units know of phones, speakers and languages; see `score_units`."""
    results = Results()
    _score_abx(results, units, material)
    _score_phones(results, units, material, seed)
    _score_probes(results, units, material, seed)
    return results


def unit_costs(sequences: Mapping[str, np.ndarray], codebook_size: int, unit_rate: float) -> dict[str, float]:
    """Return size, rate, usage, perplexity and bit rates of unit sequences."""
    counts = unit_statistics.unit_counts(sequences.values(), codebook_size)
    every = list(sequences.values())
    return {
        "codebook_size": codebook_size,
        "unit_rate_hz": unit_rate,
        "code_usage": unit_statistics.code_usage(counts),
        "code_perplexity": unit_statistics.code_perplexity(counts),
        "bitrate_nominal": unit_statistics.nominal_bitrate(unit_rate, codebook_size),
        "bitrate_entropy": unit_statistics.entropy_bitrate(counts, unit_rate),
        "bitrate_collapsed": unit_statistics.collapsed_bitrate(every, codebook_size, unit_rate),
        "bitrate_collapsed_durations": unit_statistics.collapsed_bitrate_with_durations(
            every, codebook_size, unit_rate
        ),
    }


def _score_abx(results: Results, units: UnitSet, material: Material) -> None:
    from vqaudio.evaluation.abx import abx_error
    from vqaudio.evaluation.abx_items import triphone_items

    distances = {"": "angular", "_units": "one-hot", "_edit": "edit"}
    keys = [f"abx_{mode}{suffix}" for suffix in distances for mode in ("within", "across")]
    with results.part(*keys):
        if not material.alignments:
            raise NotMeasured(NO_ALIGNMENTS)
        items = triphone_items(material.whole_phones, material.speakers)
        for suffix, distance in distances.items():
            for mode in ("within", "across"):
                with results.part(f"abx_{mode}{suffix}"):
                    if distance == "angular" and units.codebook is None:
                        raise NotMeasured("units without vectors: only a model's units have them")
                    score = abx_error(units, items, mode, distance)
                    results.put(f"abx_{mode}{suffix}", score.error, score.interval)
                    results.about[f"ABX {mode}"] = f"{score.cells} cells, {score.triples} triples"


def _score_phones(results: Results, units: UnitSet, material: Material, seed: int) -> None:
    from vqaudio.evaluation.phone_mapping import phone_accuracy

    with results.part(*PHONES, *MUTUAL):
        if not material.alignments:
            raise NotMeasured(NO_ALIGNMENTS)
        with results.part(*PHONES):
            score = phone_accuracy(units, material.alignments, material.speakers, seed)
            results.put("phone_accuracy", score.accuracy, score.interval)
            results.put("phone_accuracy_majority", score.majority)
            results.put("phone_accuracy_shuffled", score.shuffled)
        _score_mutual(results, units, material, seed)


def _score_mutual(results: Results, units: UnitSet, material: Material, seed: int) -> None:
    from vqaudio.evaluation import purity
    from vqaudio.evaluation.phone_mapping import joint_counts, shuffle_in_time

    metrics = {
        "pnmi": purity.phone_normalised_mutual_information,
        "phone_purity": purity.phone_purity,
        "cluster_purity": purity.cluster_purity,
    }
    counts, _ = joint_counts(units, material.alignments)
    for key, metric in metrics.items():
        with results.part(key):
            interval = purity.speaker_interval(metric, units, material.alignments, material.speakers)
            results.put(key, metric(counts), interval)
    with results.part("pnmi_shuffled"):
        shuffled, _ = joint_counts(shuffle_in_time(units, seed), material.alignments)
        results.put("pnmi_shuffled", metrics["pnmi"](shuffled))


def _score_probes(results: Results, units: UnitSet, material: Material, seed: int) -> None:
    from vqaudio.evaluation.probes import language_probe, speaker_probe

    with results.part("speaker_probe", "speaker_chance"):
        probe = speaker_probe(units, material.speakers, seed)
        results.put("speaker_probe", probe.accuracy, probe.interval)
        results.put("speaker_chance", probe.chance)
    with results.part("language_probe", "language_chance"):
        probe = language_probe(units, material.speakers, material.languages, seed)
        results.put("language_probe", probe.accuracy, probe.interval)
        results.put("language_chance", probe.chance)


def read_unit_set(path: str | Path, unit_rate: float | None = None, codebook_size: int | None = None) -> UnitSet:
    """Read units to be scored: a folder with `units.json`, or a file in the form of `units.txt` at a given rate.

    Args:
        path: the folder, or the file.
        unit_rate: units per second of audio, in Hz; needed where no `units.json` beside the units says.
        codebook_size: K; where neither this nor a `units.json` says, one more than the largest unit.

    Raises:
        UnitsError: units that break their form, or a rate or size that is missing or contradicts `units.json`.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    if (folder / SPEC_FILE).is_file():
        sequences, spec = read_frame_units(path)
        for name, given, own in (
            ("unit rate", unit_rate, spec.unit_rate), ("codebook size", codebook_size, spec.codebook_size)
        ):  # fmt: skip
            if given is not None and given != own:
                raise UnitsError(f"a {name} of {given:g} for {path}, whose {SPEC_FILE} says {own:g}")
        return UnitSet(sequences, spec.codebook_size, spec.unit_rate)
    if unit_rate is None:
        raise UnitsError(f"{folder} has no {SPEC_FILE}: expected the units' rate (--unit_rate, units per second)")
    sequences = read_plain_units(path / UNITS_FILE if path.is_dir() else path)
    largest = max(int(units.max()) for units in sequences.values())
    return UnitSet(sequences, codebook_size or largest + 1, unit_rate)
