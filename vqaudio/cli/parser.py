"""Verbs and their options: one parser for all, which accepts both spellings and names the nearest option."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from vqaudio.errors import VQAudioError, did_you_mean


class UsageError(VQAudioError):
    """A command line that cannot be understood."""


@dataclass(frozen=True)
class Verb:
    """One verb of the command: what `--help` says of it, its options, and what it does."""

    summary: str
    """One line, as it stands in the list of verbs."""
    example: str
    """Command lines that show the usual ways to call it."""
    add_options: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], int | None]
    """Does the work and returns the exit status; None stands for 0."""
    resumes: bool = False
    """Whether the same command, after an interruption, goes on where it stood."""


@dataclass(frozen=True)
class Group:
    """Verbs under a common name, such as `vqaudio data`; the command itself is one."""

    summary: str
    verbs: Mapping[str, Verb | Group]


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that takes hyphens for underscores in the names of options, and raises UsageError."""

    def __init__(self, command: str, verb: Verb) -> None:
        super().__init__(
            prog=command,
            description=verb.summary,
            epilog="example:\n" + "\n".join(f"  {line}" for line in verb.example.strip().splitlines()),
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )
        verb.add_options(self)
        add_common_options(self)

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse the arguments after the verb."""
        words = underscored(argv)
        self._refuse_unknown(words)
        return self.parse_args(words)

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError with argparse's words."""
        end = "" if message.endswith("?") else "."
        raise UsageError(f"{message[:1].lower()}{message[1:]}{end} `{self.prog} --help` shows its options")

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        """Name unknown options before argparse complains of the required ones that they were meant to be."""
        known = {name for action in self._actions for name in action.option_strings}
        for word in words[: words.index("--")] if "--" in words else words:
            name = word.partition("=")[0]
            if word.startswith("--") and name not in known:
                self.error(f"unknown option {name}.{did_you_mean(name, known)}".rstrip("."))


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the example, and states defaults where there are any worth stating."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=110)

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        unstated = action.default is None or action.default is False or action.default in ([], argparse.SUPPRESS)
        return text if unstated else f"{text} (default: %(default)s)"


def find_verb(command: str, group: Group, argv: Sequence[str]) -> tuple[str, Verb | Group, list[str]]:
    """Return the verb that `argv` begins with, its whole name, and the words after it.

    It is a Group where `argv` names no verb in it, because it is empty or begins with an option. A UsageError names
    the nearest verb to an unknown word.
    """
    if not argv or argv[0].startswith("-"):
        return command, group, list(argv)
    name = argv[0].replace("_", "-")
    if name not in group.verbs:
        hint = did_you_mean(name, group.verbs)
        raise UsageError(f"unknown verb {argv[0]!r}.{hint} `{command} --help` lists: {', '.join(group.verbs)}")
    found = group.verbs[name]
    if isinstance(found, Group):
        return find_verb(f"{command} {name}", found, argv[1:])
    return f"{command} {name}", found, list(argv[1:])


def group_help(command: str, group: Group) -> str:
    """Return what `--help` says of a group: a line per verb."""
    width = max(map(len, group.verbs))
    lines = [f"  {name:{width}}  {found.summary}" for name, found in group.verbs.items()]
    return "\n".join(
        [f"usage: {command} VERB [options]", "", group.summary, "", *lines, "", f"`{command} VERB --help` says more."]
    )


def underscored(argv: Sequence[str]) -> list[str]:
    """Return `argv` with underscores for hyphens in the names of options, up to a bare `--`; values stay."""
    words = list(argv)
    for i, word in enumerate(words):
        if word == "--":
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            words[i] = f"--{name.replace('-', '_')}{equals}{value}"
    return words


# ---------------------------------------------------------------------------------- options of many verbs


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add what every verb takes: how much to say."""
    group = parser.add_argument_group("messages")
    group.add_argument("--quiet", action="store_true", help="log warnings and errors alone")
    group.add_argument("--verbose", action="store_true", help="log details too")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_compute_options(parser: argparse.ArgumentParser) -> None:
    """Add where to compute."""
    parser.add_argument("--device", type=device_name, default="auto", help="auto, cpu or cuda; auto takes a GPU if any")
    parser.add_argument(
        "--threads", type=whole_number(0), default=0, help="threads on the CPU; 0: as many as torch likes"
    )


def add_seed_option(parser: argparse.ArgumentParser) -> None:
    """Add the seed of what is drawn at random."""
    parser.add_argument("--seed", type=whole_number(0), default=0, help="of everything drawn at random")


ENGINES = ("auto", "triton", "cuda-graph", "compiled", "numba", "torch")
PRECISIONS = ("float32", "bfloat16", "int8")
"""Those of `vqaudio.generation.engine`, which loads torch: `--help` does without."""


def add_generation_options(parser: argparse.ArgumentParser) -> None:
    """Add how samples are drawn from the decoder's distribution, and by what."""
    group = parser.add_argument_group("generation")
    add_sampling_options(group, "")
    engines, precisions = ", ".join(ENGINES), ", ".join(PRECISIONS)
    group.add_argument("--engine", type=one_of(*ENGINES), default="auto", help=f"what generates: {engines}")
    group.add_argument(
        "--precision", type=one_of(*PRECISIONS), default="float32", help=f"what it keeps weights in: {precisions}"
    )
    group.add_argument(
        "--force_precision", action="store_true", help="use a precision that this model has not passed the gate for"
    )
    group.add_argument("--batch_size", type=whole_number(1), default=64, help="utterances generated at a time")


def add_sampling_options(parser: argparse._ActionsContainer, prefix: str) -> None:
    """Add temperature, top_k and top_p, their names after `prefix` ("" or "prior_")."""
    of = "the units' distribution" if prefix else "the samples' distribution"
    parser.add_argument(f"--{prefix}temperature", type=number(above=0), default=1.0, help=f"of {of}; below 1 is tamer")
    parser.add_argument(f"--{prefix}top_k", type=whole_number(1), help=f"keep the k likeliest of {of}")
    parser.add_argument(f"--{prefix}top_p", type=number(above=0, most=1), help=f"keep the likeliest share p of {of}")


# ------------------------------------------------------------------------------------------ types of values


def whole_number(least: int) -> Callable[[str], int]:
    """Return the type of options that take a whole number of at least `least`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number of at least {least}")
        return value

    return parse


def number(above: float = -math.inf, least: float = -math.inf, most: float = math.inf) -> Callable[[str], float]:
    """Return the type of options that take a finite number within limits."""
    limits = [f"above {above:g}"] * math.isfinite(above) + [f"of at least {least:g}"] * math.isfinite(least)
    limits += [f"of at most {most:g}"] * math.isfinite(most)

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and above < value <= most and least <= value):
            raise argparse.ArgumentTypeError(f"got {text!r}, expected a number {' and '.join(limits)}".rstrip())
        return value

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """Return the type of options that take one of `choices`; the error names the nearest."""

    def parse(text: str) -> str:
        if text not in choices:
            expected = f"got {text!r}, expected {' or '.join(choices)}.{did_you_mean(text, choices)}"
            raise argparse.ArgumentTypeError(expected.rstrip("."))
        return text

    return parse


def device_name(text: str) -> str:
    """Check the name of a device: auto, cpu, cuda, or cuda:N for one GPU of several."""
    family, _, index = text.partition(":")
    if family == "cuda" and index.isdecimal():
        return text
    return one_of("auto", "cpu", "cuda")(text)
