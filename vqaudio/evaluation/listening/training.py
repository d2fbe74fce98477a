"""The section on training: curves of the VQ-VAE and of the prior."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from vqaudio.evaluation.listening.charts import Line, line_chart, linear_axis, value_text, whole_axis
from vqaudio.evaluation.listening.curves import Curve, read_curves
from vqaudio.evaluation.listening.experiment import Experiment
from vqaudio.evaluation.listening.markup import absent, section


class Plot(NamedTuple):
    """A chart of scalars: its title, the label of its values, and the names of scalars as the legend calls them."""

    title: str
    unit: str
    scalars: dict[str, str]
    from_zero: bool = False


VQVAE_PLOTS = (
    Plot(
        "Surprise at the next sample",
        "bits per sample",
        {
            "dev/bits_per_sample_zero": "held out, units silenced",
            "dev/bits_per_sample_shuffled": "held out, units shuffled",
            "loss/bits_per_sample": "training",
            "dev/bits_per_sample_true": "held out, with its units",
        },
    ),
    Plot("Perplexity of the codes", "codes", {"codebook/perplexity": "perplexity"}, from_zero=True),
    Plot("Codes in use", "share of codes", {"codebook/usage": "codes in use"}, from_zero=True),
    Plot("Distance to the codebook", "loss", {"loss/vq": "quantizer's terms"}, from_zero=True),
    Plot("Frames predicted from the units", "log-mel L1", {"loss/mel": "training"}, from_zero=True),
)
PRIOR_PLOTS = (
    Plot(
        "Surprise at the next unit",
        "bits per unit",
        {"loss/bits_per_unit": "training", "dev/bits_per_unit": "held out"},
    ),
    Plot("Surprise at the end of an utterance", "bits", {"dev/end_bits_per_utterance": "held out"}, from_zero=True),
)


def training_section(experiment: Experiment) -> str:
    """Return the charts of both trainings; what left no events is named."""
    parts = [
        _charts("VQ-VAE", read_curves(experiment.path / "tensorboard"), VQVAE_PLOTS, "vqaudio train"),
        _charts("Prior", read_curves(experiment.path / "prior" / "tensorboard"), PRIOR_PLOTS, "vqaudio train-prior"),
    ]
    lead = "Held-out curves are of the dev set. The gap between right and shuffled units is what the decoder owes them."
    return section("training", "Training", *parts, lead=lead)


def _charts(title: str, curves: Mapping[str, Curve], plots: tuple[Plot, ...], command: str) -> str:
    drawn = "".join(_drawn(curves, plots))
    body = f'<div class="charts">{drawn}</div>' if drawn else absent(f"training curves of the {title}", command)
    return f"<h3>{title}</h3>{body}"


def _drawn(curves: Mapping[str, Curve], plots: tuple[Plot, ...]) -> Iterator[str]:
    for plot in plots:
        found = {name: curves[name] for name in plot.scalars if name in curves}
        if found and any(np.any(curve.values != 0) for curve in found.values()):
            yield _chart(plot, found)


def _chart(plot: Plot, curves: Mapping[str, Curve]) -> str:
    lines = [
        Line(plot.scalars[name], curve.steps, curve.values, _colour(name), dashed=name.endswith(("_zero", "_shuffled")))
        for name, curve in curves.items()
    ]
    steps = np.concatenate([line.x for line in lines])
    values = np.concatenate([line.y for line in lines])
    x, y = whole_axis("step", 0.0, float(steps.max())), linear_axis(plot.unit, values, from_zero=plot.from_zero)
    ends = "; ".join(f"{line.name} {value_text(line.y[-1])}" for line in lines)
    return line_chart(plot.title, lines, x, y, f"At the end, in {plot.unit}: {ends}.")


def _colour(scalar: str) -> int:
    return {
        "dev/bits_per_sample_zero": 3,
        "dev/bits_per_sample_shuffled": 2,
        "loss/bits_per_sample": 1,
        "loss/bits_per_unit": 1,
    }.get(scalar, 0)
