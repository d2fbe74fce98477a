"""Kaldi tables: text files of `key value` lines, in UTF-8, sorted in C locale, with unique keys.

`read_table` keeps every line it can make sense of and reports, as Violations, all it cannot, so that one look
names everything that has to be mended. A table is kept as the bytes of its file; what all lines have to obey is
checked in bulk (`vqaudio.corpus.lines`), and only a line that is not plain is looked at by itself.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vqaudio.corpus.lines import ID_BYTES, Form, find_lines, find_odd
from vqaudio.corpus.strings import Strings
from vqaudio.untrusted import open_regular

_BLANKS = re.compile(r"[ \t]+")
_KEY = re.compile(rb"([^ \t]+)[ \t]*")
_DECODED = 1 << 22  # bytes whose encoding is checked at a time
_SHOWN = 500  # characters of a message, and
_QUOTED = 200  # of what it repeats: a line may have a hundred million
_COUNTED = 1000  # fields of a line that are counted


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: the file, the line in it (None: the whole file), the rule and what is wrong."""

    file: str
    line: int | None
    rule: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.rule}: {self.message}"


@dataclass(frozen=True, slots=True)
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
    """One table: its file, the keys and values of its rows (the first of duplicate keys), and what is wrong with it.

    `lines` (n,) holds the number of each row's line in the file, counted from 1.
    """

    file: str
    keys: Strings = field(default_factory=lambda: Strings.of(()))
    values: Strings = field(default_factory=lambda: Strings.of(()))
    lines: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint32))
    violations: list[Violation] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def rows(self) -> Mapping[str, Row]:
        """The rows by key, each made when it is asked for."""
        return _Rows(self)

    def report(self, line: int | None, rule: str, message: str) -> None:
        """Add a violation of this file. What cannot be printed is escaped, and a long message cut."""
        self.violations.append(Violation(self.file, line, rule, _readable(message)))

    def report_row(self, row: int, rule: str, message: str) -> None:
        """Add a violation of this file on the line of a row."""
        self.report(int(self.lines[row]), rule, message)

    def keep(self, rows: np.ndarray) -> None:
        """Keep these rows (numbers, or a mask of all), and drop the others."""
        self.keys, self.values, self.lines = self.keys.take(rows), self.values.take(rows), self.lines[rows]


class _Rows(Mapping[str, Row]):
    """The rows of a table by key."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._places: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.keys)

    def __getitem__(self, key: str) -> Row:
        if self._places is None:
            self._places = {key: row for row, key in enumerate(self._table.keys)}
        row = self._places[key]
        return Row(int(self._table.lines[row]), self._table.values[row])


def read_table(path: Path, fields: str) -> Table:
    """Read the table at `path`, whose lines have the form `fields`, such as '<utterance> <speaker>'.

    A form that ends in '...' takes any number of further fields; '[...]' allows their absence.
    """
    table = Table(str(path))
    data = _read_text(path, table)
    if data is None:
        return table
    if _is_blank(data):
        table.report(None, "empty-file", f"holds no lines; expected lines of the form: {fields}")
        return table
    _fill(table, data if data.endswith(b"\n") else data + b"\n", Form(fields))
    disorder = _drop_duplicates(table)
    table.violations.sort(key=lambda violation: violation.line or 0)
    _report_disorder(table, disorder)
    return table


def id_fault(name: str) -> str | None:
    """Say what makes `name` unfit as an utterance, speaker or recording id; None where it is fit."""
    bad = sorted({c for c in set(name) if c in "/\\" or c.isspace() or not c.isprintable()})
    if bad:
        return f"id {_quoted(name)} contains {', '.join(map(repr, bad[:5]))}"
    if name.startswith((".", "-")):
        return f"id {_quoted(name)} starts with {name[0]!r}"
    if len(name.encode()) > ID_BYTES:
        return f"id {_quoted(name)} is longer than {ID_BYTES} bytes"
    return None


def key_fault(key: bytes) -> str | None:
    """Say what makes a key unfit as an id, but for bytes that are not UTF-8, which are a fault of the file."""
    return id_fault(key.decode("utf-8", "replace"))


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _QUOTED else f"{text[: _QUOTED // 2]} … {text[-_QUOTED // 2 :]}")


def _readable(message: str) -> str:
    if len(message) > _SHOWN:
        message = f"{message[: _SHOWN // 2]} … {message[-_SHOWN // 2 :]}"
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


# ------------------------------------------------------------------------------------- from bytes to UTF-8 lines


def _read_text(path: Path, table: Table) -> bytes | None:
    """Return the file without byte-order mark and the carriage returns of line ends, having reported them."""
    data = _read_bytes(path, table)
    if data is None:
        return None
    for line, byte in _not_utf8(data):
        table.report(line, "utf-8", f"byte 0x{byte:02x} is not UTF-8")
    if data.startswith(b"\xef\xbb\xbf"):
        table.report(1, "byte-order-mark", "starts with a byte-order mark (a file from Windows)")
        data = data[3:]
    if count := data.count(b"\r"):
        message = f"has carriage returns, {count} in all (a file from Windows); lines must end in '\\n' alone"
        table.report(data.count(b"\n", 0, data.index(b"\r")) + 1, "line-end", message)
        data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
    return data


def _read_bytes(path: Path, table: Table) -> bytes | None:
    try:
        with open_regular(path) as file:
            return file.read()
    except FileNotFoundError:
        if path.is_symlink():
            table.report(None, "unreadable-file", f"is a link to {os.readlink(path)!r}, which is not there")
        else:
            table.report(None, "missing-file", "does not exist")
    except OSError as error:
        table.report(None, "unreadable-file", f"cannot be read: {error.strerror}")
    except ValueError as error:
        table.report(None, "unreadable-file", f"cannot be read: {error}")
    except MemoryError:
        table.report(None, "unreadable-file", f"cannot be read: {path.stat().st_size} bytes do not fit into memory")
    return None


def _not_utf8(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the number of each line that is not UTF-8, and the first byte of it that is not."""
    if data.isascii():
        return
    first, number = 0, 1
    while first < len(data):  # in pieces that end with a line: the text of a whole file may take four times its bytes
        end = data.find(b"\n", first + _DECODED) + 1 or len(data)
        piece = data[first:end]
        if _wrong_byte(piece) is not None:
            for line, raw in enumerate(piece.split(b"\n"), number):
                if (wrong := _wrong_byte(raw)) is not None:
                    yield line, wrong
        first, number = end, number + piece.count(b"\n")


