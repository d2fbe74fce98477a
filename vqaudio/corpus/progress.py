"""A progress bar for what may take long: on a terminal alone, and only after some seconds."""

from __future__ import annotations

from collections.abc import Iterable

from tqdm import tqdm

DELAY = 3.0
"""Seconds that pass before a bar is drawn."""


def bar(what: str, total: int, progress: bool, items: Iterable | None = None) -> tqdm:
    """Return a bar over `total` steps, or over `items`, that is drawn only where `progress` is wanted."""
    return tqdm(items, what, total, disable=None if progress else True, delay=DELAY, leave=False)
