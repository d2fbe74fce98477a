"""Kaldi tables: text files of `key value` lines, in UTF-8, sorted in C locale, with unique keys.

`read_table` keeps every line it can make sense of and reports, as Violations, all it cannot, so that one look
names everything that has to be mended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

_BLANKS = re.compile(r"[ \t]+")
_ID_BYTES = 200  # an id becomes a file name, of which most file systems take 255 bytes


@dataclass(frozen=True)
class Violation:
    """One broken rule: the file, the line in it (None: the whole file), the rule and what is wrong."""

    file: str
    line: int | None
    rule: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.rule}: {self.message}"


@dataclass(frozen=True)
class Row:
    """The rest of one line after its key, and where it stands."""

    line: int
    value: str

    @property
    def fields(self) -> list[str]:
        """The value split at spaces and tabs."""
        return _BLANKS.split(self.value) if self.value else []


@dataclass
class Table:
    """One table: its file, its rows by key (the first of duplicate keys), and what is wrong with it."""

    file: str
    rows: dict[str, Row] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    disorder: list[int] = field(default_factory=list)  # lines that sort before the line above them

    def report(self, line: int | None, rule: str, message: str) -> None:
        """Add a violation of this file."""
        self.violations.append(Violation(self.file, line, rule, message))


def read_table(path: Path, fields: str) -> Table:
    """Read the table at `path`, whose lines have the form `fields`, such as '<utterance> <speaker>'.

    A form that ends in '...' takes any number of further fields; '[...]' allows their absence.
    """
    table = Table(str(path))
    text = _decode(path, table)
    if text is not None and not text.strip():
        table.report(None, "empty-file", f"holds no lines; expected lines of the form: {fields}")
    elif text is not None:
        for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
            _read_line(table, number, line, fields)
        _report_disorder(table)
    return table


def id_fault(name: str) -> str | None:
    """Say what makes `name` unfit as an utterance, speaker or recording id; None where it is fit."""
    bad = sorted({c for c in name if c in "/\\" or c.isspace() or not c.isprintable()})
    if bad:
        return f"id {name!r} contains {', '.join(map(repr, bad))}"
    if name.startswith((".", "-")):
        return f"id {name!r} starts with {name[0]!r}"
    if len(name.encode()) > _ID_BYTES:
        return f"id {name!r} is longer than {_ID_BYTES} bytes"
    return None


def _decode(path: Path, table: Table) -> str | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        table.report(None, "missing-file", "does not exist")
        return None
    except OSError as error:
        table.report(None, "unreadable-file", f"cannot be read: {error.strerror}")
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        table.report(line, "utf-8", f"byte 0x{data[error.start]:02x} is not UTF-8")
        text = data.decode("utf-8", errors="replace")
    if text.startswith("\ufeff"):
        table.report(1, "byte-order-mark", "starts with a byte-order mark (a file from Windows)")
    if "\r" in text:
        line = text.count("\n", 0, text.index("\r")) + 1
        table.report(line, "line-end", "has carriage returns (a file from Windows); lines must end in '\\n' alone")
    return text.removeprefix("\ufeff").replace("\r", "")


def _read_line(table: Table, number: int, line: str, fields: str) -> None:
    if not line.strip():
        table.report(number, "blank-line", "is blank")
        return
    key, _, value = line.strip(" \t").replace("\t", " ").partition(" ")
    row = Row(number, value.strip(" \t"))
    if not _count_fits(len(row.fields), fields):
        table.report(number, "fields", f"{line!r} has {len(row.fields) + 1} fields; expected: {fields}")
        return
    if fault := id_fault(key):
        table.report(number, "id", fault)
    if key in table.rows:
        table.report(number, "duplicate", f"key {key!r} stands on line {table.rows[key].line} already")
        return
    if table.rows and key < next(reversed(table.rows)):
        table.disorder.append(number)
    table.rows[key] = row


def _count_fits(values: int, fields: str) -> bool:
    """Tell whether a line with this many fields after its key has the form `fields`."""
    if fields.endswith("[...]"):
        return True
    wanted = fields.replace("...", "").count("<") - 1
    return values >= wanted if fields.endswith("...") else values == wanted


def _report_disorder(table: Table) -> None:
    if table.disorder:
        more = f" (as do {len(table.disorder) - 1} further lines)" if len(table.disorder) > 1 else ""
        table.report(
            table.disorder[0],
            "unsorted",
            f"sorts before the line above it in C locale{more}; `vqaudio data fix` sorts it",
        )
