"""The log of the command: lines on stderr, with time and level."""

from __future__ import annotations

import logging
import sys

LOGGER = "vqaudio"


class StderrHandler(logging.Handler):
    """Writes to whatever sys.stderr is at the time, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            line = self.format(record)
            if "tqdm" in sys.modules:
                from tqdm import tqdm

                tqdm.write(line, file=sys.stderr)
            else:
                print(line, file=sys.stderr)
        except OSError:  # a terminal that went away must not end the work
            pass


def set_up_logging(quiet: bool = False, verbose: bool = False) -> None:
    """Log what the package says to stderr; a second call replaces the first.

    `quiet` shows warnings and errors alone. It leaves a training's own log file as it is.
    """
    logger = logging.getLogger(LOGGER)
    for handler in list(logger.handlers):
        if isinstance(handler, StderrHandler):
            logger.removeHandler(handler)
    handler = StderrHandler(logging.WARNING if quiet else logging.DEBUG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)


def wants_progress(quiet: bool) -> bool:
    """Whether to draw progress bars: on a terminal, unless told to be quiet."""
    return sys.stderr.isatty() and not quiet
