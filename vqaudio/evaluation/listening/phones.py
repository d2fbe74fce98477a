"""The section on phones: what each code stands for, and which phones codes take for one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.alignments import ALIGNMENT_FILE, read_alignments
from vqaudio.evaluation.listening.experiment import Experiment
from vqaudio.evaluation.listening.heatmap import Side, heat_map
from vqaudio.evaluation.listening.markup import absent, escape, section, table
from vqaudio.units.spec import SPEC_FILE

if TYPE_CHECKING:
    from vqaudio.evaluation.phone_sets import Alignments
    from vqaudio.evaluation.unit_set import UnitSet

_FEWEST = 10  # units of a code that is drawn: one that occurs once would seem to stand for its phone alone
TITLE = "What the codes stand for"
HOW = "vqaudio report … --aligned_dir DATA --aligned_units UNITS"
_ORDER = (
    "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h l r w y el hh hv m n ng em en eng nx "
    "v dh z zh f th s sh jh ch b d g dx q p t k bcl dcl gcl pcl tcl kcl epi pau sil sp spn h#"
)
"""Phones by manner of articulation, so that those which are easily confused are neighbours."""


class Aligned(NamedTuple):
    """A data directory with `phones.ctm`, and the units of its utterances."""

    data_dir: Path
    units: Path


def find_aligned(
    experiment: Experiment, data_dir: Path | None, aligned_dir: Path | None, aligned_units: Path | None
) -> Aligned | None:
    """Return what was named; otherwise the held-out set, or the first of `scores/`, that has phones; otherwise None.

    Raises VQAudioError where one of the two is named without the other.
    """
    if (aligned_dir is None) != (aligned_units is None):
        raise VQAudioError("--aligned_dir and --aligned_units belong together: phones, and the units of the same audio")
    if aligned_dir is not None and aligned_units is not None:
        return Aligned(aligned_dir, aligned_units)
    candidates = [(data_dir, experiment.path / "units" / "test")] if data_dir is not None else []
    for name, results in experiment.further_results.items():
        folder = experiment.path / "scores" / name
        candidates.append((folder / results.about.get("data_dir", "."), folder / "units"))
    for place, units in candidates:
        if (place / ALIGNMENT_FILE).is_file() and (units / SPEC_FILE).is_file():
            return Aligned(place, units)
    return None


def phones_section(experiment: Experiment, aligned: Aligned | None, phones: str) -> str:
    """Return the maps of codes and phones; without alignments, how to get them.

    Raises VQAudioError where alignments and units do not fit.
    """
    if aligned is None:
        return section(
            "phones", TITLE, absent("maps of codes and phones, which need times of phones (phones.ctm)", HOW)
        )
    from vqaudio.evaluation.phone_mapping import joint_counts, label_units
    from vqaudio.evaluation.phone_sets import choose_phone_set, fold
    from vqaudio.evaluation.unit_set import UnitSet

    alignments = read_alignments(aligned.data_dir)
    if not alignments:
        raise VQAudioError(f"{aligned.data_dir}: no {ALIGNMENT_FILE} in it, expected times of phones")
    alignments = fold(alignments, choose_phone_set(phones, alignments))
    units = UnitSet(experiment.units_of(aligned.units), experiment.codebook_size, experiment.unit_rate)
    labels = in_order(label_units(units, alignments).labels)
    counts, _ = joint_counts(units, alignments, labels)
    parts = [code_map(counts, labels), code_table(counts, labels), _confusion_part(units, alignments, aligned.data_dir)]
    scored = f"{int(counts.sum()):,} units with a phone at their centre, of {escape(aligned.data_dir.resolve().name)}."
    return section("phones", TITLE, *parts, lead=scored)


def in_order(labels: Sequence[str]) -> list[str]:
    """Return phones by manner of articulation, those that this module does not know at the end."""
    place = {label: index for index, label in enumerate(_ORDER.split())}
    return sorted(labels, key=lambda label: (place.get(label, len(place)), label))


def code_map(counts: np.ndarray, labels: Sequence[str]) -> str:
    """Return the map of p(phone | code) from counts (K, P), codes sorted by their likeliest phones."""
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    shown = np.flatnonzero(totals >= _FEWEST)
    if not len(shown):
        return absent(f"map of codes and phones: no code has {_FEWEST} units with a phone")
    best = shares.argmax(axis=1)
    order = shown[np.lexsort((-shares[shown, best[shown]], best[shown]))]
    told = counts.max(axis=1).sum() / counts.sum()
    summary = (
        f"{len(order):,} of {len(counts):,} codes occur at least {_FEWEST} times here, and are drawn. Taken for its "
        f"likeliest phone, each code is right for {100 * told:.1f} % of all units (phone purity, fitted here)."
    )
    names = [f"{code} ({totals[code]:,} units)" for code in order]
    columns = Side("codes, by their likeliest phones", names, shown=False)
    sentence = "Code {column}: {share} % are {row}."
    return heat_map("Phones of each code", shares[order].T, Side("phone", labels), columns, sentence, summary)


def code_table(counts: np.ndarray, labels: Sequence[str], shown: int = 6) -> str:
    """Return the same in words: the codes that stand for each phone."""
    best, totals = counts.argmax(axis=1), counts.sum(axis=1)
    rows = []
    for index, label in enumerate(labels):
        codes = [code for code in np.argsort(-counts[:, index], kind="stable") if totals[code] and best[code] == index]
        spoken = counts[:, index].sum()
        right = counts[codes, index].sum() / spoken if spoken else 0.0
        named = ", ".join(map(str, codes[:shown])) + (", …" if len(codes) > shown else "")
        share = 100 * spoken / counts.sum()
        rows.append([escape(label), f"{share:.1f} %", str(len(codes)), f"{100 * right:.0f} %", named or "none"])
    header = ["phone", "share of units", "codes that stand for it", "of its units in them", "the commonest of them"]
    return f"<details><summary>The same as a table</summary>{table('Codes by phone', header, rows)}</details>"


def confusion_map(counts: np.ndarray, labels: Sequence[str]) -> str:
    """Return the map of confusions from counts (P, P): rows are spoken, columns are what the codes stand for."""
    shares = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    right = np.trace(counts) / counts.sum()
    off = np.where(np.eye(len(labels), dtype=bool), 0.0, shares * (counts.sum(axis=1) >= 50)[:, None])
    row, column = np.unravel_index(off.argmax(), off.shape)
    summary = (
        f"Codes name {100 * right:.1f} % of units rightly, each code's phone being learned from other speakers. "
        f"The commonest confusion: {100 * off[row, column]:.0f} % of {labels[row]} is taken for {labels[column]}."
    )
    sentence = "{share} % of the units of {row} are of codes that stand for {column}."
    rows, columns = Side("spoken", labels), Side("taken for", labels)
    return heat_map("Confusions: spoken (down), taken for (across)", shares, rows, columns, sentence, summary)


def _confusion_part(units: UnitSet, alignments: Alignments, aligned_dir: Path) -> str:
    from vqaudio.corpus.tables import read_table
    from vqaudio.evaluation.optional import NotMeasured
    from vqaudio.evaluation.phone_mapping import confusions

    speakers = {id: row.value for id, row in read_table(aligned_dir / "utt2spk", "<utterance> <speaker>").rows.items()}
    try:
        counts, labels = confusions(units, alignments, speakers)
    except NotMeasured as reason:
        return absent(f"confusions: {reason}")
    ordered = in_order(labels)
    places = [labels.index(label) for label in ordered]
    return confusion_map(counts[np.ix_(places, places)], ordered)
