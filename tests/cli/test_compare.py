"""`compare`: names that tell experiments apart, and mistakes that are named."""

from __future__ import annotations

import pytest

from vqaudio.cli.compare import shortest_names
from vqaudio.evaluation.results import Results, write_results


@pytest.fixture
def scored(tmp_path):
    for name, accuracy in (("base", 0.4), ("small", 0.3)):
        write_results(tmp_path / name, Results({"phone_accuracy": accuracy}))
    return tmp_path


def test_tables_are_printed_or_written(scored, run):
    out, _ = run("compare", scored / "base", scored / "small")
    assert "|  | base | small | unit | better |" in out and "| **40.0** | 30.0 |" in out
    printed, _ = run("compare", scored / "base", scored / "small", "--out", scored / "table.md")
    assert printed == f"{scored / 'table.md'}\n" and (scored / "table.md").read_text() == out


def test_what_is_not_scored_is_named(scored, fail):
    missing = scored / "other/results.json"
    assert f"{missing}: missing" in fail("compare", scored / "base", scored / "other")
    assert "the same experiment twice" in fail("compare", scored / "base", scored / "base")


def test_names_are_as_short_as_tells_them_apart(tmp_path):
    a, b = tmp_path / "one/scores/timit", tmp_path / "two/scores/timit"
    assert shortest_names([a, b]) == ["one/scores/timit", "two/scores/timit"]
    assert shortest_names([a, tmp_path / "two"]) == ["timit", "two"]
