"""The head of the page: what the model is, its way from waveform to waveform, and the figures to know first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vqaudio.config import DecoderConfig, StackConfig
from vqaudio.evaluation.listening.experiment import Experiment
from vqaudio.evaluation.listening.markup import absent, escape, facts
from vqaudio.evaluation.listening.scores import arrow, scope
from vqaudio.evaluation.measures import MEASURES
from vqaudio.evaluation.results import Results
from vqaudio.evaluation.tables import shown_interval, shown_value


class Headline(NamedTuple):
    """A figure that stands at the head of the page, and the one that puts it into proportion."""

    key: str
    label: str
    beside: str = ""
    words: str = "{}"


HEADLINES = (
    Headline("bitrate_entropy", "Bitrate of the units", "bitrate_nominal", "{} if each unit takes log2 K bits"),
    Headline("abx_across", "ABX error across speakers", "abx_within", "{} % within a speaker"),
    Headline("phone_accuracy", "Units that name their phone", "phone_accuracy_majority", "{} % by the commonest phone"),
    Headline("wer", "Words that a recogniser gets wrong", "wer_natural", "{} % in the recordings"),
    Headline("mos", "Predicted opinion of the speech", "mos_natural", "{} for the recordings"),
    Headline("bits_per_sample", "Surprise at each sample", "bits_per_sample_shuffled_units", "{} with units shuffled"),
    Headline(
        "prior_bits_per_unit", "Surprise of the prior at each unit", "unigram_bits_per_unit", "{} without context"
    ),
    Headline("code_perplexity", "Perplexity of the codes", "codebook_size", "{} would be all of them, evenly"),
    Headline("log_mel_distance_db", "Distance of the spectrograms"),
    Headline("generation_rtf", "Computing per second of audio"),
)
"""By importance; the first six that were measured are shown."""
_SHOWN = 6


def overview(experiment: Experiment) -> str:
    """Return the page's header: title, sentence, diagram, key figures, facts."""
    model = experiment.config.model
    summary = (
        f"A VQ-VAE that turns {_khz(model.sample_rate)} speech into {experiment.unit_rate:g} units a second out of "
        f"{experiment.codebook_size:,} codes, and units back into speech."
    )
    return (
        f'<header class="page-head"><p class="kicker">vqaudio · listening report</p>'
        f'<h1>{escape(experiment.name)}</h1><p class="summary">{escape(summary)}</p>{diagram(experiment)}'
        f"{key_figures(experiment)}{facts(_facts(experiment))}</header>"
    )


def diagram(experiment: Experiment) -> str:
    """Return the way of a sample, as a list that is laid out as a row of boxes."""
    model, quantizer = experiment.config.model, experiment.config.model.quantizer
    strides = " · ".join(map(str, model.encoder.strides))
    rate = experiment.unit_rate
    steps = [
        ("Waveform", f"{_khz(model.sample_rate)}", "end"),
        ("Encoder", f"strides {strides}, {model.encoder.channels} channels", ""),
        ("Codebook", f"{quantizer.codebook_size:,} codes of {quantizer.code_dim} dimensions", ""),
        ("Units", f"{rate:g} a second, one each {model.encoder.hop_length} samples", "core"),
        ("Decoder", f"WaveNet of {model.decoder.stack.layers} layers, {_output(model.decoder)}, told the speaker", ""),
        ("Waveform", f"{_khz(model.sample_rate)}", "end"),
    ]
    items = "".join(f'<li class="{kind}"><b>{name}</b><span>{escape(about)}</span></li>' for name, about, kind in steps)
    prior = f'<p class="prior"><b>Prior</b> {_prior(experiment)}</p>'
    return f'<div class="diagram"><ol class="flow" aria-label="The way of a sample">{items}</ol>{prior}</div>'


def key_figures(experiment: Experiment) -> str:
    """Return up to six figures as cards."""
    results = experiment.results
    if results is None:
        return absent("figures (results.json)", "vqaudio score")
    sets = {"": results, **experiment.further_results}
    cards = [card for headline in HEADLINES if (card := _first_card(headline, sets))]
    figures = "".join(cards[:_SHOWN])
    return f'<ul class="figures">{figures}</ul><p class="small">{escape(scope(results))}</p>' if figures else ""


def _first_card(headline: Headline, sets: Mapping[str, Results]) -> str:
    """Return a figure as it was measured on the first of the sets that have it, by name; '' where none has."""
    for name, results in sets.items():
        if headline.key in MEASURES and results.figures.get(headline.key) is not None:
            return _card(headline, results, name)
    return ""


def _card(headline: Headline, results: Results, name: str) -> str:
    measure, notes = MEASURES[headline.key], [f"on {name}"] if name else []
    if headline.key in results.intervals:
        notes.append(f"95 % interval {shown_interval(measure, results)}")
    if headline.beside in MEASURES and results.figures.get(headline.beside) is not None:
        notes.append(headline.words.format(shown_value(MEASURES[headline.beside], results)))
    return (
        f'<li><span class="label">{escape(headline.label)}{arrow(measure)}</span>'
        f'<span class="figure">{escape(shown_value(measure, results))} <small>{escape(measure.unit)}</small></span>'
        f'<span class="note">{escape("; ".join(notes))}</span></li>'
    )


def _facts(experiment: Experiment) -> Iterator[tuple[str, str]]:
    model = experiment.config.model
    yield "Speakers", _names(experiment.speakers)
    yield "Parameters, codebook included", _counted(experiment.parameters(), "model/")
    if experiment.prior_config is not None:
        yield "Parameters of the prior", _counted(experiment.parameters("prior/model"), "prior/model/")
    update = "running means" if model.quantizer.update == "ema" else "gradient"
    yield "Codebook", f"updated by {update}, β = {model.quantizer.beta:g}"
    reach = _reach(model.decoder.stack)
    yield "Decoder sees", f"{reach:,} samples, {1000 * reach / model.sample_rate:.0f} ms"
    yield "Training", _trained(experiment.training)
    if experiment.prior_config is not None:
        yield "Training of the prior", _trained(experiment.prior_training)


def _prior(experiment: Experiment) -> str:
    if experiment.prior_config is None:
        return "not made: <code>vqaudio train-prior</code> makes it."
    config = experiment.prior_config.model
    told = "told the speaker" if config.speaker_conditional else "not told the speaker"
    return f"a causal stack of {config.stack.layers} layers that sees the {_reach(config.stack)} units before, {told}."


def _reach(stack: StackConfig) -> int:
    """Return how many past values a stack of kernel 2 sees: the sum of its dilations, and the newest."""
    return sum(stack.dilations) + 1


def _trained(record: Mapping[str, Any]) -> str:
    if not record:
        return "no train.json: not made to the end"
    seconds, steps = record.get("train_seconds"), record.get("steps")
    parts = [f"{steps:,} steps" if steps else "", _duration(seconds) if seconds else ""]
    parts += [str(record.get("precision", "")), str(record.get("machine", ""))]
    return ", ".join(part for part in parts if part)


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def _names(names: list[str], shown: int = 8) -> str:
    if not names:
        return "no model/speakers.txt"
    return f"{len(names)}: {', '.join(names[:shown])}{', …' if len(names) > shown else ''}"


def _counted(parameters: int | None, where: str) -> str:
    return f"no {where}" if parameters is None else f"{parameters / 1e6:.2f} million"


def _output(decoder: DecoderConfig) -> str:
    return f"μ-law {decoder.classes}" if decoder.output == "mulaw" else f"{decoder.mixtures} logistics"


def _khz(rate: int) -> str:
    return f"{rate / 1000:g} kHz"
