"""What has become of a training, seen from outside: from its lock, its heartbeat and its checkpoints. Without torch.

lock held ──▶ suspended · stuck · starting · running
     free ──▶ done · stopped by a signal · failed · died (a heartbeat without an end)
"""

from __future__ import annotations

import re
import socket
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from vqaudio.audio.lock_file import holder
from vqaudio.training.checkpoint_names import checkpoint_paths
from vqaudio.training.heartbeat import ENDS, FAILED, INTERVAL, NAME, STOPPED, TRAINING
from vqaudio.training.progress import format_seconds
from vqaudio.untrusted import read_json

PATIENCE, PATIENCE_ELSEWHERE = 300.0, 3600.0
"""Seconds without a sign of life after which a training seems stuck: between steps; in an evaluation or the like."""
PATIENT_STEPS = 20
"""Or so many steps, where these take longer."""
LARGEST_HEARTBEAT = 2**16


@dataclass(frozen=True)
class RunState:
    """`kind`: running, suspended, stuck, done, stopped, failed, died or unknown; `words` say more, for humans."""

    kind: str
    words: str
    beat: Mapping[str, Any]
    """The last heartbeat; empty where there is none."""

    @property
    def at_work(self) -> bool:
        """Whether a process has the training in hand."""
        return self.kind in ("running", "suspended", "stuck")


def run_state(folder: Path) -> RunState:
    """Return the state of the training in an experiment folder, as far as it can be told."""
    beat, note = read_beat(folder), holder(folder / ".lock")
    if note:
        return RunState(*_with_process(beat, note), beat)
    if (folder / "model" / "model.safetensors").is_file() and (folder / "train.json").is_file():
        return RunState("done", "done: trained to the end", beat)
    if not beat:
        return RunState("unknown", "not trained to the end", beat)
    return RunState(*_without_process(beat), beat)


def read_beat(folder: Path) -> dict[str, Any]:
    """Return the last heartbeat with its `age` in seconds; {} where there is none that can be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        beat = read_json(folder / NAME, LARGEST_HEARTBEAT)
        age = time.time() - datetime.fromisoformat(beat["time"]).timestamp()
        return {**beat, "phase": str(beat["phase"]), "step": int(beat["step"]), "age": max(0.0, age)}
    return {}


def whole_checkpoint(folder: Path) -> tuple[Path | None, list[Path]]:
    """Return the newest checkpoint of an experiment whose checksums are right, and the damaged ones newer than it."""
    damaged = []
    for path in checkpoint_paths(folder / "checkpoints"):
        if _is_whole(path):
            return path, damaged
        damaged.append(path)
    return None, damaged


def ago(seconds: float) -> str:
    """Return an age in its largest unit: '12 s', '3 min', '5 h', '2 days'."""
    for unit, size, until in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < until:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def _with_process(beat: Mapping[str, Any], note: str) -> tuple[str, str]:
    """Return kind and words of a training whose lock is held; `note` says by whom."""
    phase, age = beat.get("phase"), beat.get("age", 0.0)
    process = _process_here(note)
    if process is not None and _is_suspended(process):
        return "suspended", f"suspended by a signal ({note}); `kill -CONT {process}` lets it go on"
    if phase is None or phase in ENDS or not _is_of(beat, note):
        return "running", f"running: starting ({note})"
    if age > patience(beat):
        return "stuck", f"seems stuck: {phase}, and no sign of life for {ago(age)} ({note})"
    since = f"the last sign of life {ago(age)} ago" if phase == TRAINING else f"for {ago(age)}"
    return "running", f"running: {phase}, {since} ({note})"


def _without_process(beat: Mapping[str, Any]) -> tuple[str, str]:
    """Return kind and words of a training whose lock is free, and that was not trained to the end."""
    phase, age, where = beat["phase"], beat["age"], f"after step {beat['step']:,}"
    if phase not in ENDS and age < 2 * INTERVAL and beat.get("host") != socket.gethostname():
        # Some network file systems have no locks.
        return "running", f"running: {phase}, by its heartbeat of {ago(age)} ago (process {beat.get('process')})"
    if phase == STOPPED:
        return "stopped", f"stopped {where}, {ago(age)} ago: {beat.get('why', 'no reason given')}"
    if phase == FAILED:
        return "failed", f"ended by an error {where}, {ago(age)} ago: {beat.get('why', 'no reason given')}"
    place = f"process {beat.get('process')} on {beat.get('host')}"
    cause = f"{place} was killed, or its machine went down; the last sign of life was {ago(age)} ago"
    return "died", f"died while {phase}, {where}: {cause}"


def patience(beat: Mapping[str, Any]) -> float:
    """Return the seconds without a sign of life after which a training seems stuck."""
    if beat["phase"] != TRAINING:
        return PATIENCE_ELSEWHERE
    with suppress(KeyError, TypeError, ZeroDivisionError):
        return max(PATIENCE, PATIENT_STEPS * beat["items_per_step"] / beat["items_per_second"])
    return PATIENCE


def _process_here(note: str) -> int | None:
    """Return the number of the process that holds a lock, if it is one of this machine."""
    found = re.match(r"process (\d+) on (\S+),", note)
    return int(found[1]) if found and found[2] == socket.gethostname() else None


def _is_of(beat: Mapping[str, Any], note: str) -> bool:
    """Whether a heartbeat is of the process that holds the lock, and not of one before it."""
    return note.startswith(f"process {beat.get('process')} on {beat.get('host')},")


def _is_suspended(process: int) -> bool:
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    return False


def _is_whole(path: Path) -> bool:
    """Whether a file of torch.save is complete, by the checksums of its parts; resuming looks at its digest besides."""
    try:
        with zipfile.ZipFile(path) as archive:
            stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
            return stored and archive.testzip() is None
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return False


def far(beat: Mapping[str, Any]) -> str:
    """Return how far a training is: '1,200 of 5,000 (24%)'."""
    total = beat.get("total_steps")
    known = isinstance(total, int) and total > 0
    return f"{beat['step']:,}" + (f" of {total:,} ({beat['step'] / total:.0%})" if known else "")


def time_left(beat: Mapping[str, Any]) -> str | None:
    """Return the time to go, as estimated at the last sign of life; None where there is no estimate."""
    left = beat.get("seconds_left")
    return format_seconds(left) if isinstance(left, (int, float)) else None
