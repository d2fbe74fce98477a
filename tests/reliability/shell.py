"""Hostile names: nothing executed, nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.recipes.slurm_cluster import CannotStart, running_cluster
from tests.reliability import hostile_corpus, hostile_options, hostile_recipe
from tests.reliability.hostile_names import PAYLOADS, Sandbox, as_id, as_text, is_line, payload
from tests.reliability.promises import Bench, Promise, Skipped

Case = tuple[str, str]
OPTIONS = "options of run.sh"
JOBS = {f"jobs of {backend}": backend for backend in hostile_options.BACKENDS}
_LINES = [kind for kind in PAYLOADS if is_line(payload(kind))]
PREPARATION: dict[str, list[str]] = {
    hostile_corpus.FILE: list(PAYLOADS),
    hostile_corpus.FOLDER: list(PAYLOADS),
    hostile_corpus.CORPUS_PATH: _LINES,
}
WHOLE: dict[str, list[str]] = {
    hostile_recipe.UTTERANCE: [kind for kind in PAYLOADS if as_id(kind)],
    hostile_recipe.SPEAKER: [kind for kind in PAYLOADS if as_id(kind)],
    hostile_recipe.TEXT: [kind for kind in PAYLOADS if as_text(kind)],
    hostile_recipe.CLONE: [kind for kind in _LINES if ":" not in payload(kind)],
    hostile_recipe.EXPDIR: _LINES,
    hostile_recipe.DUMPDIR: _LINES,
}
QUICK = {**PREPARATION, OPTIONS: list(PAYLOADS), **{place: list(PAYLOADS) for place in JOBS}}
"""What takes seconds; the whole run takes a minute and more."""
QUICK_CASES = [(place, kind) for place, kinds in QUICK.items() for kind in kinds]
WHOLE_CASES = [(place, kind) for place, kinds in WHOLE.items() for kind in kinds]
IN_TESTS, LEAST = 36, 60


def trials(bench: Bench) -> Iterator[str | Skipped]:
    """Give the names to each place, and look at what came of each."""
    cases = QUICK_CASES + (WHOLE_CASES if bench.count > IN_TESTS else [])
    order = bench.random.permutation(len(cases))[: bench.count]
    chosen = [cases[i] for i in sorted(order)]
    groups: list[tuple[Sequence[str], Callable[[Path, list[Case]], Iterator[str | Skipped]]]] = [
        (tuple(PREPARATION), _prepared), ((OPTIONS,), _named), *(((place,), _launched) for place in JOBS),
        (tuple(WHOLE), _run_through),
    ]  # fmt: skip
    for number, (places, run) in enumerate(groups):
        of_group = [case for case in chosen if case[0] in places]
        if of_group:
            yield from run(bench.folder / str(number), of_group)


def _outcome(place: str, kind: str, wrong: str) -> str:
    return f"{kind} ({payload(kind)!r}) as {place}: {wrong}" if wrong else ""


def _prepared(folder: Path, cases: list[Case]) -> Iterator[str]:
    look = hostile_corpus.try_corpus(Sandbox(folder), cases)
    yield from (_outcome(place, kind, look(place, kind)) for place, kind in cases)


def _named(folder: Path, cases: list[Case]) -> Iterator[str]:
    look = hostile_options.try_options(Sandbox(folder), [kind for _, kind in cases])
    yield from (_outcome(place, kind, look(kind)) for place, kind in cases)


def _launched(folder: Path, cases: list[Case]) -> Iterator[str | Skipped]:
    backend, kinds = JOBS[cases[0][0]], [kind for _, kind in cases]
    if backend != "slurm":
        yield from _looked_at(hostile_options.try_launcher(Sandbox(folder), backend, kinds, {}), cases)
        return
    try:
        with running_cluster() as environment:
            yield from _looked_at(hostile_options.try_launcher(Sandbox(folder), backend, kinds, environment), cases)
    except CannotStart as error:
        yield from (Skipped(str(error)) for _ in cases)


def _looked_at(look: Callable[[str], str], cases: list[Case]) -> Iterator[str]:
    yield from (_outcome(place, kind, look(kind)) for place, kind in cases)


def _run_through(folder: Path, cases: list[Case]) -> Iterator[str]:
    look = hostile_recipe.look_at_whole_run(Sandbox(folder), cases)
    yield from (_outcome(place, kind, look(place, kind)) for place, kind in cases)


PROMISE = Promise(
    "shell",
    "names of files, speakers, utterances and folders are never executed, and nothing is lost over them",
    "a name with blanks, quotes, `$(…)`, `;`, line breaks, leading dashes, … as a file, a speaker, an utterance, a "
    "transcript, a folder or an option, through every stage and launcher",
    len(QUICK_CASES) + len(WHOLE_CASES),
    trials,
    least=LEAST,
    in_tests=IN_TESTS,
)
