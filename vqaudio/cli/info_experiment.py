"""What `vqaudio info` says of an experiment folder: its training's state, how far, how fast, and what would resume."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqaudio.cli.info import Facts
from vqaudio.errors import VQAudioError
from vqaudio.training.checkpoint_names import checkpoint_paths, checkpoint_step
from vqaudio.training.run_state import RunState, ago, far, run_state, time_left, whole_checkpoint
from vqaudio.untrusted import read_json


def is_experiment(path: Path) -> bool:
    """Whether a folder is one that a training writes."""
    return (path / "train.log").is_file() or (path / "checkpoints").is_dir()


def experiment_facts(path: Path) -> Facts:
    """Yield facts about an experiment folder: its training, its prior's, and what was made with the model."""
    state = run_state(path)
    yield from _run_facts(path, state)
    yield from _record(path / "train.json")
    if state.kind == "done":
        yield "model", path / "model"
        units = sorted(p.parent.name for p in path.glob("units/*/units.json"))
        yield "units", f"{len(units)}: {', '.join(units)}" if units else None
    if is_experiment(path / "prior"):
        for name, value in _run_facts(path / "prior", run_state(path / "prior")):
            yield f"prior: {name}", value
    yield from _record(path / "results.json")


def _run_facts(path: Path, state: RunState) -> Facts:
    beat = state.beat
    yield "state", state.words
    if beat:
        yield "step", far(beat)
        if state.at_work:
            yield from _pace(beat)
        yield from _scores(beat)
    if state.at_work:
        newest = next(iter(checkpoint_paths(path / "checkpoints")), None)
        yield "last checkpoint", newest and f"{newest.name}, {_age(newest)} old"
    elif state.kind != "done":
        yield "would resume", _resumption(path, beat)


def _pace(beat: Mapping[str, Any]) -> Facts:
    speed = beat.get("items_per_second")
    if isinstance(speed, (int, float)):
        yield f"{beat.get('items', 'items')} per second", round(speed)
    yield "time left", time_left(beat)


def _scores(beat: Mapping[str, Any]) -> Facts:
    for name, key in (("dev score", "score"), ("best dev score", "best")):
        found = beat.get(key)
        if isinstance(found, Mapping) and isinstance(found.get("value"), (int, float)):
            kept = f", kept as {found['checkpoint']}" if "checkpoint" in found else ""
            yield name, f"{found['value']:.4g} ({found.get('score')}) after step {found.get('step')}{kept}"


def _resumption(path: Path, beat: Mapping[str, Any]) -> str:
    """Return what the same command would do."""
    whole, damaged = whole_checkpoint(path)
    passed = f"; damaged and passed over: {', '.join(p.name for p in damaged)}" if damaged else ""
    if whole is None and damaged:
        return f"nothing{passed}. Remove them, and the same command begins anew"
    if whole is None:
        return "nothing: there is no checkpoint yet, and the same command begins anew"
    step = checkpoint_step(whole)
    again = beat.get("step", step) - step
    lost = f", {again:,} steps are done again" if again > 0 else ""
    return f"{whole.name} (whole, {_age(whole)} old): the same command goes on from step {step:,}{lost}{passed}"


def _age(path: Path) -> str:
    return ago(max(0.0, time.time() - path.stat().st_mtime))


def _record(path: Path) -> Facts:
    if path.is_file():
        try:
            # What was not measured, and what is more than a figure, is for RESULTS.md and the report to show.
            yield from ((k, v) for k, v in read_json(path).items() if isinstance(v, (str, int, float)))
        except (OSError, ValueError, AttributeError) as error:
            raise VQAudioError(f"{path} is not an object of figures: {error}") from error
