"""The curves of a training, from the event files that it wrote for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

MOST_POINTS = 300


class Curve(NamedTuple):
    """Values (N,) over steps (N,), N at least 1 and at most MOST_POINTS."""

    steps: np.ndarray
    values: np.ndarray


def read_curves(folder: Path) -> Mapping[str, Curve]:
    """Return the scalars of a folder of event files by their names; {} where there is no such folder or no scalar.

    Values that are not finite are left out. Of more than 300 points, the means of equal groups are kept, each at
    its group's last step, and the very last point as it is.
    """
    if not any(folder.glob("events.out.tfevents.*")):
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = {"scalars": 0}
    events = EventAccumulator(str(folder), size_guidance=everything | {"images": 1, "audio": 1, "histograms": 1})
    events.Reload()
    curves = {name: _curve(events.Scalars(name)) for name in events.Tags()["scalars"]}
    return {name: curve for name, curve in curves.items() if len(curve.steps)}


def _curve(events: list) -> Curve:
    points = np.array([(event.step, event.value) for event in events if np.isfinite(event.value)], dtype=np.float64)
    if not len(points):
        return Curve(np.zeros(0), np.zeros(0))
    steps, first = np.unique(points[::-1, 0], return_index=True)  # of a step logged twice, the later one
    return downsample(Curve(steps, points[::-1][first, 1]))


def downsample(curve: Curve, most: int = MOST_POINTS) -> Curve:
    """Return a curve of at most `most` points."""
    if len(curve.steps) <= most:
        return curve
    groups = np.array_split(np.arange(len(curve.steps) - 1), most - 1)
    steps = [curve.steps[group[-1]] for group in groups] + [curve.steps[-1]]
    values = [curve.values[group].mean() for group in groups] + [curve.values[-1]]
    return Curve(np.array(steps), np.array(values))
