"""Tables as corpora have them: columns, quotation marks, escaped tabs, and what is said of rows that do not fit."""

from __future__ import annotations

import gzip

import pytest

from data_prep.tables import one_line, read_lines, read_rows
from data_prep.writing import Findings
from vqaudio.errors import VQAudioError


def test_quotation_marks_are_letters_unless_said_otherwise(tmp_path):
    (tmp_path / "a.tsv").write_text('id\ttext\n1\t"So," he said.\n2\t"quoted"\n')
    found = Findings()
    assert [row["text"] for row in read_rows(tmp_path / "a.tsv", ["id", "text"], found)] == [
        '"So," he said.',
        '"quoted"',
    ]
    quoted = read_rows(tmp_path / "a.tsv", ["text"], found, quoted=True)
    assert [row["text"] for row in quoted][1] == "quoted"


def test_what_is_escaped_divides_nothing(tmp_path):
    (tmp_path / "a.tsv").write_text("id\ttext\n1\tone\\\ttwo\\\\three\n")
    assert list(read_rows(tmp_path / "a.tsv", ["id"], Findings(), escape="\\")) == [
        {"id": "1", "text": "one\ttwo\\three"}
    ]


def test_rows_of_another_length_are_findings(tmp_path):
    (tmp_path / "a.tsv").write_text("\ufeffid\ttext\r\n1\tone\r\n2\ttwo\textra\r\n\r\n3\tthree\r\n")
    found = Findings()
    assert [row["id"] for row in read_rows(tmp_path / "a.tsv", ["id", "text"], found)] == ["1", "3"]
    assert [(f.item, f.kind) for f in found.items] == [
        ("a.tsv:3", "left out: a row of a.tsv with 3 fields, expected 2")
    ]


def test_long_fields_of_a_gzipped_table(tmp_path):
    with gzip.open(tmp_path / "a.tsv.gz", "wt") as file:
        file.write(f"id|text\n1|{'word ' * 50_000}\n")
    (row,) = read_rows(tmp_path / "a.tsv.gz", ["id", "text"], Findings(), delimiter="|")
    assert len(row["text"]) == 250_000


def test_a_missing_column_and_a_table_that_is_cut_off_are_named(tmp_path):
    (tmp_path / "a.tsv").write_text("id\ttexts\n")
    message = r"a\.tsv: no column 'text'; its first line is id, texts\. Did you mean 'texts'"
    with pytest.raises(VQAudioError, match=message):
        list(read_rows(tmp_path / "a.tsv", ["text"], Findings()))
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(b"id\n1\n" * 1000)[:-20])
    with pytest.raises(VQAudioError, match=r"b\.tsv\.gz: the table cannot be read"):
        list(read_rows(tmp_path / "b.tsv.gz", ["id"], Findings()))


@pytest.mark.parametrize(("text", "expected"), [(" a\u2028b\tc\x00 ", "a b c"), ("é\xa0ü", "é ü"), ("", "")])
def test_one_line(text, expected):
    assert one_line(text) == expected


def test_lines_end_where_line_feeds_and_carriage_returns_are(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone\u2028still one\r\ntwo\x0bstill two\n".encode())
    assert read_lines(tmp_path / "a.txt") == ["one\u2028still one", "two\x0bstill two"]
    (tmp_path / "a.txt").write_bytes(b"")
    assert read_lines(tmp_path / "a.txt") == []
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one\n\ntwo"))
    assert read_lines(tmp_path / "a.txt.gz") == ["one", "", "two"]


def test_a_text_that_cannot_be_read_is_named_with_its_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\ntw\xf6\n")
    with pytest.raises(VQAudioError, match=r"a\.txt:2: byte 0xf6 is not UTF-8"):
        read_lines(tmp_path / "a.txt")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one\ntwo")[:-9])
    for name in ("nothing", ".", "a.txt.gz"):
        with pytest.raises(VQAudioError, match="cannot be read"):
            read_lines(tmp_path / name)


def test_findings_are_lines_whatever_they_are_of(tmp_path):
    findings = Findings()
    findings.add("a\nb\udcff", "left out: its name", "x\ty")
    findings.write(tmp_path / "findings.tsv")
    assert (tmp_path / "findings.tsv").read_text() == "a\\nb\\udcff\tleft out: its name\tx\\ty\n"
