"""What the corpus modules have in common as commands: options in both spellings, the log, and users' errors."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from vqaudio.cli.parser import underscored
from vqaudio.errors import VQAudioError


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
