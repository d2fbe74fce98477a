"""What the user asks for: the command line of the launcher."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BACKENDS = ("local", "slurm", "ssh")


class UsageError(Exception):
    """A mistake of the user's: the message says what was given and what was expected."""


@dataclass(frozen=True)
class Request:
    """One call of the launcher; the fields from `gpu` on are options. See `launch.HELP`."""

    backend: str
    log: str
    """Path of the log, with JOB in it where there are several jobs."""
    command: tuple[str, ...]
    jobs: tuple[int, ...] | None = None
    """Numbers of the jobs; None for a single job, in which JOB means nothing."""
    word: str = "JOB"
    """What the number takes the place of: JOB, or SOME_JOB where paths may hold the word JOB."""
    gpu: int | None = None
    num_threads: int | None = None
    mem: str | None = None
    time: str | None = None
    max_jobs_run: int | None = None
    num_nodes: int = 1
    config: str | None = None
    restarts: int = 0
    """How often a single job of Slurm is sent again whose time is over, or whose machine Slurm has taken away."""
    grace: int = 60
    """Seconds that a job has between SIGINT and SIGKILL."""
    others: dict[str, str] = field(default_factory=dict)
    """Options that only the backend's configuration can know."""

    @property
    def name(self) -> str:
        """What messages call it: the log's name, without number and suffix."""
        name = re.sub(rf"[._-]*{self.word}(?![A-Z])", "", Path(self.log).name)
        return name.removesuffix(".log").strip("._-") or "jobs"

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the jobs; 0 stands for a single one."""
        return (0,) if self.jobs is None else self.jobs


def _whole(least: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < least:
            raise UsageError(f"--{name}: got '{text}', expected a whole number, at least {least}")
        return int(text)

    return read


def _like(pattern: str, expected: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise UsageError(f"--{name}: got '{text}', expected {expected}")
        return text

    return read


OPTIONS: dict[str, Callable[[str, str], object]] = {
    "gpu": _whole(0),
    "num_threads": _whole(1),
    "mem": _like(r"[0-9]+[KMGT]?", "a size such as 4G or 500M"),
    "time": _like(r"([0-9]+-)?[0-9]+:[0-5][0-9]:[0-5][0-9]", "H:MM:SS, such as 12:00:00, or D-HH:MM:SS"),
    "max_jobs_run": _whole(1),
    "num_nodes": _whole(1),
    "config": lambda name, text: text,
    "restarts": _whole(0),
    "grace": _whole(0),
}


def parse(arguments: Sequence[str]) -> Request:
    """Read the command line, without the program's name. Raises UsageError for anything that is not as in the help."""
    if not arguments or arguments[0] not in BACKENDS:
        given = f"got '{arguments[0]}'" if arguments else "nothing was given"
        raise UsageError(f"where the jobs run comes first, one of {', '.join(BACKENDS)}; {given}. --help says more.")
    words, values, others, jobs, word = list(arguments[1:]), {}, {}, None, "JOB"
    while words and (words[0].startswith("--") or re.match(r"[A-Za-z_]+=[0-9]", words[0])):
        if words[0].startswith("--"):
            name, text = _take_option(words)
            if name in OPTIONS:
                values[name] = OPTIONS[name](name, text)
            else:
                others[name] = text
        else:
            word, jobs = _numbers(words.pop(0))
    if len(words) < 2:
        raise UsageError(f"a log and a command come last, got {' '.join(words) or 'neither'}. --help says more.")
    if jobs and len(jobs) > 1 and replace_job(words[0], 1, word) == words[0]:
        raise UsageError(f"the {len(jobs)} jobs would all write the log {words[0]}: put {word} into its name")
    if jobs and values.get("num_nodes", 1) > 1:
        raise UsageError("--num_nodes is for a single job, and JOB=… was given too")
    if jobs and values.get("restarts"):
        raise UsageError("--restarts is for a single job, and JOB=… was given too")
    return Request(arguments[0], words[0], tuple(words[1:]), jobs, word, others=others, **values)


def _take_option(words: list[str]) -> tuple[str, str]:
    name, has_value, text = words.pop(0)[2:].partition("=")
    if not has_value:
        if not words or words[0].startswith("--"):
            raise UsageError(f"--{name} needs a value: --{name} VALUE or --{name}=VALUE")
        text = words.pop(0)
    return name.replace("-", "_"), text


def _numbers(text: str) -> tuple[str, tuple[int, ...]]:
    match = re.fullmatch(r"((?:[A-Z]+_)?JOB)=([0-9]{1,6})(?::([0-9]{1,6}))?", text)
    first, last = (int(match[2]), int(match[3] or match[2])) if match else (0, 0)
    if not 1 <= first <= last:
        raise UsageError(f"got '{text}', expected JOB=1:N, or JOB=I:J with 1 ≤ I ≤ J")
    return match[1], tuple(range(first, last + 1))


def replace_job(text: str, job: int, word: str = "JOB") -> str:
    """Return `text` with the job's number in place of the word JOB: in log/x_JOB.log, not in SLURM_JOB_ID."""
    return re.sub(f"(?<![A-Z])(?<![A-Z]_){word}(?!_?[A-Z])", str(job), text)


def refuse_others(request: Request, known: Sequence[str] = (), where: str = "") -> None:
    """Raise UsageError for options that neither the launcher nor its configuration knows."""
    for name in request.others:
        if name not in known:
            names = [*OPTIONS, *known]
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean '--{near[0]}'?" if near else f"there are --{', --'.join(names)}"
            raise UsageError(f"unknown option '--{name}'{where}: {hint}")


def resources(request: Request) -> dict[str, str]:
    """Return the options that say what each job asks for, as text by name; only those that were given."""
    values = {name: getattr(request, name) for name in ("gpu", "num_threads", "mem", "time")}
    if request.num_nodes > 1:
        values["num_nodes"] = request.num_nodes
    return {name: str(value) for name, value in values.items() if value is not None} | request.others
