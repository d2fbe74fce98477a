"""`RESULTS.md`: the figures of an experiment with their units and meaning, for one who meets them first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from vqaudio.evaluation.measures import GROUPS, MEASURES, SAMPLES, SCOPE, Measure
from vqaudio.evaluation.results import RESULTS_FILE, Results
from vqaudio.evaluation.tables import BASELINES, markdown_table, shown_interval, shown_value

REPORT_FILE = "RESULTS.md"
FIGURES_FOLDER = "figures"

_NO_AUDIO = {"checkpoints", "tensorboard", "model", FIGURES_FOLDER}
_WHAT_IS_HEARD = {
    "resynthesis": "held-out utterances, decoded from their units",
    "conversion": "held-out utterances, decoded from their units in other voices",
    "samples": "speech that nobody said, drawn from prior and decoder",
    "unconditional": "the same at several temperatures of the prior",
}
_LISTED = 5  # audio files of a folder that the report links one by one
_USELESS_UNITS = 0.05  # bits per sample: below this gain the decoder does without the units


def render_report(folder: Path, results: Results) -> str:
    """Return the report on `results` as Markdown; figures and audio found below `folder` are linked."""
    return "\n\n".join(_sections(folder, results)) + "\n"


def _sections(folder: Path, results: Results) -> Iterator[str]:
    yield f"# Results of {folder.resolve().name}"
    yield _introduction(results)
    sentences = list(_sentences(results))
    if sentences:
        yield "## In short\n\n" + "\n".join(f"- {sentence}" for sentence in sentences)
    for title, measures in GROUPS.items():
        measured = [measure for measure in measures if measure.key in results.figures]
        if measured:
            yield f"## {title}\n\n" + _group_table(measured, results)
    if results.sweep:
        yield "## Speech that nobody said\n\n" + _sweep_table(results)
    if results.not_measured:
        yield "## Not measured\n\n" + "\n".join(_reasons(results))
    others = [(f"`{key}`", "not measured" if value is None else f"{value:g}") for key, value in _others(results)]
    if others:
        yield "## Other figures\n\n" + markdown_table(("key", "value"), others)
    yield from _figures(folder)
    yield from _audio(folder)
    if results.about:
        yield "## How it was measured\n\n" + markdown_table(("", ""), list(results.about.items()), right=())


def _introduction(results: Results) -> str:
    scope = "held-out audio"
    utterances, seconds = _get(results, *SCOPE)
    if utterances and seconds:
        scope += f": {utterances:,} utterances, {seconds / 60:.1f} minutes"
    intervals = " Intervals are of 95%." if results.intervals else ""
    return (
        f"Measured on {scope}. The column *better* says which direction is good; where it is empty, neither is."
        f"{intervals} The same figures for programs are in [{RESULTS_FILE}]({RESULTS_FILE})."
    )


def _group_table(measures: Sequence[Measure], results: Results) -> str:
    """Return a table with a row per measure, and columns for intervals and baselines where there are any."""
    keys = {measure.key for measure in measures}
    with_intervals = bool(keys & results.intervals.keys())
    baselines = [name for name, other in results.baselines.items() if keys & other.figures.keys()]
    names = [BASELINES.get(name, name) for name in baselines]
    header = ["", "value", *["interval"] * with_intervals, *names, "unit", "better", "what it means"]
    rows = []
    for measure in measures:
        interval = [shown_interval(measure, results)] if with_intervals else []
        others = [_of_baseline(measure, results.baselines[name]) for name in baselines]
        row = [measure.label, shown_value(measure, results), *interval, *others]
        rows.append([*row, measure.unit, measure.better, measure.meaning])
    return markdown_table(header, rows, right=range(1, 2 + with_intervals + len(baselines)))


def _of_baseline(measure: Measure, baseline: Results) -> str:
    return shown_value(measure, baseline) if baseline.figures.get(measure.key) is not None else ""


def _sweep_table(results: Results) -> str:
    header = ["", *results.sweep, "unit", "better", "what it means"]
    rows = [
        [m.label, *(_of_baseline(m, part) for part in results.sweep.values()), m.unit, m.better, m.meaning]
        for m in SAMPLES
        if any(part.figures.get(m.key) is not None for part in results.sweep.values())
    ]
    lead = "Columns are temperatures of the prior; held-out units in no order, decoded; and recordings."
    return f"{lead}\n\n{markdown_table(header, rows, right=range(1, 1 + len(results.sweep)))}"


def _reasons(results: Results) -> Iterator[str]:
    """Yield a line per reason, with all that it kept from being measured."""
    kept: dict[str, list[str]] = {}
    for key, reason in results.not_measured.items():
        kept.setdefault(reason, []).append(f"`{key}`")
    for reason, keys in kept.items():
        yield f"- {', '.join(keys)}: {reason}"


def _sentences(results: Results) -> Iterator[str]:
    """Say in words what the figures come to, as far as they were measured."""
    rate, codes, bitrate, entropy = _get(results, "unit_rate_hz", "codebook_size", "bitrate_nominal", "bitrate_entropy")
    if None not in (rate, codes, bitrate, entropy):
        yield (
            f"A second of audio becomes {rate:g} units out of {codes:,}: {bitrate:,.0f} bits as they are, "
            f"{entropy:,.0f} by their entropy."
        )
    yield from _sentence_on_phones(results)
    true, shuffled = _get(results, "bits_per_sample", "bits_per_sample_shuffled_units")
    if None not in (true, shuffled):
        yield _worth_of_units(shuffled - true)
    heard, natural = _get(results, "wer", "wer_natural")
    if None not in (heard, natural):
        yield f"A recogniser gets {heard:.0%} of the words wrong, and {natural:.0%} in the recordings themselves."
    prior, unigram = _get(results, "prior_bits_per_unit", "unigram_bits_per_unit")
    if None not in (prior, unigram):
        yield _worth_of_prior(prior, unigram, codes)
    agreements = _get(results, "batch_agreement", "chunk_agreement")
    if None not in agreements:
        same = all(share == 1 for share in agreements)
        yield (
            "The units of an utterance are the same alone, in a batch and in chunks."
            if same
            else "**The units of an utterance depend on how it is encoded**: alone, in a batch or in chunks."
        )


def _sentence_on_phones(results: Results) -> Iterator[str]:
    accuracy, majority = _get(results, "phone_accuracy", "phone_accuracy_majority")
    if None not in (accuracy, majority):
        yield f"Units name the phone of {accuracy:.0%} of their frames; who always says the commonest: {majority:.0%}."
    within, across = _get(results, "abx_within", "abx_across")
    if None not in (within, across):
        yield f"ABX confuses {within:.0%} of the triphones of one speaker, and {across:.0%} across speakers."


def _worth_of_units(gain: float) -> str:
    if gain < _USELESS_UNITS:
        return f"**The decoder hardly uses the units**: in their right order they save {gain:.2f} bits per sample."
    return f"The decoder uses the units: in their right order they save {gain:.2f} bits per sample."


def _worth_of_prior(prior: float, unigram: float, codes: float | None) -> str:
    uniform = f" and of {math.log2(codes):.2f} if all units were equally likely" if codes else ""
    verdict = f"saves {unigram - prior:.2f} bits per unit" if prior < unigram else "**saves nothing**"
    return f"The prior {verdict}: it needs {prior:.2f} instead of {unigram:.2f} without context{uniform}."


def _others(results: Results) -> list[tuple[str, float | int | None]]:
    return [(key, value) for key, value in results.figures.items() if key not in MEASURES.keys() | set(SCOPE)]


def _figures(folder: Path) -> Iterator[str]:
    images = sorted((folder / FIGURES_FOLDER).glob("*.png"))
    if images:
        yield "## Look"
    for path in images:
        yield f"![{path.stem.replace('_', ' ')}]({_link(path, folder)})"


def _audio(folder: Path) -> Iterator[str]:
    """Link the folders that hold WAV files, and the first few files of each."""
    groups: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*.wav")):
        if _NO_AUDIO.isdisjoint(path.relative_to(folder).parts):
            groups.setdefault(path.parent, []).append(path)
    lines = []
    for parent, paths in groups.items():
        links = ", ".join(f"[{path.name}]({_link(path, folder)})" for path in paths[:_LISTED])
        more = ", …" if len(paths) > _LISTED else ""
        name = parent.relative_to(folder).as_posix()
        about = _WHAT_IS_HEARD.get(name, "audio")
        lines.append(f"- [{name}]({_link(parent, folder)}), {about} ({len(paths)}): {links}{more}")
    if lines:
        yield "## Listen\n\n" + "\n".join(lines)


def _link(path: Path, folder: Path) -> str:
    return quote(path.relative_to(folder).as_posix())


def _get(results: Results, *keys: str) -> list[float | int | None]:
    return [results.figures.get(key) for key in keys]
