"""Bad models and units: whatever a stranger's file holds, nothing is executed, memory is bounded, and it is refused."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.reliability import hostile_folders, hostile_records, hostile_weights, hostile_yaml
from tests.reliability.hostile_case import AS_WRITTEN, CANARY, REFUSED, Case
from tests.reliability.hostile_child import MEMORY, Reader, Told
from tests.reliability.hostile_mutants import mutants
from tests.reliability.hostile_oracle import says_the_same
from tests.reliability.hostile_originals import write_originals
from tests.reliability.hostile_reading import COMMANDS
from tests.reliability.promises import HELD, Bench, Promise

SECONDS = 20.0
"""Of processor time, in which a file must have been refused: a thousand times what a whole one takes to load."""
LONGEST_MESSAGE = 4000
LINES = 12
"""Of a message: of units that are wrong, ten are listed."""

CASES: tuple[Case, ...] = (
    *hostile_folders.places(),
    *hostile_folders.names(),
    *hostile_yaml.configurations(),
    *hostile_weights.weights(),
    *hostile_records.units(),
    *hostile_records.checkpoints(),
    *hostile_records.scores(),
)


def trials(bench: Bench) -> Iterator[str]:
    """Yield what became of each case, and then of mutants."""
    originals = write_originals(bench.folder / "originals")
    cases = itertools.islice(itertools.chain(_chosen(bench.count), mutants(bench.random)), bench.count)
    with Reader() as first, Reader() as second:
        whole = {}
        for action, path in originals.items():
            first.ask(action, _copied(path, bench.folder / "whole"), SECONDS)
            whole[action] = first.hear()
        asked: list[tuple[Reader, Case, Path]] = []
        for reader, case in zip(itertools.cycle((first, second)), cases):
            if len(asked) == 2:
                yield _heard(*asked.pop(0), whole)
            folder = _copied(originals[case.action], bench.folder / f"trial-{reader is first:d}")
            case.damage(folder)
            reader.ask(case.action, folder, SECONDS)
            asked.append((reader, case, folder))
        for one in asked:
            yield _heard(*one, whole)


def _chosen(count: int) -> list[Case]:
    """Return the cases by name for so many trials: all, or as many as leave a quarter for mutants, evenly spaced."""
    share = min(len(CASES), count * 3 // 4)
    return [CASES[number * len(CASES) // share] for number in range(share)]


def _copied(original: Path, folder: Path) -> Path:
    """Return a fresh copy of an original, in a folder of its own where the canary would appear."""
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(original, folder / "hostile"))


def _heard(reader: Reader, case: Case, folder: Path, whole: dict[str, Told]) -> str:
    told = reader.hear()
    wrong = _judged(case, told, folder, whole[case.action])
    return f"{case.name} ({case.action}): {wrong}" if wrong else HELD


def _judged(case: Case, told: Told, folder: Path, whole: Told) -> str:
    """Return what is wrong with what came of a case; nothing where it held."""
    if (folder.parent / CANARY).exists():
        return "it was executed: the canary is there"
    events = [event for event in told.events if case.action not in COMMANDS or not _is_output(event)]
    if events:
        return f"it did more than read: {events[0]}"
    if told.ended in ("failed", "died", "hung"):
        return f"{told.ended} with {MEMORY >> 30} GiB and {SECONDS:.0f} s: {told.value}"
    if case.action in COMMANDS:
        return _judged_command(case, told, folder, whole)
    if told.ended == "refused":
        return _judged_message(told.value, folder)
    if case.lawful == REFUSED:
        return f"it was taken, as {str(told.value)[:300]}"
    if told.value == whole.value or (case.lawful == AS_WRITTEN and says_the_same(case.action, folder, told.value)):
        return HELD
    return f"it was taken for {str(told.value)[:300]}"


def _is_output(event: str) -> bool:
    return event.startswith(("open to write", "os.rename", "os.remove"))


def _judged_command(case: Case, told: Told, folder: Path, whole: Told) -> str:
    status, said = told.value["status"], told.value["said"]
    if status != 2 or "Traceback" in said:
        return f"exit status {status}: {said[-300:]}"
    if said.replace(str(folder.parent), "") == whole.value["said"].replace(str(folder.parents[1] / "whole"), ""):
        return f"it was taken: {said[-300:]}"
    return _judged_message(said, folder)


def _judged_message(message: str, folder: Path) -> str:
    """Return what is wrong with a message: it names a path, and people, and their terminals, can read it."""
    text = message.strip()
    if str(folder.parent) not in text:
        return f"the message names no path: {text[:300]}"
    lines = text.split("\n")
    if len(text) > LONGEST_MESSAGE or len(lines) > LINES or not all(line.isprintable() for line in lines):
        return f"the message is not readable: {text[:300]!r}, {len(text)} letters, {len(lines)} lines"
    return HELD


PROMISE = Promise(
    "models",
    "bad models and units: nothing executed, memory bounded, a clear refusal",
    f"{len(CASES)} kinds of model folders, units, checkpoints, configurations and results that lie, and mutants of "
    f"whole ones, each read by a process of {MEMORY >> 30} GiB that notes what is executed",
    6000,
    trials,
    least=len(CASES) * 4 // 3 + 1,
    in_tests=120,
)
