"""The results of an experiment: `results.json` for programs, `RESULTS.md` for people."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, SupportsFloat

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.uncertainty import Interval

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
        sweep: figures of unconditional samples, by their temperature as text; "held-out" for recorded speech.
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
            raise VQAudioError(f"{origin}: holds {content!r}, expected an object of figures")
        parts: dict[str, Any] = {name: content.get(name, {}) for name in OBJECTS}
        for name, part in parts.items():
            if not isinstance(part, dict):
                raise VQAudioError(f"{origin}: {name} is {part!r}, expected an object")
            if name in _NESTED:
                parts[name] = {key: cls.from_object(nested, f"{origin}: {name}") for key, nested in part.items()}
        parts["intervals"] = {key: tuple(ends) for key, ends in parts["intervals"].items()}
        figures = {key: _plain(key, value) for key, value in content.items() if key not in OBJECTS}
        return cls(figures, **parts)


_NESTED = {"baselines", "sweep"}
OBJECTS = ("intervals", "not_measured", "baselines", "sweep", "about")
"""Keys of `results.json` that hold no figure."""


def write_results(folder: str | Path, results: Results) -> None:
    """Write `results.json` and `RESULTS.md` into `folder`, both or neither.

    The folder's `figures/*.png` and the audio below it are linked from the report.

    Raises:
        VQAudioError: the folder cannot be written.
    """
    from vqaudio.evaluation.report import REPORT_FILE, render_report
    from vqaudio.units.fileset import replace_files

    folder = Path(folder)
    text = json.dumps(results.to_object(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    replace_files(folder, {REPORT_FILE: [render_report(folder, results)], RESULTS_FILE: [text]})


def read_results(folder: str | Path) -> Results:
    """Read `results.json` of an experiment folder; a VQAudioError says what is wrong with it."""
    path = Path(folder) / RESULTS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise VQAudioError(f"{path}: missing: the experiment has not been scored (`vqaudio score`)") from error
    except (OSError, ValueError) as error:
        raise VQAudioError(f"{path}: cannot be read: {error}") from error
    return Results.from_object(content, path)


def _plain(key: str, value: SupportsFloat | None) -> Figure:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, (str, bytes, bool)):
        raise VQAudioError(f"result {key!r} is {value!r}, expected a number")
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError) as error:  # the last: a tensor of several elements
        raise VQAudioError(f"result {key!r} is {value!r}, expected a number") from error
    if not math.isfinite(number):
        logger.warning("result %s is %s: reported as not measured", key, number)
        return None
    return number
