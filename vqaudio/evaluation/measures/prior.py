"""How well the learned prior predicts units, against models that see less."""

from __future__ import annotations

from vqaudio.evaluation.measures.measure import Measure, number

PRIOR = (
    Measure(
        "prior_bits_per_unit",
        "prior",
        "bits/unit",
        "lower",
        "surprise of the learned prior at each next held-out unit, given those before it",
        number(3),
    ),
    Measure(
        "prior_bits_uniform",
        "… all units alike",
        "bits/unit",
        "",
        "log2 of the number of codes: what knowing nothing costs",
        number(3),
    ),
    Measure(
        "unigram_bits_per_unit",
        "without context",
        "bits/unit",
        "",
        "the same for a model that knows only how frequent each unit is: the yardstick",
        number(3),
    ),
    Measure(
        "prior_bits_unigram",
        "… unigram",
        "bits/unit",
        "",
        "the line before, under the name that goes with the next ones",
        number(3),
    ),
    Measure(
        "prior_bits_bigram",
        "… bigram",
        "bits/unit",
        "",
        "the same for a model that knows one unit before (interpolated Kneser-Ney)",
        number(3),
    ),
    Measure(
        "prior_bits_trigram",
        "… trigram",
        "bits/unit",
        "",
        "the same for a model that knows two units before",
        number(3),
    ),
    Measure(
        "prior_end_bits_per_utterance",
        "end of utterance",
        "bits",
        "lower",
        "surprise of the prior at the place where an utterance ends; not in the bits per unit",
        number(2),
    ),
)
