"""Tables of figures in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from vqaudio.evaluation.measures import Measure
from vqaudio.evaluation.results import Results

NOT_MEASURED = "not measured"
BASELINES = {"mfcc_kmeans": "k-means of MFCCs", "logmel_kmeans": "k-means of log-mel"}
"""What the baselines are called in tables."""


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (1,)) -> str:
    """Return a table; the columns whose indices are in `right` hold figures and are aligned to the right."""
    alignment = ["---:" if index in right else ":---" for index in range(len(header))]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in (header, alignment, *rows))


def shown_value(measure: Measure, results: Results) -> str:
    """Return a figure as text, or that it was not measured."""
    value = results.figures.get(measure.key)
    return NOT_MEASURED if value is None else measure.show(value)


def shown_interval(measure: Measure, results: Results) -> str:
    """Return a figure's interval as text, '' where it has none."""
    ends = results.intervals.get(measure.key)
    return f"{measure.show(ends[0])} to {measure.show(ends[1])}" if ends else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
