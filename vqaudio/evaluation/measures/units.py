"""What units are, what they cost, and whether they stay the same."""

from __future__ import annotations

from vqaudio.evaluation.measures.measure import Measure, exact_percent, number, percent

UNITS = (
    Measure("codebook_size", "codes", "codes", "", "distinct units that the model can use", number(0)),
    Measure("unit_rate_hz", "unit rate", "units/s", "", "units that a second of audio becomes", number(1)),
    Measure(
        "code_usage",
        "codes in use",
        "%",
        "higher",
        "codes that occur at least once; the others are dead weight",
        percent,
    ),
    Measure(
        "code_perplexity",
        "perplexity",
        "codes",
        "higher",
        "number of equally frequent codes that would be as varied; the number of codes is the limit",
        number(1),
    ),
    Measure(
        "bitrate_nominal",
        "bitrate, nominal",
        "bits/s",
        "lower",
        "to send the units with a fixed length each: unit rate × log2 of the number of codes",
        number(0),
    ),
    Measure(
        "bitrate_entropy",
        "bitrate, entropy",
        "bits/s",
        "lower",
        "to send them when frequent units are shorter: unit rate × entropy (the ZeroSpeech bitrate)",
        number(0),
    ),
    Measure(
        "bitrate_collapsed",
        "… runs collapsed",
        "bits/s",
        "lower",
        "the same when a run of one unit is sent as one, without its length (the timing is lost)",
        number(0),
    ),
    Measure(
        "bitrate_collapsed_durations",
        "… and their lengths",
        "bits/s",
        "lower",
        "the same with the length of each run, given its unit: nothing is lost",
        number(0),
    ),
    Measure(
        "bitrate_prior",
        "bitrate, prior",
        "bits/s",
        "lower",
        "to send them by an arithmetic coder with the learned prior, on held-out units",
        number(0),
    ),
    Measure(
        "batch_agreement",
        "same units in a batch",
        "%",
        "higher",
        "units that stay the same when the utterance is encoded in a padded batch; 100 is right",
        exact_percent,
    ),
    Measure(
        "chunk_agreement",
        "same units in chunks",
        "%",
        "higher",
        "units that stay the same when the utterance is encoded piece by piece; 100 is right",
        exact_percent,
    ),
)
