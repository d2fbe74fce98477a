"""What a file that was changed says, read plainly and by other code than the package's, to compare with what was made
of it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import yaml

from tests.reliability.hostile_records import PART


def says_the_same(action: str, folder: Path, value: Any) -> bool:
    """Return whether `value`, made of the files in `folder` by an action of hostile_reading, is what they say."""
    return {
        "read_vqvae": _model,
        "read_prior": _model,
        "read_config": lambda folder, value: _covers(yaml.safe_load((folder / "train.yaml").read_text()) or {}, value),
        "read_units": _units,
        "read_scores": lambda folder, value: _is_result(_json(folder / "results.json"), value),
        "read_part": _part,
    }[action](folder, value)


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _model(folder: Path, value: Any) -> bool:
    said = yaml.safe_load((folder / "config.yaml").read_text())
    names = [line.strip() for line in (folder / "speakers.txt").read_text(encoding="utf-8").split("\n") if line.strip()]
    known = said.get("units")
    return (
        _covers(said["model"], value["config"])
        and (known is None or "units" not in value["config"] or _covers(known, value["config"]["units"]))
        and [name for line in names for name in line.split()] == value["speakers"]
    )


def _covers(said: Any, made: Any) -> bool:
    """Return whether everything that is said is so in what was made of it; what is not said has its default."""
    if isinstance(said, dict) and isinstance(made, dict):
        return all(key in made and _covers(part, made[key]) for key, part in said.items())
    if isinstance(said, list) and isinstance(made, list):
        return len(said) == len(made) and all(map(_covers, said, made))
    if isinstance(said, str) and isinstance(made, (int, float)):
        return float(said) == made  # YAML reads 1e-4 as text
    return isinstance(said, bool) == isinstance(made, bool) and said == made


def _units(folder: Path, value: Any) -> bool:
    spec = _json(folder / "units.json")
    if spec != value["spec"]:
        return False
    units = _lines(folder / "units.txt")
    if spec["collapsed"]:
        lengths = _lines(folder / "durations.txt")
        units = {
            utt: [unit for unit, length in zip(units[utt], lengths[utt], strict=True) for _ in range(length)]
            for utt in units
        }
    return units == value["units"] and all(0 <= unit < spec["codebook_size"] for utt in units.values() for unit in utt)


def _lines(path: Path) -> dict[str, list[int]]:
    lines = [line.replace("\t", " ").split(" ") for line in path.read_bytes().decode("utf-8").rstrip("\n").split("\n")]
    return {
        utt: [int(field) for field in fields if field] for utt, *fields in ([f for f in line if f] for line in lines)
    }


def _is_result(said: Any, made: Any) -> bool:
    """Return whether figures are those that are said; one that is not finite is not measured."""
    if isinstance(said, dict) and isinstance(made, dict):
        said, made = ({key: part for key, part in side.items() if part != {}} for side in (said, made))
        return said.keys() == made.keys() and all(_is_result(part, made[key]) for key, part in said.items())
    if isinstance(said, float) and not math.isfinite(said):
        return made is None
    if isinstance(said, list):
        return isinstance(made, list) and said == made
    return said == made


def _part(folder: Path, value: Any) -> bool:
    """As results; and what has not the mark is measured anew, which gives nothing."""
    said = _json(folder / PART)
    return value == {} or _is_result(said["results"], value)
