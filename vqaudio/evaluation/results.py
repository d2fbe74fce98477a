"""The results of an experiment: `results.json` for programs, `RESULTS.md` for people."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, SupportsFloat

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.uncertainty import Interval
from vqaudio.untrusted import read_json, shown

logger = logging.getLogger(__name__)

RESULTS_FILE = "results.json"
Figure = float | int | None


@dataclass
class Results:
    """Figures by their keys, and what there is to say of them.

    Attributes:
        figures: keys of `measures.MEASURES`, and any others; None for what was not measured.
        intervals: of some of the figures, their 95% bootstrap intervals.
        not_measured: of the figures that are None, why.
        baselines: the same figures of other units of the same audio, by the name of what makes them.
        sweep: figures of unconditional samples, by their temperature as text; "shuffled" for
            speech from units in no order, "held-out" for recorded speech.
        about: when, where, with what and how it was measured, as text.
    """

    figures: dict[str, Figure] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    baselines: dict[str, Results] = field(default_factory=dict)
    sweep: dict[str, Results] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, value: SupportsFloat | None, interval: Interval | None = None) -> None:
        """Take in a figure. A value that is not finite becomes None, and is logged.

        Raises VQAudioError for what is not a number.
        """
        self.figures[key] = figure = _plain(key, value)
        self.not_measured.pop(key, None)
        if value is not None and figure is None:
            self.not_measured[key] = f"it came out as {float(value)}"
        if interval is not None and figure is not None:
            self.intervals[key] = (float(interval[0]), float(interval[1]))

    def put_all(self, figures: Mapping[str, SupportsFloat | None]) -> None:
        """Take in figures without intervals."""
        for key, value in figures.items():
            self.put(key, value)

    def lack(self, keys: Iterable[str], reason: str) -> None:
        """Note that the figures `keys` are not measured, and why; those that are there already stay."""
        for key in keys:
            if self.figures.get(key) is None:
                self.figures[key] = None
                self.not_measured[key] = reason

    @contextmanager
    def part(self, *keys: str) -> Iterator[None]:
        """Within the block, a NotMeasured becomes the reason for which `keys` have no figures."""
        try:
            yield
        except NotMeasured as error:
            logger.debug("%s: not measured: %s", ", ".join(keys), error)
            self.lack(keys, str(error))

    def merge(self, other: Results) -> None:
        """Take in all that `other` holds; what both hold is taken from `other`."""
        for name in OBJECTS:
            getattr(self, name).update(getattr(other, name))
        self.figures |= other.figures

    def to_object(self) -> dict[str, Any]:
        """Return what `results.json` holds: figures by their keys, and an object for each other attribute in use."""
        parts = {name: getattr(self, name) for name in OBJECTS if getattr(self, name)}
        for name in _NESTED & parts.keys():
            parts[name] = {key: nested.to_object() for key, nested in parts[name].items()}
        return {**self.figures, **parts}

    @classmethod
    def from_object(cls, content: Any, origin: str | Path = RESULTS_FILE) -> Results:
        """Take in what `to_object` returned, read from `origin`; a VQAudioError says what breaks the form."""
        if not isinstance(content, dict):
            raise VQAudioError(f"{origin}: holds {shown(content)}, expected an object of figures")
        parts: dict[str, Any] = {name: content.get(name, {}) for name in OBJECTS}
        for name, part in parts.items():
            if not isinstance(part, dict):
                raise VQAudioError(f"{origin}: {name} is {shown(part)}, expected an object")
            take = cls._take_nested if name in _NESTED else _TAKE[name]
            parts[name] = {key: take(value, f"{origin}: {name}: {shown(key)}") for key, value in part.items()}
        try:
            figures = {key: _plain(key, value) for key, value in content.items() if key not in OBJECTS}
        except VQAudioError as error:
            raise VQAudioError(f"{origin}: {error}") from error
        return cls(figures, **parts)

    @classmethod
    def _take_nested(cls, content: Any, origin: str) -> Results:
        inner = _NESTED & content.keys() if isinstance(content, dict) else ()
        if inner:
            raise VQAudioError(f"{origin}: has {', '.join(sorted(inner))} of its own, expected figures")
        return cls.from_object(content, origin)


_MOST = 10**300
"""Of a figure: what a float can hold."""
_NESTED = {"baselines", "sweep"}
OBJECTS = ("intervals", "not_measured", "baselines", "sweep", "about")
"""Keys of `results.json` that hold no figure."""


def write_results(folder: str | Path, results: Results) -> None:
    """Write `results.json` and `RESULTS.md` into `folder`, both or neither.

    The folder's `figures/*.png` and the audio below it are linked from the report.

    Raises:
        VQAudioError: the folder cannot be written.
    """
    from vqaudio.audio.fileset import replace_files
    from vqaudio.evaluation.report import REPORT_FILE, render_report

    folder = Path(folder)
    text = json.dumps(results.to_object(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    replace_files(folder, {REPORT_FILE: [render_report(folder, results)], RESULTS_FILE: [text]})


def read_results(folder: str | Path) -> Results:
    """Read `results.json` of an experiment folder; a VQAudioError says what is wrong with it."""
    path = Path(folder) / RESULTS_FILE
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise VQAudioError(f"{path}: missing: the experiment has not been scored (`vqaudio score`)") from error
    except (OSError, ValueError) as error:
        raise VQAudioError(f"{path}: cannot be read: {error}") from error
    return Results.from_object(content, path)


def _plain(key: str, value: SupportsFloat | None) -> Figure:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > _MOST:
            raise VQAudioError(f"result {shown(key)} is {shown(value)}, expected a number of at most {_MOST}")
        return value
    if isinstance(value, (str, bytes, bool)):
        raise VQAudioError(f"result {shown(key)} is {shown(value)}, expected a number")
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError) as error:  # the last: a tensor of several elements
        raise VQAudioError(f"result {shown(key)} is {shown(value)}, expected a number") from error
    if not math.isfinite(number):
        logger.warning("result %s is %s: reported as not measured", key, number)
        return None
    return number


def _interval(value: Any, origin: str) -> Interval:
    ends = value if isinstance(value, list) else []
    if len(ends) != 2 or not all(isinstance(end, (int, float)) and abs(end) <= _MOST for end in ends):  # NaN is not
        raise VQAudioError(f"{origin} is {shown(value)}, expected its two ends")
    return float(ends[0]), float(ends[1])


def _text(value: Any, origin: str) -> str:
    if not isinstance(value, str):
        raise VQAudioError(f"{origin} is {shown(value)}, expected text")
    return value


_TAKE: Mapping[str, Callable[[Any, str], Any]] = {"intervals": _interval, "not_measured": _text, "about": _text}
