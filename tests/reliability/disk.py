"""A disk that is full or broken: whatever is being written, what stood there before stays, and the message names it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from queue import SimpleQueue

from tests.reliability.disk_server import DiskServer, Failure, compile_library
from tests.reliability.disk_writers import SCENARIOS, Scenario, Target, files_of, is_valid, make_lab
from tests.reliability.promises import HELD, Bench, Promise, Skipped
from vqaudio.audio.atomic import UNFINISHED

SERVERS = 2


@dataclass(frozen=True)
class Case:
    """One way in which one file cannot be written."""

    scenario: Scenario
    target: Target
    call: str
    error: int

    def __str__(self) -> str:
        return f"{self.scenario.name}, {self.target.path}: {errno.errorcode[self.error]} at {self.call}"

    def failure(self, out: Path) -> Failure:
        """Return what is to fail, where the program writes to `out`."""
        path = out / self.target.path.removeprefix("**/")
        deep = "*/" * self.target.path.startswith("**/")
        pattern = f"{out}/{deep}{path.relative_to(out).parent}/*{path.name}*".replace("/./", "/")
        first = 2 if self.call.startswith("later ") else 1
        return Failure(self.call.removeprefix("later "), self.error, first, pattern, out.with_name(f"{out.name}.told"))

    def named(self, out: Path) -> str:
        """Return the path that the message has to name."""
        return os.path.normpath(out / (self.target.names or self.target.path))


def all_cases() -> list[Case]:
    """Return every case: one of each file first, then another one of each, and so on."""
    rounds: dict[int, list[Case]] = {}
    for scenario in SCENARIOS:
        for target in scenario.targets:
            ways = [(call, error) for error in (errno.ENOSPC, errno.EIO) for call in target.calls]
            ways = ways[1:] + ways[:1]  # half a file before none
            for number, (call, error) in enumerate(ways):
                rounds.setdefault(number, []).append(Case(scenario, target, call, error))
    for scenario in SCENARIOS:
        if scenario.name in FILLING:
            rounds[1].append(Case(scenario, scenario.targets[0], FULL, errno.ENOSPC))
    return [case for number in sorted(rounds) for case in rounds[number]]


FULL = "a full disk of 1 MB"
FILLING = ("extract", "format", "decode", "sample", "split", "fix", "score", "extract a shard")
"""Scenarios that are also played on such a disk, a real one, which is full but for one block."""
CASES = all_cases()
TARGETS = sum(len(scenario.targets) for scenario in SCENARIOS)


class Stage:
    """Where scenarios are played: a laboratory, and of each scenario what is there before, and what it shall leave."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lab = folder, folder / "lab"
        make_lab(self.lab)
        self._prepared: dict[str, tuple[Path, Path]] = {}
        self._lock = threading.Lock()

    def words(self, words: str, out: Path) -> list[str]:
        """Return the words of a command, with the folders that they stand for."""
        return [word.replace("LAB", str(self.lab)).replace("OUT", str(out)) for word in words.split()]

    def prepared(self, scenario: Scenario, server: DiskServer) -> tuple[Path, Path]:
        """Return a folder of what is there before a scenario, and one of what is there after it, undisturbed."""
        with self._lock:
            if scenario.name not in self._prepared:
                self._prepared[scenario.name] = self._prepare(scenario, server)
            return self._prepared[scenario.name]

    def _prepare(self, scenario: Scenario, server: DiskServer) -> tuple[Path, Path]:
        place = self.folder / scenario.name.replace(" ", "-").replace("'", "")
        out, before, after = (place / name for name in ("OUT", "before", "after"))
        out.mkdir(parents=True)
        for words in scenario.before:
            require_done(server.run(scenario.call, self.words(words, out), place / "said"), place / "said")
        shutil.copytree(out, before)
        require_done(server.run(scenario.call, self.words(scenario.words, out), place / "said"), place / "said")
        out.rename(after)
        return before, after


def require_done(status: int, said: Path) -> None:
    """Raise RuntimeError where a program fails on a disk that does not."""
    if status:
        raise RuntimeError(f"status {status} on a good disk: {said.read_text()}")


