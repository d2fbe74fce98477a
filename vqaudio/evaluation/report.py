"""`RESULTS.md`: the figures of an experiment with their units and meaning, for one who meets them first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from vqaudio.evaluation.measures import GROUPS, SCOPE, Measure

RESULTS_FILE = "results.json"
FIGURES_FOLDER = "figures"

_NO_AUDIO = {"checkpoints", "tensorboard", "model", FIGURES_FOLDER}
_WHAT_IS_HEARD = {
    "resynthesis": "held-out utterances, decoded from their units",
    "conversion": "held-out utterances, decoded from their units in other voices",
    "samples": "speech that nobody said, drawn from prior and decoder",
}
_LISTED = 5  # audio files of a folder that the report links one by one
_USELESS_UNITS = 0.05  # bits per sample: below this gain the decoder does without the units

Results = Mapping[str, float | int | None]


def render_report(folder: Path, values: Results) -> str:
    """Return the report on `values` as Markdown; figures and audio found below `folder` are linked."""
    return "\n\n".join(_sections(folder, values)) + "\n"


def _sections(folder: Path, values: Results) -> Iterator[str]:
    yield f"# Results of {folder.resolve().name}"
    yield _introduction(values)
    sentences = list(_sentences(values))
    if sentences:
        yield "## In short\n\n" + "\n".join(f"- {sentence}" for sentence in sentences)
    for title, measures in GROUPS.items():
        rows = [_row(measure, values[measure.key]) for measure in measures if measure.key in values]
        if rows:
            yield f"## {title}\n\n" + _table(("", "value", "unit", "better", "what it means"), rows)
    others = [(f"`{key}`", "not measured" if value is None else f"{value:g}") for key, value in _others(values)]
    if others:
        yield "## Other figures\n\n" + _table(("key", "value"), others)
    yield from _figures(folder)
    yield from _audio(folder)


def _introduction(values: Results) -> str:
    scope = "held-out audio"
    utterances, seconds = _get(values, *SCOPE)
    if utterances and seconds:
        scope += f": {utterances:,} utterances, {seconds / 60:.1f} minutes"
    return (
        f"Measured on {scope}. The column *better* says which direction is good; where it is empty, neither is. "
        f"The same figures for programs are in [{RESULTS_FILE}]({RESULTS_FILE})."
    )


def _sentences(values: Results) -> Iterator[str]:
    """Say in words what the figures come to, as far as they were measured."""
    rate, codes, bitrate, entropy = _get(values, "unit_rate_hz", "codebook_size", "bitrate_nominal", "bitrate_entropy")
    if None not in (rate, codes, bitrate, entropy):
        yield (
            f"A second of audio becomes {rate:g} units out of {codes:,}: {bitrate:,.0f} bits as they are, "
            f"{entropy:,.0f} by their entropy."
        )
    true, shuffled = _get(values, "bits_per_sample", "bits_per_sample_shuffled_units")
    if None not in (true, shuffled):
        yield _worth_of_units(shuffled - true)
    prior, unigram = _get(values, "prior_bits_per_unit", "unigram_bits_per_unit")
    if None not in (prior, unigram):
        yield _worth_of_prior(prior, unigram, codes)
    agreements = _get(values, "batch_agreement", "chunk_agreement")
    if None not in agreements:
        same = all(share == 1 for share in agreements)
        yield (
            "The units of an utterance are the same alone, in a batch and in chunks."
            if same
            else "**The units of an utterance depend on how it is encoded**: alone, in a batch or in chunks."
        )


def _worth_of_units(gain: float) -> str:
    if gain < _USELESS_UNITS:
        return f"**The decoder hardly uses the units**: in their right order they save {gain:.2f} bits per sample."
    return f"The decoder uses the units: in their right order they save {gain:.2f} bits per sample."


def _worth_of_prior(prior: float, unigram: float, codes: float | None) -> str:
    uniform = f" and of {math.log2(codes):.2f} if all units were equally likely" if codes else ""
    verdict = f"saves {unigram - prior:.2f} bits per unit" if prior < unigram else "**saves nothing**"
    return f"The prior {verdict}: it needs {prior:.2f} instead of {unigram:.2f} without context{uniform}."


def _row(measure: Measure, value: float | int | None) -> tuple[str, ...]:
    shown = "not measured" if value is None else measure.show(value)
    return (measure.label, shown, measure.unit, measure.better, measure.meaning)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    alignment = [":---", "---:", *[":---"] * (len(header) - 2)]  # the second column holds the figures
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, alignment, *rows))


def _others(values: Results) -> list[tuple[str, float | int | None]]:
    explained = {measure.key for measures in GROUPS.values() for measure in measures} | set(SCOPE)
    return [(key, value) for key, value in values.items() if key not in explained]


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


def _get(values: Results, *keys: str) -> list[float | int | None]:
    return [values.get(key) for key in keys]
