"""The figures of `results.json`: the name, unit, meaning and good direction of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One figure. `better` is "higher", "lower" or "" where neither is; `show` turns the value into text."""

    key: str
    label: str
    unit: str
    better: str
    meaning: str
    show: Callable[[float], str]


def _number(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{digits}f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _fine_percent(value: float) -> str:
    return f"{100 * value:.4f}"


def _exact_percent(value: float) -> str:
    """Show 100 for equality alone: one differing unit in a million must not round away."""
    if value == 1:
        return "100"
    return f"{min(100 * value, 99.9999):.4f}"


UNITS = (
    Measure("codebook_size", "codes", "codes", "", "distinct units that the model can use", _number(0)),
    Measure("unit_rate_hz", "unit rate", "units/s", "", "units that a second of audio becomes", _number(1)),
    Measure(
        "code_usage",
        "codes in use",
        "%",
        "higher",
        "codes that occur at least once in the units of the training set; the others are dead weight",
        _percent,
    ),
    Measure(
        "code_perplexity",
        "perplexity",
        "codes",
        "higher",
        "number of equally frequent codes that would be as varied (training set); the number of codes is the limit",
        _number(1),
    ),
    Measure(
        "bitrate_nominal",
        "bitrate, nominal",
        "bits/s",
        "lower",
        "to send the units with a fixed length each: unit rate × log2 of the number of codes",
        _number(0),
    ),
    Measure(
        "bitrate_entropy",
        "bitrate, entropy",
        "bits/s",
        "lower",
        "to send them when frequent units are shorter: unit rate × entropy (the ZeroSpeech bitrate)",
        _number(0),
    ),
    Measure(
        "batch_agreement",
        "same units in a batch",
        "%",
        "higher",
        "units that stay the same when the utterance is encoded in a padded batch; 100 is right",
        _exact_percent,
    ),
    Measure(
        "chunk_agreement",
        "same units in chunks",
        "%",
        "higher",
        "units that stay the same when the utterance is encoded piece by piece; 100 is right",
        _exact_percent,
    ),
)

RECONSTRUCTION = (
    Measure(
        "bits_per_sample",
        "bits per sample",
        "bits",
        "lower",
        "surprise of the decoder at each next sample of held-out audio, given the units of that audio",
        _number(3),
    ),
    Measure(
        "bits_per_sample_shuffled_units",
        "… units shuffled",
        "bits",
        "",
        "the same with the utterance's units out of order; the further above the line before, the better",
        _number(3),
    ),
    Measure(
        "bits_per_sample_zero_units",
        "… units silenced",
        "bits",
        "",
        "the same with the units replaced by zeros: what the decoder knows from past samples alone",
        _number(3),
    ),
    Measure(
        "log_mel_distance_db",
        "log-mel distance",
        "dB",
        "lower",
        "mean difference between the spectrograms of recording and reconstruction; 0 is identical",
        _number(2),
    ),
    Measure(
        "level_natural_dbfs",
        "level, recordings",
        "dBFS",
        "",
        "loudness (RMS) of the recordings, against full scale",
        _number(1),
    ),
    Measure(
        "level_reconstructed_dbfs",
        "level, reconstructions",
        "dBFS",
        "",
        "the same of the reconstructions; near the recordings is right",
        _number(1),
    ),
    Measure(
        "silence_share_natural",
        "silence, recordings",
        "%",
        "",
        "20 ms frames below -50 dBFS in the recordings",
        _percent,
    ),
    Measure(
        "silence_share_reconstructed",
        "silence, reconstructions",
        "%",
        "",
        "the same in the reconstructions: more means that speech is missing, less means noise in the pauses",
        _percent,
    ),
    Measure(
        "clipped_share_natural",
        "clipped, recordings",
        "%",
        "",
        "samples at full scale in the recordings",
        _fine_percent,
    ),
    Measure(
        "clipped_share_reconstructed",
        "clipped, reconstructions",
        "%",
        "lower",
        "the same in the reconstructions; heard as crackling",
        _fine_percent,
    ),
)

PRIOR = (
    Measure(
        "prior_bits_per_unit",
        "prior",
        "bits/unit",
        "lower",
        "surprise of the learned prior at each next held-out unit, given those before it",
        _number(3),
    ),
    Measure(
        "unigram_bits_per_unit",
        "without context",
        "bits/unit",
        "",
        "the same for a model that knows only how frequent each unit is: the yardstick",
        _number(3),
    ),
    Measure(
        "prior_end_bits_per_utterance",
        "end of utterance",
        "bits",
        "lower",
        "surprise of the prior at the place where an utterance ends; not in the bits per unit",
        _number(2),
    ),
)

SPEED = (
    Measure(
        "generation_rtf",
        "generation",
        "s/s",
        "lower",
        "real-time factor: seconds of computing per second of audio; below 1 it keeps up with listening",
        _number(3),
    ),
    Measure("train_seconds", "training", "s", "lower", "wall-clock time of training the VQ-VAE", _number(0)),
    Measure(
        "train_samples_per_second",
        "training speed",
        "samples/s",
        "higher",
        "samples of waveform that training took in per second",
        _number(0),
    ),
)

GROUPS = {"Units": UNITS, "Reconstruction": RECONSTRUCTION, "Prior": PRIOR, "Speed": SPEED}
"""The tables of the report, in their order."""

SCOPE = ("heldout_utterances", "heldout_seconds")
"""How many utterances, and seconds of audio, the figures were measured on: the report says it in its first line."""
