"""Tables read in bulk are those that reading line by line would give, with the same violations."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vqaudio.corpus.tables import Table, id_fault, read_table

FORMS = {
    "exact": "<utterance> <recording> <start> <end>",
    "pair": "<utterance> <speaker>",
    "open": "<recording> <path>...",
    "free": "<utterance> [...]",
}
Places = list[tuple[int | None, str]]


def by_line(text: str, form: str) -> tuple[dict[str, tuple[int, list[str]]], Places]:
    """Read a table plainly: line and fields of each key, and line and rule of each violation."""
    if not text.strip():
        return {}, [(None, "empty-file")]
    rows, places, disorder = {}, [], []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        if not line.strip():
            places.append((number, "blank-line"))
            continue
        key, *fields = re.split(r"[ \t]+", line.strip(" \t"))
        wanted = form.replace("...", "").count("<") - 1
        open_form = form.endswith("...") or form.endswith("[...]")
        if not form.endswith("[...]") and (len(fields) < wanted or (len(fields) > wanted and not open_form)):
            places.append((number, "fields"))
            continue
        if id_fault(key):
            places.append((number, "id"))
        if key in rows:
            places.append((number, "duplicate"))
            continue
        if rows and key < next(reversed(rows)):
            disorder.append(number)
        rows[key] = (number, fields)
    return rows, places + [(number, "unsorted") for number in disorder[:1]]


words = st.text("ab.-/é中\u00a0\u3000\x0b", min_size=1, max_size=3)
blanks = st.sampled_from([" ", " ", " ", "  ", "\t", " \t"])
lines = st.lists(st.tuples(words, blanks), max_size=5).map(lambda pairs: "".join(w + b for w, b in pairs))
edges = st.sampled_from(["", "", " ", "\t"])
tables = st.lists(st.tuples(edges, lines.map(str.rstrip) | lines).map("".join), max_size=8).map("\n".join)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@settings(deadline=None, max_examples=150)
@given(text=tables, ends=st.booleans())
@example(text="a " + "x" * 300 + "\n" + "k" * 300 + " b", ends=True)  # a key too wide for the array of all
@example(text="b 1 2 3\na 1 2 3\nb 1 2 3\nb 2\n\na", ends=False)
def test_bulk_and_line_by_line_agree(tmp_path_factory, form, text, ends):
    path = tmp_path_factory.getbasetemp() / "table"
    path.write_bytes((text + "\n" * ends).encode())
    table = read_table(path, form)
    rows, places = by_line(text + "\n" * ends, form)
    assert {key: (row.line, row.fields) for key, row in table.rows.items()} == rows
    assert sorted((v.line or 0, v.rule) for v in table.violations) == sorted((line or 0, rule) for line, rule in places)


def many(count: int) -> Iterator[str]:
    """Yield plain lines."""
    return (f"s{i // 100:04d}-{i:06d} some words of utterance {i}\n" for i in range(count))


def table_of(tmp_path, text: str) -> Table:
    path = tmp_path / "text"
    path.write_text(text, encoding="utf-8")
    return read_table(path, "<utterance> [...]")


def test_one_odd_line_among_thousands_is_found_with_its_number(tmp_path):
    plain = list(many(40_000))
    assert table_of(tmp_path, "".join(plain)).violations == []
    plain[33_333] = "\n"
    plain[35_000] = plain[35_000].replace(" some", "\x07 some")
    plain[37_000] = plain[0]
    table = table_of(tmp_path, "".join(plain))
    assert [(v.line, v.rule) for v in table.violations] == [
        (33_334, "blank-line"), (35_001, "id"), (37_001, "duplicate"),
    ]  # fmt: skip
    assert "stands on line 1 already" in table.violations[2].message
    assert len(table) == 39_998 and table.rows["s0399-039999"].line == 40_000


def test_a_byte_that_is_not_utf8_is_found_however_far_down(tmp_path):
    lines = [line.replace("words", "wörter").encode() for line in many(200_000)]  # more than is decoded at a time
    lines[150_000] = b"s1500-150000 \xff\n"
    (tmp_path / "text").write_bytes(b"".join(lines))
    (violation,) = read_table(tmp_path / "text", "<utterance> [...]").violations
    assert (violation.line, violation.rule) == (150_001, "utf-8") and "0xff" in violation.message


def test_a_table_is_no_object_per_line(tmp_path):
    text = "".join(many(20_000))
    gc.collect()
    before = len(gc.get_objects())
    table = table_of(tmp_path, text)
    gc.collect()
    assert len(table) == 20_000 and len(gc.get_objects()) - before < 1000


def test_rows_are_a_mapping(tmp_path):
    rows = table_of(tmp_path, "a x y\nb\n").rows
    assert list(rows) == ["a", "b"] and len(rows) == 2 and "c" not in rows
    assert (rows["a"].value, rows["a"].fields, rows["b"].value, rows["b"].fields) == ("x y", ["x", "y"], "", [])
    assert rows.get("c") is None


@pytest.mark.parametrize(
    ("line", "rules"),
    [(b"a " + b"x " * 3_000_000, []), (b"x" * 6_000_000, ["id"]), (b"\t" * 6_000_000, ["blank-line"])],
    ids=["words", "id", "blanks"],
)
def test_a_line_of_megabytes_is_a_line_like_others(tmp_path, line, rules):
    (tmp_path / "text").write_bytes(b"A b\n" + line + b"\nzz c\n")
    table = read_table(tmp_path / "text", "<utterance> [...]")
    assert [(violation.line, violation.rule) for violation in table.violations] == [(2, rule) for rule in rules]
    assert table.rows["zz"].line == 3 and all(len(violation.message) < 1000 for violation in table.violations)


def test_a_tab_within_a_value_stays(tmp_path):
    assert table_of(tmp_path, "a\tx\ty \n").rows["a"].value == "x\ty"
