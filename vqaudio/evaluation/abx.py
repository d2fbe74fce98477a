"""ABX error: how often a phone lies nearer to another phone than to itself, within and across speakers.

A, B and X are triphones with the same context. A and X have the same phone in the middle, B another one; the triple
errs where X is nearer to B. It is the measure of the Zero Resource Speech challenges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vqaudio.errors import VQAudioError, did_you_mean
from vqaudio.evaluation.abx_cells import Cells, cell_groups, scored_cells
from vqaudio.evaluation.abx_fastabx import fastabx_cells, has_fastabx
from vqaudio.evaluation.abx_items import Item
from vqaudio.evaluation.abx_tokens import Features, tokens_of
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.uncertainty import DRAWS, Interval, bootstrap_interval
from vqaudio.evaluation.unit_set import UnitSet

MODES = ("within", "across")
ENGINES = ("auto", "fastabx", "numba")


@dataclass(frozen=True)
class AbxScore:
    """An ABX error and what it was measured on.

    Attributes:
        error: in [0, 1]; 0 is perfect, 0.5 is chance.
        interval: 95%, over speakers; None where there are too few of them.
        cells: comparisons of two phones in one context, by one speaker or two, that have been averaged.
        triples: of A, B and X, all cells together.
        speakers: whose items are in a cell.
        items: that hold a frame, whether they are in a cell or not.
        left_out: items without a frame.
        engine: what computed it, "fastabx" or "numba".
    """

    error: float
    interval: Interval | None
    cells: int
    triples: int
    speakers: int
    items: int
    left_out: int
    engine: str


def abx_error(
    material: UnitSet | Features,
    items: Sequence[Item],
    mode: Literal["within", "across"] = "within",
    distance: Literal["angular", "one-hot", "edit"] = "angular",
    engine: Literal["auto", "fastabx", "numba"] = "auto",
    draws: int = DRAWS,
    seed: int = 0,
) -> AbxScore:
    """ABX error rate on triphones, in [0, 1]: 0 is perfect, about 0.5 is chance, lower is better.

    Definition: Schatz et al. (2013), *Evaluating speech features with the Minimal-Pair ABX task: Analysis of the
    classical MFC/PLP pipeline*; Schatz (2016), *ABX-discriminability measures and applications*. The task is that of
    Libri-Light (Kahn et al. 2020) and ZeroSpeech 2021 (Nguyen et al. 2020, *The Zero Resource Speech Benchmark 2021*):
    ON phone, BY context and speaker within speakers; ON phone, BY context, ACROSS speakers otherwise. Cells are
    averaged as there: over contexts (and speakers of X), then over speakers of A and B, then over ordered pairs of
    phones, each weighing the same.

    It equals `zerospeech_abx` of fastabx without subsampling; for codebook vectors up to some 0.0004, since fastabx
    finds an angle between a vector and itself by rounding, which decides ties. ZeroSpeech 2021 limits a cell to 10
    items of a kind and X to 5 speakers to save time, which estimates the same figure; its code, and Libri-Light's,
    also drops the last frame of each item.

    Distances, each in [0, 1]:
        angular: the angle between frames as a share of π, here of codebook vectors z_q or features; the mean along
            the cheapest path of dynamic time warping.
        one-hot: 0 for the same unit and 1 for others; the mean along the path as well ("identical" in fastabx).
        edit: Levenshtein distance between the units, runs taken as one, over the length of the longer one. It takes
            no notice of durations; many triples tie.

    Args:
        material: units, with a codebook for angular distances; or features, for angular distances.
        items: what is compared, from `triphone_items` or `read_items`.
        mode: whether X is of the speaker of A and B, or of another.
        distance: as above.
        engine: "fastabx" or "numba", this package's own computation; they agree up to rounding. "auto" takes fastabx
            where it is installed, except for edits. For 139,000 items of 40 speakers, across them, numba took half a
            minute and 1 GB on one core, fastabx 5 minutes and 2.5 GB.
        draws: samples of the bootstrap for the interval; 0 for none.
        seed: of those samples.

    Chance is 0.5 for items of the same length. Random units, or units that hardly tell phones apart, score above it
    (0.54 to 0.57 across the 8 speakers of the TIMIT sample), because a path between items of unlike length has more
    freedom to find frames that agree, and A is mostly nearer to X in length than B is.

    The interval resamples speakers. Across speakers a cell weighs as often as both of its speakers are drawn (Owen
    2007, *The pigeonhole bootstrap*). Phones and contexts are held, so it says what other speakers would give on the
    same phones. With fewer than 10 speakers it is a rough guide, and mostly too narrow.

    Raises:
        VQAudioError: an unknown mode, distance or engine; items that do not belong to the material.
        NotMeasured: no items, or no two triphones to be compared; units without vectors; fastabx asked for but absent.
    """
    for name, value, expected in (("mode", mode, MODES), ("engine", engine, ENGINES)):
        if value not in expected:
            raise VQAudioError(f"{name} {value!r}, expected {', '.join(expected)}.{did_you_mean(value, expected)}")
    across = mode == "across"
    tokens = tokens_of(material, items, distance)
    if next(cell_groups(tokens, across), None) is None:
        raise NotMeasured(f"none of {len(items)} triphones recurs {_WHERE[mode]} beside one that differs in its phone")
    if engine == "auto":
        engine = "fastabx" if distance != "edit" and has_fastabx() else "numba"
    cells = (fastabx_cells if engine == "fastabx" else scored_cells)(tokens, across)
    averages = Averages(cells)
    kept = len(tokens.phone)
    interval = _interval(averages, across, draws, seed)
    count = len(cells.error), int(cells.triples.sum()), averages.speakers
    return AbxScore(averages(np.ones(averages.speakers)), interval, *count, kept, tokens.left_out, engine)


_WHERE = {"within": "by its speaker", "across": "by another speaker"}


class Averages:
    """The mean error of cells, for speakers of any weights; `speakers` is how many there are."""

    def __init__(self, cells: Cells) -> None:
        names, numbers = np.unique([cells.speaker, cells.speaker_x], return_inverse=True)
        speaker, speaker_x = numbers.reshape(2, -1)
        self.speakers = len(names)
        pair = np.unique(cells.phone * (cells.other.max() + 1) + cells.other, return_inverse=True)[1]
        rows, row = np.unique((pair * self.speakers + speaker) * self.speakers + speaker_x, return_inverse=True)
        self._errors, self._cells = np.bincount(row, weights=cells.error), np.bincount(row)  # contexts summed up
        self._speaker_x = rows % self.speakers
        groups, self._group = np.unique(rows // self.speakers, return_inverse=True)  # pair, speaker of A and B
        self._pair, self._speaker = groups // self.speakers, groups % self.speakers

    def __call__(self, weights: np.ndarray) -> float:
        """Return the mean where speaker s counts weights[s] times, (speakers,); NaN where no cell is left."""
        weight = weights[self._speaker_x]
        cells = np.bincount(self._group, weights=weight * self._cells)
        errors = np.bincount(self._group, weights=weight * self._errors)
        error = np.divide(errors, cells, out=np.zeros_like(errors), where=cells > 0)  # of pairs and speakers
        weight = weights[self._speaker] * (cells > 0)
        total = np.bincount(self._pair, weights=weight)
        heard = total > 0
        if not heard.any():
            return float("nan")
        return float(np.mean(np.bincount(self._pair, weights=weight * error)[heard] / total[heard]))


def _interval(averages: Averages, across: bool, draws: int, seed: int) -> Interval | None:
    count = averages.speakers
    if not draws or count < (3 if across else 2):  # two speakers make one comparison across them, however drawn
        return None
    return bootstrap_interval(lambda picks: averages(np.bincount(picks, minlength=count)), count, draws, seed)