def _wrong_byte(data: bytes) -> int | None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data[error.start]
    return None


def _is_blank(data: bytes) -> bool:
    """Tell whether there is nothing but blanks, those of Unicode included, and line ends."""
    if data and 0x20 < data[0] < 0x7F:
        return False
    first = 0
    while first < len(data):
        end = data.find(b"\n", first + _DECODED) + 1 or len(data)
        if not data[first:end].decode("utf-8", "surrogateescape").isspace():
            return False
        first = end
    return True


# ------------------------------------------------------------------------------------------- from lines to rows


def _fill(table: Table, data: bytes, form: Form) -> None:
    """Give the table a row for each line of `data` that can be made sense of, and report the others."""
    lines = find_lines(data)
    numbers = np.arange(1, len(lines.starts) + 1, dtype=np.uint32)
    pieces, dropped, done = [], array("q"), 0
    for index in find_odd(data, lines, form):
        start = int(lines.starts[index])
        end = start + int(lines.lengths[index])
        plain = _read_line(table, int(index) + 1, data[start:end], form)
        if plain is None:
            dropped.append(index)
        if plain != data[start:end]:
            if start > done:
                pieces.append(memoryview(data)[done:start])
            if plain is not None:
                pieces.append(plain + b"\n")
            done = end + 1
    if done:
        data = b"".join([*pieces, memoryview(data)[done:]])
        lines, numbers = (find_lines(data) if data else None), np.delete(numbers, dropped)
    if data:
        values = np.maximum(lines.lengths - lines.key_lengths - 1, 0)
        value_starts = lines.starts + (lines.lengths - values).astype(lines.starts.dtype)
        table.keys = Strings(data, lines.starts, lines.key_lengths)
        table.values, table.lines = Strings(data, value_starts, values), numbers


def _read_line(table: Table, number: int, line: bytes, form: Form) -> bytes | None:
    """Return a line as 'key value', without other blanks around them; None, having said why, where it is no row."""
    if _is_blank(line):
        table.report(number, "blank-line", "is blank")
        return None
    row = line.strip(b" \t")
    key = _KEY.match(row)
    value = row[key.end() :]
    if form.is_open:
        fields, fits = [value] if value else [], form.fits(1 if value else 0)
    else:
        fields = re.split(rb"[ \t]+", value, maxsplit=_COUNTED) if value else []
        fits = form.fits(len(fields))
    if not fits:
        count = f"{len(fields) + 1}" if len(fields) < _COUNTED else f"more than {_COUNTED}"
        shown = _quoted(line.decode("utf-8", "surrogateescape"))
        table.report(number, "fields", f"{shown} has {count} fields; expected: {form.text}")
        return None
    if fault := key_fault(key[1]):
        table.report(number, "id", fault)
    return b" ".join([key[1], *fields])


def _drop_duplicates(table: Table) -> np.ndarray:
    """Drop the rows whose key stood before, reporting them; return the lines that sort before the line above them."""
    keys = table.keys.padded()
    if np.all(keys[1:] > keys[:-1]):
        return table.lines[:0]
    order = np.argsort(keys, kind="stable")
    repeats = np.concatenate([[False], keys[order][1:] == keys[order][:-1]])
    firsts = order[np.maximum.accumulate(np.where(repeats, 0, np.arange(len(order))))]
    for row, first in sorted(zip(order[repeats].tolist(), firsts[repeats].tolist(), strict=True)):
        table.report_row(row, "duplicate", f"key {table.keys[row]!r} stands on line {table.lines[first]} already")
    kept = np.sort(order[~repeats])
    table.keep(kept)
    keys = keys[kept]
    return table.lines[1:][keys[1:] < keys[:-1]]


def _report_disorder(table: Table, disorder: np.ndarray) -> None:
    if len(disorder):
        more = f" (as do {len(disorder) - 1} further lines)" if len(disorder) > 1 else ""
        table.report(
            int(disorder[0]),
            "unsorted",
            f"sorts before the line above it in C locale{more}; `vqaudio data fix` sorts it",
        )
