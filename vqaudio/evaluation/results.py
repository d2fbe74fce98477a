"""The results of an experiment: `results.json` for programs, `RESULTS.md` for people."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import SupportsFloat

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.report import RESULTS_FILE, render_report
from vqaudio.units.fileset import replace_files

logger = logging.getLogger(__name__)

REPORT_FILE = "RESULTS.md"


def write_results(folder: str | Path, results: Mapping[str, SupportsFloat | None]) -> None:
    """Write `results.json` and `RESULTS.md` into the experiment `folder`, both or neither.

    Args:
        folder: the experiment folder; its `figures/*.png` and the audio below it are linked from the report.
        results: keys of `measures.GROUPS`, and any others, which the report lists by their bare names. None
            stands for what was not measured. A value that is not finite is kept as None, and logged.

    Raises:
        VQAudioError: a value is not a number, or the folder cannot be written.
    """
    values = {key: _plain(key, value) for key, value in results.items()}
    folder = Path(folder)
    figures = json.dumps(values, indent=2, allow_nan=False) + "\n"
    replace_files(folder, {REPORT_FILE: [render_report(folder, values)], RESULTS_FILE: [figures]})


def read_results(folder: str | Path) -> dict[str, float | int | None]:
    """Read `results.json` of an experiment folder; a VQAudioError says what is wrong with it."""
    path = Path(folder) / RESULTS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise VQAudioError(f"{path}: missing: the experiment has not been scored") from error
    except (OSError, ValueError) as error:
        raise VQAudioError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise VQAudioError(f"{path}: holds a {type(content).__name__}, expected an object of figures")
    return content


def _plain(key: str, value: SupportsFloat | None) -> float | int | None:
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
