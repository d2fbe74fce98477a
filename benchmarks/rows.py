"""What a benchmark reports: figures with their units, and the table that they stand in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

COLUMNS = ("path", "ours", "peer", "unit", "times faster", "of the limit", "compared with", "memory")


@dataclass(frozen=True)
class Unit:
    """How a speed is written: as so much work a second, or as the time that one piece of work takes."""

    name: str
    per_second: float | None = None
    """None where more is better. Else these many of the unit of time make a second: 1000 for ms/step."""

    def value(self, speed: float) -> float:
        """Return `speed`, in pieces of work a second, in this unit."""
        return speed if self.per_second is None else self.per_second / speed

    def times_faster(self, ours: float, peer: float) -> float:
        """Return how many times as fast as `peer` is `ours`, both in this unit; above 1 ours is the faster."""
        return ours / peer if self.per_second is None else peer / ours


@dataclass(frozen=True)
class Row:
    """One path through the code, beside a peer and beside what the processor can do.

    What could not be measured is None, and `failed` says why.
    """

    path: str
    unit: str
    peer_name: str
    ours: float | None = None
    """In `unit`: the median of all rounds."""
    peer: float | None = None
    ratio: float | None = None
    """How many times as fast as the peer's is ours."""
    ratio_range: tuple[float, float] | None = None
    """The least and the greatest ratio of one round."""
    of_limit: float | None = None
    """The share of the highest possible speed that ours reaches: 1 is all of it."""
    memory: str = ""
    """What memory the work takes, where that was measured."""
    note: str = ""
    """What was done, where the name of the path does not say it all."""
    failed: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the fields, numbers to four significant digits."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def markdown(rows: Sequence[Row]) -> str:
    """Return the table of `rows`, and below it what there is to say about each."""
    lines = table(rows, COLUMNS)
    remarks = [(row.path, "; ".join(filter(None, (row.failed, row.note)))) for row in rows]
    lines += ["", *(f"- `{path}`: {remark}" for path, remark in remarks if remark)]
    return "\n".join(lines).rstrip() + "\n"


def table(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """Return the lines of a Markdown table with some of COLUMNS."""
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    for row in rows:
        cells = dict(zip(COLUMNS, _cells(row)))
        lines.append(f"| {' | '.join(cells[column] for column in columns)} |")
    return lines


def figure(value: float | None) -> str:
    """Return a number to three significant digits, thousands apart: 18,700; 346; 0.102. None is a dash."""
    if value is None:
        return "–"
    value = float(f"{value:.3g}")
    decimals = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{decimals}f}"


def _cells(row: Row) -> list[str]:
    ratio = figure(row.ratio)
    if row.ratio_range is not None:
        ratio += f" ({figure(row.ratio_range[0])} to {figure(row.ratio_range[1])})"
    share = "–" if row.of_limit is None else f"{100 * row.of_limit:.0f}%"
    return [row.path, figure(row.ours), figure(row.peer), row.unit, ratio, share, row.peer_name, row.memory]


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(v) for v in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
