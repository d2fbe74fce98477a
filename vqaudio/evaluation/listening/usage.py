"""The section on the codes: how often each occurs in the training set."""

from __future__ import annotations

import numpy as np

from vqaudio.evaluation.listening.charts import Line, line_chart, log_axis, whole_axis
from vqaudio.evaluation.listening.experiment import Experiment
from vqaudio.evaluation.listening.markup import absent, section
from vqaudio.evaluation.unit_statistics import code_perplexity


def usage_section(experiment: Experiment) -> str:
    """Return the codes' frequencies over their ranks, beside a codebook used evenly."""
    counts = experiment.train_counts
    title, lead = (
        "How the codes are used",
        "Each code's share of the training set, from the commonest code to the rarest.",
    )
    if counts is None:
        how = "vqaudio extract --model … --data_dir … --out …/units/train"
        return section("codes", title, absent("units of the training set (units/train)", how))
    return section(
        "codes", title, f'<div class="charts wide">{usage_chart(counts)}</div>{_commonest(experiment)}', lead=lead
    )


def usage_chart(counts: np.ndarray) -> str:
    """Return the chart of counts (K,), on a logarithmic axis; codes that do not occur have no place on it."""
    used = np.sort(counts[counts > 0])[::-1]
    shares, codes = used / used.sum(), len(counts)
    ranks = np.arange(1, len(used) + 1)
    keep = np.unique(np.round(np.linspace(0, len(used) - 1, min(len(used), 300))).astype(int))
    even = Line("all codes alike", np.array([1.0, codes]), np.full(2, 1.0 / codes), colour=2, dashed=True)
    lines = [Line("this codebook", ranks[keep].astype(float), shares[keep], colour=0), even]
    half = int(np.searchsorted(np.cumsum(shares), 0.5)) + 1
    dead = codes - len(used)
    most = f"{half:,} code{'s' * (half != 1)}"
    rest = f"{dead:,} do not occur" if dead else "every code occurs"
    perplexity = f"Perplexity {code_perplexity(counts):,.1f} of {codes:,} codes"
    summary = f"{perplexity}; half of all units are of {most}; {rest}."
    y = log_axis("share of units", np.concatenate([shares, [1.0 / codes]]))
    return line_chart(
        "Code frequencies by rank", lines, whole_axis("rank", 1.0, float(codes)), y, summary, heading="h3"
    )


def _commonest(experiment: Experiment, shown: int = 12) -> str:
    counts = experiment.train_counts
    order = np.argsort(-counts, kind="stable")[:shown]
    items = "".join(
        f'<li><span class="swatch" style="background:{experiment.colours[code]}"></span>{code}'
        f"<small>{100 * counts[code] / counts.sum():.2f} %</small></li>"
        for code in order
        if counts[code]
    )
    words = "The commonest codes, in the colours that they have in all strips:"
    return f'<p class="small">{words}</p><ul class="swatches">{items}</ul>'
