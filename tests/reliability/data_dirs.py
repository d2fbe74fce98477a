"""Bad data directories: everything that is wrong is named with file, line and rule, and nothing else is.

Each rule is broken singly and in all pairs, and directories are mutated at random. A validator written plainly
(data_dirs_oracle.py) says what is wrong; `vqaudio.corpus.check` has to say the same. `fix` mends what it is given, and
then nothing is wrong any more, or refuses, and then nothing is changed.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.reliability.data_dirs_breaks import Audio, Break, Tables, breaks, possible_pairs
from tests.reliability.data_dirs_fuzz import mutate
from tests.reliability.data_dirs_large import LARGE, try_large
from tests.reliability.data_dirs_oracle import FIELDS, Oracle
from tests.reliability.promises import HELD, Bench, Promise
from tests.reliability.workers import in_workers
from vqaudio.corpus import DataDir, check, fix, split
from vqaudio.corpus.tables import Violation
from vqaudio.errors import DataDirError, VQAudioError

MUTANTS = 4000
NOBODY = 65534
SECONDS = 120
BREAKS = {segmented: breaks(segmented) for segmented in (False, True)}

SINGLES = sum(map(len, BREAKS.values()))


@dataclass(frozen=True)
class Case:
    """A broken directory: with these breaks, a large file by name, or a mutant by its seed."""

    number: int
    segmented: bool = False
    broken: tuple[int, ...] = ()
    large: str = ""
    seed: int | None = None

    def __str__(self) -> str:
        what = " and ".join(str(BREAKS[self.segmented][i]) for i in self.broken) or self.large or f"mutant {self.seed}"
        return f"case {self.number}, {'with' if self.segmented else 'without'} segments: {what}"


def every_case(seed: int) -> list[Case]:
    """Return all cases: single breaks, a large file, pairs, the other large files, mutants."""
    kinds = [(segmented, (i,)) for segmented in BREAKS for i in range(len(BREAKS[segmented]))]
    kinds += [(segmented, pair) for segmented in BREAKS for pair in possible_pairs(segmented)]
    cases = [Case(number, segmented, broken) for number, (segmented, broken) in enumerate(kinds)]
    large = [Case(len(cases) + i, large=name) for i, name in enumerate(LARGE)]
    cases = [*cases[:SINGLES], large[0], *cases[SINGLES:], *large[1:]]
    return cases + [Case(len(cases) + i, bool(i % 2), seed=seed + i) for i in range(MUTANTS)]


def trials(bench: Bench) -> Iterator[str]:
    """Yield what became of every rule broken singly, and of evenly chosen further cases."""
    cases = every_case(int(bench.random.integers(1 << 40)))
    chosen, others = cases[: SINGLES + 1], cases[SINGLES + 1 :]
    chosen += [others[i] for i in np.linspace(0, len(others) - 1, bench.count - len(chosen)).round().astype(int)]
    bench.folder.chmod(0o755)  # a case is tried as another user
    lab = Lab(bench.folder)
    logging.disable()  # what is dropped is told, ten thousand times
    try:
        yield from in_workers(lab.trial, chosen, SECONDS)
    finally:
        logging.disable(logging.NOTSET)


class Lab:
    """Where cases are tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.audio = Audio(folder / "audio")

    def trial(self, case: Case) -> str:
        """Return what is wrong with what the package says and does about a case."""
        os.fsync = lambda descriptor: None  # in this worker alone: power cuts are not tried here, and it takes the time
        folder = self.folder / f"case-{case.number}"
        if case.large:
            return try_large(LARGE[case.large], folder, str(case))
        tables, expected = self.tables_of(case)
        tables.write(folder)
        try:
            with user(NOBODY if "forbidden" in tables.instead.values() else os.geteuid()):
                return self.try_all(case, folder, tables, expected)
        finally:
            shutil.rmtree(folder)

    def tables_of(self, case: Case) -> tuple[Tables, list[Break]]:
        if case.seed is not None:
            tables = Tables.valid(4, case.segmented)
            mutate(tables, np.random.default_rng(case.seed))
            return tables, []
        tables = Tables.valid(2 * len(case.broken) + 1, case.segmented)
        broken = [BREAKS[case.segmented][i] for i in case.broken]
        order = sorted(range(len(broken)), key=lambda i: broken[i].rule in ("byte-order-mark", "line-end"))
        for i in order:  # what concerns all lines comes last
            broken[i].apply(tables, f"{2 * i + 1:03d}")
        return tables, broken

    def try_all(self, case: Case, folder: Path, tables: Tables, expected: list[Break]) -> str:
        oracle = Oracle(folder, self.audio.seconds).found
        found = check(folder, progress=False)
        if (places := Counter(map(place_of, found))) != oracle:
            return f"{case}: not named: {dict(oracle - places)}; named: {dict(places - oracle)}"
        for one in expected:
            if not any(rule == one.rule and file == (one.named or one.file) for file, _, rule in places):
                return f"{case}: {one.rule} is not named in {one.named or one.file}: {dict(places)}"
        if unreadable := [v for v in found if not (str(v).isprintable() and v.message and len(str(v)) < 2000)]:
            return f"{case}: nobody can read {unreadable[0]!r}"
        return try_to_mend(case, folder, tables, bool(found)) or self.executed(case, folder)

    def executed(self, case: Case, folder: Path) -> str:
        traces = [place for place in (folder, self.folder, Path.cwd()) if (place / "executed").exists()]
        return f"{case}: a command was executed in {traces[0]}" if traces else HELD


