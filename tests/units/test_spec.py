"""units.json: what it holds to the letter, what is refused, and which models fit."""

from __future__ import annotations

import dataclasses
import json

import pytest

from vqaudio.errors import UnitsError
from vqaudio.units.spec import UnitSpec, check_compatible

SPEC = UnitSpec(sample_rate=8000, hop_length=64, codebook_size=512, model_hash="3f2a9c")

GOLDEN = """\
{
  "codebook_size": 512,
  "collapsed": false,
  "format_version": 1,
  "hop_length": 64,
  "model_hash": "3f2a9c",
  "sample_rate": 8000
}
"""


def write(folder, **changes):
    content = {**dataclasses.asdict(SPEC), **changes}
    content = {key: value for key, value in content.items() if value is not None}
    (folder / "units.json").write_text(json.dumps(content))


def test_golden_file():
    assert SPEC.to_json() == GOLDEN


def test_golden_file_is_read(tmp_path):
    (tmp_path / "units.json").write_text(GOLDEN)
    assert UnitSpec.load(tmp_path) == SPEC


def test_unit_rate():
    assert SPEC.unit_rate == 125.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_hash": None}, "lacks model_hash"),
        ({"hop_lenght": 64}, "'hop_lenght'. Did you mean 'hop_length'"),
        ({"codebook_size": 512.0}, "codebook_size is 512.0, expected a positive integer"),
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"hop_length": True}, "hop_length is True"),
        ({"collapsed": "no"}, "collapsed is 'no', expected true or false"),
        ({"model_hash": ""}, "model_hash is ''"),
        ({"model_hash": "\x1b[2J"}, r"model_hash is '\x1b[2J'"),
        ({"codebook_size": 10**18}, "codebook_size is 1000000000000000000, expected at most 1048576"),
        ({"sample_rate": 10**9}, "sample_rate is 1000000000, expected at most"),
        ({"hop_length": float("nan")}, "hop_length is nan, expected a positive integer"),
        ({"format_version": 2}, "format version 2; this vqaudio reads version 1"),
    ],
)
def test_bad_content_is_refused_with_file_and_reason(tmp_path, changes, words):
    write(tmp_path, **changes)
    with pytest.raises(UnitsError) as caught:
        UnitSpec.load(tmp_path)
    assert words in str(caught.value)
    assert str(tmp_path / "units.json") in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "not a JSON file"), ("[1]", "holds a list"), ("\xff", "not a JSON file"), ("[" * 50000, "nested too")],
)
def test_unreadable_content_is_refused(tmp_path, content, words):
    (tmp_path / "units.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UnitsError, match=words):
        UnitSpec.load(tmp_path)


def test_missing_file_and_missing_folder_are_told_apart(tmp_path):
    with pytest.raises(UnitsError, match="not written to the end"):
        UnitSpec.load(tmp_path)
    with pytest.raises(UnitsError, match="no such folder"):
        UnitSpec.load(tmp_path / "absent")


def test_compatible_whatever_the_runs():
    check_compatible(dataclasses.replace(SPEC, collapsed=True), SPEC)


@pytest.mark.parametrize(
    "change", [{"sample_rate": 16000}, {"hop_length": 320}, {"codebook_size": 256}, {"model_hash": "77aa"}]
)
def test_another_model_is_refused_naming_both(change):
    other = dataclasses.replace(SPEC, **change)
    with pytest.raises(UnitsError) as caught:
        check_compatible(SPEC, other, units="exp/units")
    message = str(caught.value)
    assert SPEC.describe() in message and other.describe() in message
    assert "exp/units" in message and f"differing: {next(iter(change))}" in message
