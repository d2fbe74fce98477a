"""What every test starts from."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def logging_restored() -> Iterator[None]:
    """Take back what the block changes in the package's logging: the command line sets it up for the whole process."""
    logger = logging.getLogger("vqaudio")
    handlers, level = list(logger.handlers), logger.level
    try:
        yield
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)


@pytest.fixture(autouse=True)
def own_logging():
    """Keep a test's logging to itself. Fixtures of modules and sessions, which come before, see to it themselves."""
    with logging_restored():
        yield


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Let the processes that tests start be interrupted: started in the background, a shell ignores SIGINT for all."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
