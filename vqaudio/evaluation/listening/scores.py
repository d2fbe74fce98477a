"""The section on scores: the tables of results.json, with intervals, baselines, and reasons for what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vqaudio.evaluation.listening.experiment import Experiment
from vqaudio.evaluation.listening.markup import absent, escape, facts, section, table
from vqaudio.evaluation.measures import GROUPS, MEASURES, SAMPLES, SCOPE, Measure
from vqaudio.evaluation.results import Results
from vqaudio.evaluation.tables import BASELINES, shown_interval, shown_value

_COLUMNS = {"held-out": "held-out speech", "shuffled": "units in no order"}
_ARROWS = {"higher": ("↑", "higher is better"), "lower": ("↓", "lower is better")}


def scores_section(experiment: Experiment) -> str:
    """Return all tables: of the experiment's own set, then of further sets."""
    results = experiment.results
    if results is None:
        return section("scores", "Scores", absent("scores (results.json)", "vqaudio score"))
    lead = f"{scope(results)} ↑ higher is better, ↓ lower is better; without an arrow, neither is."
    if results.intervals:
        lead += " Beneath a value: its 95 % interval."
    parts = [*tables(results), _not_measured(results), *_others(results)]
    for name, further in experiment.further_results.items():
        body = "".join([f'<p class="lead">{scope(further)}</p>', *tables(further), _not_measured(further)])
        parts.append(f"<details><summary>Scored on {escape(name)}</summary>{body}</details>")
    return section("scores", "Scores", *parts, lead=lead)


def scope(results: Results) -> str:
    """Say how much audio the figures are of."""
    utterances, seconds = (results.figures.get(key) for key in SCOPE)
    if not utterances or not seconds:
        return "Measured on held-out audio."
    return f"Measured on held-out audio: {utterances:,} utterances, {seconds / 60:.1f} minutes."


def tables(results: Results) -> Iterator[str]:
    """Yield a table for each group of measures of which something was measured."""
    for title, measures in GROUPS.items():
        measured = [measure for measure in measures if results.figures.get(measure.key) is not None]
        if measured:
            yield group_table(title, measured, results)


def group_table(title: str, measures: Sequence[Measure], results: Results) -> str:
    """Return a table with a row per measure, and a column per baseline that has any of them."""
    keys = {measure.key for measure in measures}
    baselines = [name for name, other in results.baselines.items() if keys & other.figures.keys()]
    header = ["measure", "this model" if baselines else "value", *(BASELINES.get(name, name) for name in baselines)]
    rows = []
    for measure in measures:
        others = [_figure(measure, results.baselines[name]) for name in baselines]
        rows.append([_named(measure), _figure(measure, results, unit=True), *others])
    return f'<div class="scores{"" if baselines else " single"}">{table(escape(title), header, rows)}</div>'


def sweep_table(results: Results) -> str:
    """Return what was measured of samples, by column: temperatures, and what they compare with; '' for none."""
    measured = [m for m in SAMPLES if any(part.figures.get(m.key) is not None for part in results.sweep.values())]
    if not measured:
        return ""
    rows = [[_named(m, unit=True), *(_figure(m, part) for part in results.sweep.values())] for m in measured]
    columns = [_COLUMNS.get(name, name) for name in results.sweep]
    caption = "By temperature of the prior; of its held-out units in no order, decoded; and of held-out speech"
    return f'<div class="scores many">{table(caption, ["measure", *columns], rows)}</div>'


def arrow(measure: Measure) -> str:
    """Return the arrow of the good direction, with words for who does not see it; '' where neither is."""
    if measure.better not in _ARROWS:
        return ""
    sign, words = _ARROWS[measure.better]
    return f' <span class="better" aria-hidden="true" title="{words}">{sign}</span><span class="vh">({words})</span>'


def _named(measure: Measure, unit: bool = False) -> str:
    of = f' <span class="unit">{escape(measure.unit)}</span>' if unit else ""
    return f'{escape(measure.label)}{of}{arrow(measure)}<span class="meaning">{escape(measure.meaning)}</span>'


def _figure(measure: Measure, results: Results, unit: bool = False) -> str:
    if results.figures.get(measure.key) is None:
        return '<span class="none" aria-label="not measured">–</span>'
    interval = shown_interval(measure, results)
    beneath = f'<span class="interval">{escape(interval)}</span>' if interval else ""
    of = f' <span class="unit">{escape(measure.unit)}</span>' if unit else ""
    return f'<span class="value">{escape(shown_value(measure, results))}{of}</span>{beneath}'


def _not_measured(results: Results) -> str:
    """Return a list of reasons, each with all that it kept from being measured."""
    kept: dict[str, list[str]] = {}
    for key, value in results.figures.items():
        if value is None:
            label = f"{MEASURES[key].label} ({key})" if key in MEASURES else key
            kept.setdefault(results.not_measured.get(key, "no reason is given"), []).append(label)
    if not kept:
        return ""
    items = "".join(
        f"<li><strong>{escape(reason)}</strong>: {escape(', '.join(keys))}</li>" for reason, keys in kept.items()
    )
    return f'<h3>Not measured</h3><ul class="absent reasons">{items}</ul>'


def _others(results: Results) -> Iterator[str]:
    known = MEASURES.keys() | set(SCOPE)
    others = [(key, f"{value:g}") for key, value in results.figures.items() if key not in known and value is not None]
    if others:
        yield "<h3>Other figures</h3>" + facts(others)
