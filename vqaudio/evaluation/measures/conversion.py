"""Whether voice conversion gives the words in the other voice."""

from __future__ import annotations

from vqaudio.evaluation.measures.measure import Measure, number, percent

CONVERSION = (
    Measure(
        "conversion_similarity_target",
        "voice: target",
        "cosine",
        "higher",
        "likeness of a conversion to recordings of the speaker whose voice it should have (Resemblyzer)",
        number(3),
    ),
    Measure(
        "conversion_similarity_source",
        "voice: source",
        "cosine",
        "lower",
        "likeness to the speaker who said it",
        number(3),
    ),
    Measure(
        "conversion_over_source_share",
        "target over source",
        "%",
        "higher",
        "conversions that are liker to the target than to the speaker who said it; chance 50%",
        percent,
    ),
    Measure(
        "conversion_target_share",
        "taken for the target",
        "%",
        "higher",
        "conversions that are liker to the target than to any other speaker",
        percent,
    ),
    Measure(
        "conversion_wer",
        "word errors",
        "%",
        "lower",
        "words that a recogniser gets wrong in the conversions, against the transcripts",
        percent,
    ),
    Measure(
        "conversion_wer_natural", "… recordings", "%", "", "the same in the recordings that were converted", percent
    ),
    Measure("conversion_cer", "character errors", "%", "lower", "the same as word errors, by characters", percent),
    Measure(
        "conversion_mos",
        "predicted opinion",
        "MOS",
        "higher",
        "mean opinion that DistillMOS predicts for the conversions, 1 to 5",
        number(2),
    ),
)
