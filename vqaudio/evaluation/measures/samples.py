"""What unconditional samples are like, beside held-out speech."""

from __future__ import annotations

from vqaudio.evaluation.measures.measure import Measure, number, percent

SAMPLES = (
    Measure(
        "self_bleu",
        "self-BLEU",
        "share",
        "",
        "likeness of the samples to one another (BLEU over units, runs collapsed): high is monotonous",
        number(3),
    ),
    Measure(
        "auto_bleu",
        "auto-BLEU",
        "share",
        "",
        "pairs of units that recur within a sample: high is repetitive",
        number(3),
    ),
    Measure(
        "vert",
        "VERT",
        "share",
        "",
        "geometric mean of the two (Lakhotia et al. 2021); near held-out speech is right",
        number(3),
    ),
    Measure(
        "copied_share",
        "copied",
        "%",
        "",
        "units in long runs that occur in the training set: near held-out speech is right, more is recital",
        percent,
    ),
    Measure(
        "longest_copy_units",
        "longest copy",
        "units",
        "",
        "longest run of units, runs of one unit collapsed, that a sample and the training set share",
        number(0),
    ),
    Measure(
        "longest_copy_seconds",
        "… in time",
        "s",
        "",
        "longest stretch of a sample that is made of such a run; silence can be long",
        number(2),
    ),
    Measure("loop_share", "loops", "%", "lower", "units within a cycle that repeats itself at once", percent),
    Measure("length_mean_seconds", "length", "s", "", "mean length of a sample", number(2)),
    Measure(
        "length_distance_seconds",
        "distance of lengths",
        "s",
        "lower",
        "between the distributions of lengths of samples and of held-out speech (Wasserstein)",
        number(2),
    ),
    Measure(
        "ended_share",
        "ended by themselves",
        "%",
        "higher",
        "samples that the prior ended before the longest allowed length",
        percent,
    ),
    Measure(
        "speech_share",
        "speech",
        "%",
        "",
        "share of the audio that a detector of voice activity takes for speech",
        percent,
    ),
    Measure(
        "asr_confidence",
        "recogniser's confidence",
        "share",
        "higher",
        "geometric mean probability of what a recogniser writes down",
        number(3),
    ),
    Measure(
        "sample_mos", "predicted opinion", "MOS", "higher", "mean opinion that DistillMOS predicts, 1 to 5", number(2)
    ),
)
