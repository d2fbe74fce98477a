"""What the corpus modules have in common as commands: options in both spellings, the log, and users' errors."""

from __future__ import annotations

import argparse
import inspect
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqaudio.cli.parser import underscored
from vqaudio.errors import VQAudioError, did_you_mean


@dataclass(frozen=True)
class Option:
    """One choice that a corpus offers: `--name`, read as what its default is.

    A tuple is given with commas between; True or False by these words in any case, or as a switch.
    """

    name: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Declare it."""
        shown = ",".join(self.default) if isinstance(self.default, tuple) else self.default
        words = f"{self.help} ({shown})" if shown not in (None, "") else self.help
        words += f"; of {', '.join(self.choices)}" if self.choices else ""
        switch = {"nargs": "?", "const": True} if isinstance(self.default, bool) else {}
        parser.add_argument(f"--{self.name}", type=self._read, default=self.default, help=words, **switch)

    def _read(self, text: str) -> Any:
        if isinstance(self.default, tuple):
            return tuple(dict.fromkeys(self._choice(word) for word in text.replace(",", " ").split()))
        if isinstance(self.default, bool):
            if text.lower() not in ("true", "false"):
                raise argparse.ArgumentTypeError(f"got {text!r}, expected true or false")
            return text.lower() == "true"
        return self._choice(text) if isinstance(self.default, (str, type(None))) else self._number(text)

    def _choice(self, text: str) -> str:
        if self.choices and text not in self.choices:
            raise argparse.ArgumentTypeError(
                f"got {text!r}, expected one of {', '.join(self.choices)}.{did_you_mean(text, self.choices)}"
            )
        return text

    def _number(self, text: str) -> Any:
        try:
            return type(self.default)(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"got {text!r}, expected a number such as {self.default}") from error


def prepare_corpus(
    module: str,
    description: str,
    argv: Sequence[str] | None,
    prepare: Callable[..., object],
    download: Callable[..., Path] | str,
    options: Sequence[Option] = (),
) -> int:
    """Fetch and prepare a corpus as the command line says; return the exit status.

    Args:
        module: its name in data_prep, such as "ljspeech".
        prepare: called with the corpus's folder, `out`, and the values of `options` by name.
        download: called with the folder for downloads and those of the options that it takes, it returns the
            corpus's folder; or, where a licence or a form stands before it, words that say what to get, and how.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m data_prep.{module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", required=True, help="folder that gets the data directories")
    parser.add_argument("--downloads", default="downloads", help="folder for what is downloaded (downloads)")
    parser.add_argument("--corpus_dir", help="a copy that you have, unpacked; nothing is downloaded then")
    for option in options:
        option.add_to(parser)
    given = parse(parser, argv)

    def work() -> None:
        values = {option.name: getattr(given, option.name) for option in options}
        prepare(_corpus_folder(given, module, download, values), given.out, **values)

    return run(parser.prog, work)


def _corpus_folder(given: argparse.Namespace, module: str, download: Callable[..., Path] | str, values: dict) -> Path:
    if given.corpus_dir is not None:
        folder = Path(given.corpus_dir)
        if not folder.is_dir():
            raise VQAudioError(f"--corpus_dir {folder}: there is no such folder, expected the corpus unpacked")
        return folder
    if not isinstance(download, str):
        taken = inspect.signature(download).parameters
        return download(Path(given.downloads), **{name: value for name, value in values.items() if name in taken})
    folder = Path(given.downloads) / module
    if not folder.is_dir():
        raise VQAudioError(
            f"this corpus cannot be fetched automatically. {' '.join(download.split())} Unpack it as "
            f"{folder.absolute()}, or say where it is with --corpus_dir."
        )
    return folder


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse options whose names are defined with underscores and may be given with hyphens."""
    return parser.parse_args(underscored(sys.argv[1:] if argv is None else argv))


def run(name: str, action: Callable[[], object]) -> int:
    """Do `action` with the log on the terminal; return the exit status: 0, or 2 for a user's error, told in words."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        action()
    except VQAudioError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    return 0