def try_to_mend(case: Case, folder: Path, tables: Tables, broken: bool) -> str:
    """Return what is wrong with what `fix` and `split` do."""
    if broken:
        try:
            split(folder, folder / "parts", {"one": 0.5, "other": 0.5}, progress=False)
            return f"{case}: was divided as it was"
        except DataDirError:
            pass
    before = contents(folder)
    ids = ids_of(tables)
    try:
        summary = fix(folder, progress=False)
    except VQAudioError:
        return HELD if contents(folder) == before else f"{case}: refused, but changed"
    if left := check(folder, progress=False):
        return f"{case}: mended, but: {left[0]}"
    if broken and contents(summary.backup) != before:
        return f"{case}: the tables as they were are not in {summary.backup}"
    kept = [utterance.id for utterance in DataDir.load(folder, progress=False).utterances]
    if lost := ids - set(kept) - set(summary.dropped):
        return f"{case}: lost without a word: {sorted(lost)}"
    if len(kept) < 2:
        return HELD
    parts = split(folder, folder / "parts", {"one": 0.5, "other": 0.5}, progress=False)
    divided = sorted(u.id for part in parts.values() for u in part.utterances)
    if divided != sorted(kept) or any(check(part.path, progress=False) for part in parts.values()):
        return f"{case}: wrongly divided into {divided}"
    return HELD


def place_of(violation: Violation) -> tuple[str, int | None, str]:
    """Return file, line and rule."""
    return os.path.basename(violation.file), violation.line, violation.rule


def contents(folder: Path) -> dict[str, bytes]:
    """Return what the tables of a folder hold, those that are files."""
    return {name: (folder / name).read_bytes() for name in FIELDS if (folder / name).is_file()
            and os.access(folder / name, os.R_OK, effective_ids=True)}  # fmt: skip


def ids_of(tables: Tables) -> set[str]:
    """Return the utterances that a valid copy of the directory has, as far as utt2spk still names them in full."""
    lines = tables.bytes["utt2spk"].decode("utf-8", "replace").replace("\r", "").split("\n")
    fields = [line.replace("\t", " ").split(" ") for line in lines]
    return {line[0] for line in fields if len(line) == 2 and line[0][:3].isdigit() and line[0][3:] in ("-a", "-b")}


class user:
    """Work as another user within the block, where we may."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> None:
        self.own = os.geteuid()
        if self.own == 0:
            os.seteuid(self.number)

    def __exit__(self, *error: object) -> None:
        if self.own == 0:
            os.seteuid(0)


COUNT = len(every_case(0))
PROMISE = Promise(
    "data_dirs",
    "what is wrong with a data directory is named, with file, line and rule, and nothing else is",
    "each rule broken, singly and in all pairs, files of a hundred megabytes, and mutants, against a plain validator; "
    "`fix` mends them or leaves them as they are",
    count=COUNT,
    trials=trials,
    least=SINGLES + 100,
    in_tests=SINGLES + 100,
)
