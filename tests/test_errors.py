"""Errors are one line that any terminal takes, whatever a file is called."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.errors import AudioError, StorageError, printable, unprintable

names = st.binary().map(lambda name: name.decode("utf-8", "surrogateescape"))  # what Linux allows, and more


@given(names | st.text(st.characters(exclude_categories=["Cs"])))
def test_text_of_any_kind_becomes_one_printable_line_and_back(text):
    line = printable(text)
    assert line.isprintable()
    assert unprintable(line) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("my file.wav", "my file.wav"),
        ("a\tb\nc\rd", r"a\tb\nc\rd"),
        ("caf\udce9", r"caf\xe9"),
        ("back\\slash\\xe9", r"back\\slash\\xe9"),
        ("音é", "音é"),
        ("\x1b[31m\u202e", r"\x1b[31m\xe2\x80\xae"),
        ("\ud800", r"\xed\xa0\x80"),  # no file can be called so
    ],
)
def test_what_is_written_for_what(text, line):
    assert printable(text) == line


@pytest.mark.parametrize("kind", [AudioError, StorageError])
def test_an_error_of_a_file_is_one_line_and_survives_a_process(kind):
    error = kind("a\nb.wav", "bad\n\tin several ways")
    assert str(error) == r"a\nb.wav: bad in several ways"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.path, again.reason) == (kind, "a\nb.wav", "bad in several ways")
