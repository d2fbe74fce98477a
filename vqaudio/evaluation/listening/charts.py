"""Line charts as SVG and HTML: lines stretch with the page, letters keep their size.

Lines are drawn in a square of 0 to 1000 that is stretched to the plot (strokes are not); ticks are HTML, placed in
percent. So a chart is as readable on a telephone as on a desk. Colours are CSS variables, for light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vqaudio.evaluation.listening.markup import as_json, escape

_SIDE = 1000.0


class Line(NamedTuple):
    """A curve of a chart: finite x and y of equal shape (N,), x rising. Even a single point is drawn."""

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: int = 0
    """Which of the page's colours for curves: 0 to 4."""
    dashed: bool = False


class Axis(NamedTuple):
    """An axis: what it measures, its ends, and where its ticks are; on a logarithmic one, ends are above 0."""

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, values: np.ndarray | float) -> np.ndarray:
        """Return where values lie between the axis's ends, 0 to 1."""
        low, high, values = self.low, self.high, np.asarray(values, dtype=np.float64)
        if self.log:
            low, high, values = math.log(low), math.log(high), np.log(np.maximum(values, low))
        return (values - low) / (high - low)


def linear_axis(label: str, values: Sequence[float] | np.ndarray, wanted: int = 5, from_zero: bool = False) -> Axis:
    """Return an axis over all `values`, its ends on round numbers."""
    low, high = float(np.min(values)), float(np.max(values))
    low = min(low, 0.0) if from_zero else low
    high = high if high > low else low + (abs(low) or 1.0)
    step = _round_step((high - low) / wanted)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(step * i, 12) for i in range(first, last + 1))
    return Axis(label, ticks[0], ticks[-1], ticks)


def log_axis(label: str, values: np.ndarray) -> Axis:
    """Return a logarithmic axis over all positive `values`, with ticks at powers of ten."""
    positive = np.asarray(values)[np.asarray(values) > 0]
    first, last = math.floor(math.log10(positive.min())), math.ceil(math.log10(positive.max()))
    last = max(last, first + 1)
    every = max(1, math.ceil((last - first) / 5))
    return Axis(label, 10.0**first, 10.0**last, tuple(10.0**e for e in range(first, last + 1, every)), log=True)


def whole_axis(label: str, low: float, high: float) -> Axis:
    """Return an axis that ends where the data do, as axes of steps and ranks should."""
    high = high if high > low else low + 1.0
    step = _round_step((high - low) / 4)
    return Axis(label, low, high, tuple(step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)))


def line_chart(title: str, lines: Sequence[Line], x: Axis, y: Axis, summary: str, heading: str = "h4") -> str:
    """Return a chart as a figure. `summary` says in words what it shows; `heading` is the tag of the title."""
    keys = "".join(
        f'<li class="key c{line.colour}{" dashed" * line.dashed}">{escape(line.name)}</li>' for line in lines
    )
    legend = f'<ul class="legend">{keys}</ul>' if len(lines) > 1 else ""
    data = [[line.name, _numbers(line.x), _numbers(line.y)] for line in lines]
    ends = [x.low, x.high, int(x.log)]
    label = f"{title}. {summary} Arrow keys read the values."
    return (
        f'<figure class="chart"><figcaption><{heading}>{escape(title)}</{heading}>{legend}</figcaption>'
        f'<div class="plot-frame"><span class="y-label">{escape(y.label)}</span>'
        f'<div class="y-ticks" aria-hidden="true">{_ticks(y, "bottom")}</div>'
        f'<div class="plot" tabindex="0" role="img" aria-label="{escape(label)}" data-lines="{as_json(data)}" '
        f'data-ends="{as_json(ends)}" data-x="{escape(x.label)}">{_drawing(lines, x, y)}</div>'
        f'<div class="x-ticks" aria-hidden="true">{_ticks(x, "left")}</div>'
        f'<span class="x-label">{escape(x.label)}</span></div>'
        f'<p class="readout" aria-live="polite">{escape(summary)}</p></figure>'
    )


def tick_text(value: float) -> str:
    """Return a number as short as it can be without loss: 12,000 or 0.25 or 10⁻⁵."""
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        exponent = math.floor(math.log10(abs(value)) + 1e-9)
        mantissa = value / 10.0**exponent
        power = "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return power if math.isclose(mantissa, 1.0) else f"{mantissa:.3g}·{power}"
    return f"{value:,.10g}".replace("-", "−")


def value_text(value: float) -> str:
    """Return a value with four digits, zeros at its end included: those that were measured."""
    return f"{value:#.4g}".rstrip(".").replace("-", "−") if 1e-4 <= abs(value) < 1e4 else tick_text(round(value, 6))


def _drawing(lines: Sequence[Line], x: Axis, y: Axis) -> str:
    grid = "".join(f'<line class="grid" x1="0" x2="{_SIDE:g}" y1="{v}" y2="{v}"/>' for v in _flipped(y, y.ticks))
    curves = "".join(_curve(line, x, y) for line in lines)
    return (
        f'<svg viewBox="0 0 {_SIDE:g} {_SIDE:g}" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f"{grid}{curves}</svg>"
    )


def _curve(line: Line, x: Axis, y: Axis) -> str:
    points = " ".join(f"{a:.1f},{b}" for a, b in zip(_SIDE * x.place(line.x), _flipped(y, line.y)))
    points = f"{points} {points}" if len(line.x) == 1 else points  # a round cap shows a point
    return f'<polyline class="curve c{line.colour}{" dashed" * line.dashed}" points="{points}"/>'


def _flipped(y: Axis, values: Sequence[float] | np.ndarray) -> list[str]:
    return [f"{value:.1f}" for value in _SIDE * (1.0 - y.place(np.asarray(values)))]


def _ticks(axis: Axis, side: str) -> str:
    places = 100 * axis.place(np.asarray(axis.ticks))
    return "".join(
        f'<span style="{side}:{p:.2f}%"{" class=last" if p > 92 else ""}>{tick_text(t)}</span>'
        for p, t in zip(places, axis.ticks)
    )


def _numbers(values: np.ndarray) -> list[float | int]:
    rounded = [float(f"{value:.5g}") if abs(value) < 1e4 else float(round(value)) for value in values.tolist()]
    return [int(value) if value.is_integer() else value for value in rounded]


def _round_step(step: float) -> float:
    """Return the least of 1, 2, 2.5, 5 times a power of ten that is not far below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= 0.9 * step)
