"""The tables that corpora come with: columns between tabs or other marks, named by a first line."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from data_prep.writing import Findings
from vqaudio.errors import VQAudioError, did_you_mean
from vqaudio.untrusted import open_regular

MAX_TEXT = 1 << 30
"""Bytes of a text that is read as a whole."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
MAX_FIELD = 1 << 24
"""Characters of a field; the csv module's own bound, 2^17, is less than some transcripts take."""


def one_line(text: str) -> str:
    """Return `text` on one line: control characters and runs of blanks become one blank, none at the ends."""
    return " ".join(_CONTROL.sub(" ", text).split())


def read_text(path: str | Path) -> str:
    """Return a text in UTF-8, plain or gzipped, with '\\n' for all line ends and without a byte-order mark.

    Raises:
        VQAudioError: it cannot be read, is not UTF-8, or takes more than MAX_TEXT bytes.
    """
    path = Path(path)
    try:
        with open_regular(path) as raw, gzip.open(raw) if path.suffix == ".gz" else raw as file:
            data = file.read(MAX_TEXT + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise VQAudioError(f"{path}: cannot be read: {error}") from error
    if len(data) > MAX_TEXT:
        raise VQAudioError(f"{path}: more than {MAX_TEXT} bytes of text")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise VQAudioError(f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8") from error


def read_lines(path: str | Path) -> list[str]:
    """Return the lines of a text; raises VQAudioError like `read_text`. Unicode's further line ends are text."""
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []


def read_rows(
    path: str | Path,
    needed: Sequence[str],
    findings: Findings,
    delimiter: str = "\t",
    quoted: bool = False,
    escape: str | None = None,
) -> Iterator[dict[str, str]]:
    """Yield the rows of a table, plain or gzipped, by the names of its first line.

    Rows with another number of fields are left out, as findings.

    Args:
        needed: columns that must be there.
        quoted: whether quotation marks enclose fields; they are letters like others, otherwise.
        escape: what stands before a delimiter, a line end or itself where these are part of a field.

    Raises:
        VQAudioError: the table cannot be read, or lacks a column.
    """
    path = Path(path)
    csv.field_size_limit(MAX_FIELD)
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    try:
        with _open(path) as file:
            reader = csv.reader(file, delimiter=delimiter, quoting=quoting, escapechar=escape)
            columns = next(reader, [])
            _check_columns(path, columns, needed)
            for row in reader:
                if len(row) == len(columns):
                    yield dict(zip(columns, row, strict=True))
                elif row:
                    kind = f"left out: a row of {path.name} with {len(row)} fields, expected {len(columns)}"
                    findings.add(f"{path.name}:{reader.line_num}", kind)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise VQAudioError(f"{path}: the table cannot be read: {error}") from error


def _open(path: Path) -> IO[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    return opener(path, "rt", encoding="utf-8-sig", newline="")


def _check_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in columns]
    if missing:
        raise VQAudioError(
            f"{path}: no column {', '.join(map(repr, missing))}; its first line is {', '.join(columns) or 'blank'}."
            f"{did_you_mean(missing[0], columns)}"
        )
