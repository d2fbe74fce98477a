"""What a figure is called, what it is measured in, and how it is shown."""

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


def number(digits: int) -> Callable[[float], str]:
    """Show so many digits after the point."""
    return lambda value: f"{value:,.{digits}f}"


def percent(value: float) -> str:
    """Show a share in percent."""
    return f"{100 * value:.1f}"


def fine_percent(value: float) -> str:
    """Show a small share in percent."""
    return f"{100 * value:.4f}"


def exact_percent(value: float) -> str:
    """Show 100 for equality alone: one differing unit in a million must not round away."""
    if value == 1:
        return "100"
    return f"{min(100 * value, 99.9999):.4f}"
