"""What takes long shows on a terminal how far it is; nothing else is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr

import pytest

from vqaudio.corpus import progress
from vqaudio.corpus.datadir import DataDir, check
from vqaudio.corpus.fixing import fix
from vqaudio.corpus.transform import combine, split, subset


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def drawn(work: Callable[[], object], stream: io.StringIO | None = None) -> str:
    """Return what is written to the standard error stream, by default a terminal."""
    with redirect_stderr(stream or Terminal()) as shown:
        work()
    return shown.getvalue()


@pytest.fixture
def at_once(monkeypatch) -> None:
    """Draw bars as if all took long."""
    monkeypatch.setattr(progress, "DELAY", 0.0)


VERBS = {
    "validate": lambda data, out, shown: check(data, progress=shown),
    "load": lambda data, out, shown: DataDir.load(data, progress=shown),
    "fix": lambda data, out, shown: fix(data, progress=shown),
    "split": lambda data, out, shown: split(data, out, {"a": 0.5, "b": 0.5}, progress=shown),
    "subset": lambda data, out, shown: subset(data, out, first=1, progress=shown),
    "combine": lambda data, out, shown: combine([data], out, progress=shown),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_terminal_shows_progress_unless_told_not_to(data, tmp_path, at_once, verb):
    assert drawn(lambda: verb(data, tmp_path / "one", False)) == ""
    assert "audio files" in drawn(lambda: verb(data, tmp_path / "two", True))


def test_recordings_and_tables_are_counted(segmented, tmp_path, at_once):
    shown = drawn(lambda: DataDir.load(segmented).write(tmp_path / "copy"))
    assert "recordings" in shown and "copy: tables" in shown


def test_what_is_quick_shows_nothing(data):
    assert drawn(lambda: check(data)) == ""


def test_a_log_file_gets_no_bars(data, at_once):
    assert drawn(lambda: check(data), io.StringIO()) == ""