def play(case: Case, stage: Stage, server: DiskServer) -> str | Skipped:
    """Play a scenario on a disk that fails, and then once more on a good one."""
    if case.call == FULL:
        return play_on_small_disk(case, stage, server)
    before, after = stage.prepared(case.scenario, server)
    place = before.parent
    out, said = place / "OUT", place / "said"
    shutil.copytree(before, out)
    failure, words = case.failure(out), stage.words(case.scenario.words, out)
    try:
        status = server.run(case.scenario.call, words, said, failure)
        wrong = faults(case, status, said.read_text(errors="replace"), out, before, after)
        if not wrong:
            status = server.run(case.scenario.call, words, said)
            if status:
                wrong = [f"afterwards, on a good disk: status {status}: {said.read_text(errors='replace')}"]
            else:
                wrong = [f"afterwards, on a good disk: {fault}" for fault in differences(case.scenario, out, after)]
    finally:
        shutil.rmtree(out)
        failure.told.unlink(missing_ok=True)
    return f"{case}: {'; '.join(wrong)}" if wrong else HELD


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """Let a disk of 1 MB be at an empty folder. Raises CalledProcessError where this process may not mount one."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def play_on_small_disk(case: Case, stage: Stage, server: DiskServer) -> str | Skipped:
    """Play a scenario on a disk that is full, and then once more when there is room."""
    before, after = stage.prepared(case.scenario, server)
    out, said = before.with_name("OUT"), before.with_name("said")
    out.mkdir()
    try:
        with small_disk(out):
            shutil.copytree(before, out, dirs_exist_ok=True)
            ballast = out / "ballast"
            ballast.write_bytes(bytes(shutil.disk_usage(out).free - 4096))
            words = stage.words(case.scenario.words, out)
            status, wrong = server.run(case.scenario.call, words, said), []
            text = said.read_text(errors="replace")
            why = (os.strerror(case.error), "are free on that disk")  # met while writing, or seen before
            if status != 2 or str(out) not in text or not any(map(text.__contains__, why)) or "Traceback" in text:
                wrong.append(f"status {status}: {text}")
            ballast.unlink()
            wrong += halves(case.scenario, out, before, after)
            wrong += [f"left behind: {name}" for name in files_of(out) if UNFINISHED in name]
            if server.run(case.scenario.call, words, said):
                wrong.append(f"afterwards, with room: {said.read_text(errors='replace')}")
            wrong += differences(case.scenario, out, after)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return Skipped("no disk may be mounted")
    finally:
        out.rmdir()
    return f"{case}: {'; '.join(wrong)}" if wrong else HELD


def faults(case: Case, status: int, said: str, out: Path, before: Path, after: Path) -> list[str]:
    """Return what is wrong after a program has run on a disk that fails."""
    reason, named = os.strerror(case.error), case.named(out)
    wrong = [] if case.failure(out).told.exists() else ["there was no such call"]
    if "Traceback" in said:
        wrong.append(f"a traceback: {said}")
    if case.target.survives:
        wrong += [] if status == 0 else [f"not survived: status {status}: {said}"]
        wrong += differences(case.scenario, out, after)
    else:
        expected = case.target.status
        wrong += [] if status == expected else [f"status {status}, expected {expected}: {said}"]
        wrong += [f"the message lacks {words!r}: {said}" for words in (named, reason) if words not in said]
        wrong += halves(case.scenario, out, before, after)
    left = [name for name in files_of(out) if UNFINISHED in name]
    return wrong + [f"left behind: {name}" for name in left]


def halves(scenario: Scenario, out: Path, before: Path, after: Path) -> Iterator[str]:
    """Yield the files that are neither what they were before nor what they are to be, and those that are lost."""
    for name in sorted({*files_of(out), *files_of(before)}):
        now, was, shall = (content(folder / name) for folder in (out, before, after))
        if grows(scenario, name):
            if now is not None and not is_valid(out / name):
                yield f"{name} is damaged"
        elif now is None and shall is not None:
            yield f"{name} is lost"
        elif now is not None and now not in (was, shall) and not name.endswith((".partial.txt", ".partial.json")):
            yield f"{name} is neither as before nor as it shall be"


def differences(scenario: Scenario, out: Path, after: Path) -> list[str]:
    """Return the files that are not what an undisturbed program leaves."""
    names = {name for name in (*files_of(out), *files_of(after)) if not grows(scenario, name)}
    return [f"{name} differs" for name in sorted(names) if content(out / name) != content(after / name)]


def grows(scenario: Scenario, name: str) -> bool:
    """Whether a file is a log, a record or the like, of which only that it is valid can be asked."""
    return any(fnmatch(name, pattern) for pattern in scenario.growing)


def content(path: Path) -> bytes | None:
    """Return what a file holds; None where it is not there."""
    return path.read_bytes() if path.is_file() else None


def trials(bench: Bench) -> Iterator[str | Skipped]:
    """Yield the outcome of each case."""
    library = compile_library(bench.folder)
    if library is None:
        yield from [Skipped("no C compiler (cc)")] * bench.count
        return
    servers: SimpleQueue[DiskServer] = SimpleQueue()
    started = [DiskServer(library) for _ in range(SERVERS)]
    for server in started:
        servers.put(server)
    stages: SimpleQueue[Stage] = SimpleQueue()

    def one(case: Case) -> str | Skipped:
        server, stage = servers.get(), stages.get()
        try:
            return play(case, stage, server)
        finally:
            servers.put(server)
            stages.put(stage)

    try:
        for number in range(SERVERS):
            stages.put(Stage(bench.folder / str(number)))
        with ThreadPoolExecutor(SERVERS) as pool:
            yield from pool.map(one, CASES[: bench.count])
    finally:
        for server in started:
            server.end()


PROMISE = Promise(
    "disk",
    "a full or failing disk costs what was being written, and nothing else",
    "ENOSPC and EIO when a file is opened, half written, flushed or renamed, for every file that the toolkit writes: "
    "what stood there before is whole, the message names path and reason, monitoring is survived, and the same command "
    "completes afterwards",
    len(CASES),
    trials,
    least=TARGETS,
    in_tests=8,
)
