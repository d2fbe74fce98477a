"""Small files that anyone may have written: what is taken, what is refused, and that neither waits nor runs out."""

import json
import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.untrusted import (
    LARGEST_YAML,
    LONGEST_SHOWN,
    parse_json,
    parse_yaml,
    read_json,
    read_text,
    read_yaml,
    shown,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=PLAIN)
def test_plain_values_survive_json_and_yaml(value):
    assert parse_json(json.dumps(value)) == value
    text = yaml.safe_dump(value)
    assert parse_yaml(text) == yaml.safe_load(text)


@given(data=st.binary(max_size=200) | st.text(alphabet="-:?*&!|>[]{},#%@` \n\tab01.~<\"'", max_size=60))
def test_any_bytes_give_a_value_or_one_line(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    for read in (read_yaml, read_json):
        try:
            read(path)
        except ValueError as error:
            assert "\n" not in str(error)


def refused(read, given) -> str:
    with pytest.raises(ValueError) as error:
        read(given)
    return str(error.value)


@pytest.mark.parametrize("make", [
    lambda path: path.mkdir(),
    lambda path: os.mkfifo(path),
    lambda path: path.symlink_to("/dev/zero"),
], ids=["a folder", "a pipe", "a device"])  # fmt: skip
def test_what_is_no_file_is_refused_without_waiting(make, tmp_path, request):
    path = tmp_path / "x"
    make(path)
    for read in (read_json, read_yaml):
        assert refused(read, path) == f"it is {request.node.callspec.id}, expected a file"


def test_a_missing_file_and_a_link_to_itself_are_the_systems_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "none")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        read_yaml(tmp_path / "loop")


def test_a_file_is_read_up_to_a_size(tmp_path):
    path = tmp_path / "x"
    path.write_text("x" * 10)
    assert read_text(path, 10) == "x" * 10
    assert refused(lambda p: read_text(p, 9), path) == "it has 10 bytes, expected at most 9"
    path.write_text("#" * (LARGEST_YAML + 1))
    assert "expected at most 65,536" in refused(read_yaml, path)
    path.write_bytes(b"ab\xff")
    assert refused(read_yaml, path) == "it is not UTF-8 text (byte 3)"


@pytest.mark.parametrize(("text", "words"), [
    ("a: &x [1]\nb: *x", "*x repeats a list or a mapping, expected it written out (line 2, column 4)"),
    ("a: &x {b: 1}\nc: {<<: *x}", "*x repeats a list or a mapping"),
    ("a: 1\nb: 2\na: 3", "the key 'a' is there twice (line 3, column 1)"),
    ("!!python/object/apply:os.getpid []", "could not determine a constructor"),
    ("[" * 5000, "nested too deeply"),
    ("2001-99-99", "a value is not what its tag says"),
    ("!!bool x", "a value is not what its tag says"),
    ("!!timestamp x", "a value is not what its tag says"),
    ("9" * 5000, "a value is not what its tag says"),
    ("a: [", "expected the node content"),
])  # fmt: skip
def test_yaml_that_is_refused(text, words):
    assert words in refused(parse_yaml, text)


def test_a_single_value_may_be_repeated():
    assert parse_yaml("a: &size 64\nb: *size\nc: [*size, *size]") == {"a": 64, "b": 64, "c": [64, 64]}


@pytest.mark.parametrize(("text", "words"), [
    ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is there twice"),
    ('{"a":' * 99999, "nested too deeply"),
    ("{", "line 1 column 2"),
])  # fmt: skip
def test_json_that_is_refused(text, words):
    assert words in refused(parse_json, text)


def test_values_are_shown_short():
    assert shown("x") == "'x'" and shown([1, None]) == "[1, None]"
    assert len(shown("x" * 10**6)) < 200 and len(shown([[["x" * 99] * 99] * 99] * 99)) == LONGEST_SHOWN + 1
    assert shown("\x1b[2J\n") == r"'\x1b[2J\n'"
    assert shown(16**9999) == "a int of very many digits"
