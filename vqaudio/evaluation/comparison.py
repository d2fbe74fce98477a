"""Experiments side by side: what `vqaudio compare` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vqaudio.evaluation.measures import GROUPS, SAMPLES, Measure
from vqaudio.evaluation.results import Results
from vqaudio.evaluation.tables import BASELINES, markdown_table

NEAR = "≈"
LEGEND = (
    f"**Bold**: the best. {NEAR}: not told from the best, one of the two lying within the other's 95% interval. "
    "Empty: not measured."
)


def compare(experiments: Mapping[str, Results], baselines: bool = False) -> str:
    """Return tables of the figures of experiments, by their names, as Markdown.

    With `baselines`, the baselines of each experiment stand beside it.
    """
    columns = dict(_with_baselines(experiments)) if baselines else dict(experiments)
    sections = [LEGEND]
    for title, measures in (*GROUPS.items(), *_temperatures(experiments)):
        found = title.partition(SWEEP)[2]
        shown = {name: r.sweep.get(found, Results()) for name, r in columns.items()} if found else columns
        shown = {name: r for name, r in shown.items() if any(_has(measure, r) for measure in measures)}
        rows = [_row(measure, list(shown.values())) for measure in measures if _known(measure, shown.values())]
        if rows:
            table = markdown_table(("", *shown, "unit", "better"), rows, right=range(1, 1 + len(shown)))
            sections.append(f"## {title}\n\n{table}")
    return "\n\n".join(sections) + "\n"


SWEEP = "Speech that nobody said: "


def best_of(measure: Measure, results: Sequence[Results]) -> int | None:
    """Return which of the results has the best figure; None where neither direction is good, or only one has it."""
    values = {index: r.figures[measure.key] for index, r in enumerate(results) if _has(measure, r)}
    if not measure.better or len(values) < 2:
        return None
    choose = max if measure.better == "higher" else min
    return choose(values, key=lambda index: values[index])


def is_near(measure: Measure, one: Results, other: Results) -> bool:
    """Whether the figure of one lies within the other's interval: the data do not tell them apart."""
    return _within(measure, one, other) or _within(measure, other, one)


def _row(measure: Measure, results: Sequence[Results]) -> list[str]:
    best = best_of(measure, results)
    cells = []
    for result in results:
        text = measure.show(result.figures[measure.key]) if _has(measure, result) else ""
        if text and best is not None:
            if result.figures[measure.key] == results[best].figures[measure.key]:
                text = f"**{text}**"
            elif is_near(measure, result, results[best]):
                text += f" {NEAR}"
        cells.append(text)
    return [measure.label, *cells, measure.unit, measure.better]


def _with_baselines(experiments: Mapping[str, Results]) -> Iterator[tuple[str, Results]]:
    for name, results in experiments.items():
        yield name, results
        for baseline, figures in results.baselines.items():
            yield f"{name}: {BASELINES.get(baseline, baseline)}", figures


def _temperatures(experiments: Mapping[str, Results]) -> list[tuple[str, tuple[Measure, ...]]]:
    names = dict.fromkeys(name for results in experiments.values() for name in results.sweep)
    return [(f"{SWEEP}{name}", SAMPLES) for name in names]


def _known(measure: Measure, results) -> bool:
    return any(_has(measure, result) for result in results)


def _has(measure: Measure, result: Results) -> bool:
    return result.figures.get(measure.key) is not None


def _within(measure: Measure, one: Results, other: Results) -> bool:
    ends = other.intervals.get(measure.key)
    return ends is not None and ends[0] <= one.figures[measure.key] <= ends[1]
