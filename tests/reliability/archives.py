"""Archives of strangers: hostile, broken, interrupted, from servers that lie, and with names made to do harm in them.

archives_hostile.py makes them; archives_unpacking.py, archives_server.py and archives_corpora.py try them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.reliability.archives_corpora import Corpus, corpus_cases, try_corpus, write_sounds
from tests.reliability.archives_server import (
    SLOW_SECONDS,
    Download,
    Interruption,
    download_cases,
    try_download,
    try_interruption,
)  # fmt: skip
from tests.reliability.archives_unpacking import HOSTILE, SOUND_ARCHIVES, Killing, Unpacking, try_killing, try_unpacking
from tests.reliability.archives_unpacking import unpacking_cases as unpackings
from tests.reliability.promises import Bench, Promise
from tests.reliability.workers import in_workers

CUTS = FLIPS = 60
KILLINGS, INTERRUPTIONS = 40, 20
SECONDS = 120
COUNT = len(HOSTILE) + (CUTS + FLIPS) * len(SOUND_ARCHIVES) + KILLINGS
COUNT += len(download_cases()) + INTERRUPTIONS + len(corpus_cases())
Kind = Unpacking | Killing | Download | Interruption | Corpus


@dataclass(frozen=True)
class Numbered:
    """A case, and the number of the folder for it."""

    number: int
    case: Kind

    def __str__(self) -> str:
        return str(self.case)


def every_case(random: np.random.Generator) -> list[Kind]:
    """Return all cases, kind by kind."""
    cases: list[Kind] = list(unpackings(random, CUTS, FLIPS))
    cases += [Killing(share) for share in random.uniform(0, 1.2, KILLINGS).tolist()]
    cases += download_cases()
    moments = random.uniform(0, SLOW_SECONDS, (INTERRUPTIONS, 2)).tolist()
    cases += [Interruption((first, second), bool(i % 2)) for i, (first, second) in enumerate(moments)]
    return cases + corpus_cases()


def trials(bench: Bench) -> Iterator[str]:
    """Yield what became of cases chosen at random, of each kind one at least."""
    cases: Sequence[Any] = every_case(bench.random)
    order = bench.random.permutation(len(cases)).tolist()
    firsts = {kind_of(cases[place]): place for place in order}
    order.sort(key=lambda place: place != firsts[kind_of(cases[place])])  # stable: these first, the others as they were
    chosen = [Numbered(place, cases[place]) for place in order[: bench.count]]
    write_sounds(bench.folder / "sounds")
    logging.disable()  # each refusal is told
    try:
        yield from in_workers(trial_in(bench.folder), chosen, SECONDS)
    finally:
        logging.disable(logging.NOTSET)


def kind_of(case: Kind) -> str:
    """Return what a case has in common with others that are much like it."""
    if isinstance(case, Unpacking):
        if case.hostile is not None:
            return HOSTILE[case.hostile].name.partition(", ")[0]
        return f"{case.kind} {case.flip is None}"
    if isinstance(case, Download):
        return case.way
    return f"{case.module} {case.place}" if isinstance(case, Corpus) else type(case).__name__


def trial_in(folder: Path) -> Callable[[Numbered], str]:
    """Return what tries a case in a folder of its own."""

    def trial(numbered: Numbered) -> str:
        case, own = numbered.case, folder / str(numbered.number)
        if isinstance(case, Corpus):
            return try_corpus(case, own, folder / "sounds")
        tries = {Unpacking: try_unpacking, Killing: try_killing, Download: try_download, Interruption: try_interruption}
        return tries[type(case)](case, own)

    return trial


KINDS = len({kind_of(case) for case in every_case(np.random.default_rng(0))})
PROMISE = Promise(
    "archives",
    "an archive writes nothing outside its folder, and counts as done only when it is whole",
    "hostile tar and zip archives, bombs, sound ones cut or changed at any byte, unpacking and downloads killed, "
    "servers that lie, corpora with hostile names",
    count=COUNT,
    trials=trials,
    least=KINDS,
    in_tests=KINDS,
)
