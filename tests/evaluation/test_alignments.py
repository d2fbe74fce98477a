"""Alignments: what is read of phones.ctm, and the label of each unit against whole-number arithmetic."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.alignments import Segment, read_alignments, unit_labels


def written(folder: Path, text: str) -> Path:
    (folder / "phones.ctm").write_text(text, encoding="utf-8")
    return folder


def test_segments_are_read_in_order_of_time(tmp_path):
    read = read_alignments(written(tmp_path, "b 1 0.5 0.25 s\na A 0 1 sil\nb 1 0.0 0.25 h# \n"))
    assert read == {"b": [Segment(0.0, 0.25, "h#"), Segment(0.5, 0.75, "s")], "a": [Segment(0.0, 1.0, "sil")]}


def test_confidences_and_comments_of_nist_are_passed_over(tmp_path):
    assert read_alignments(written(tmp_path, ";; made by hand\na 1 0 1 sil 0.93\n")) == {"a": [Segment(0, 1, "sil")]}


def test_without_a_file_there_are_no_alignments(tmp_path):
    assert read_alignments(tmp_path) == {}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a 1 0.0 0.1", "expected 'utterance channel start duration phone"),
        ("", "expected 'utterance channel"),
        ("a 1 zero 0.1 s", "expected 'utterance channel"),
        ("a 1 0.0 0.1 s t", "expected 'utterance channel"),  # a label with a blank, not a confidence
        ("a 1 0.0 0.1 s 1 1", "expected 'utterance channel"),
        ("a 1 -0.1 0.1 s", "start -0.1 and duration 0.1, expected seconds"),
        ("a 1 0.1 -0.1 s", "expected seconds"),
        ("a 1 nan 0.1 s", "expected seconds"),
        ("a 1 0 inf s", "expected seconds"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, words):
    with pytest.raises(VQAudioError, match=rf"phones\.ctm:2: .*{words}"):
        read_alignments(written(tmp_path, f"a 1 5 1 sil\n{line}\n"))


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "phones.ctm").write_bytes(b"a 1 0 1 \xff\n")
    with pytest.raises(VQAudioError, match=r"phones\.ctm: the alignments cannot be read"):
        read_alignments(tmp_path)


def test_an_overlap_is_refused_and_one_of_rounding_is_not(tmp_path):
    with pytest.raises(VQAudioError, match=r"phones\.ctm: a: .*overlap"):
        read_alignments(written(tmp_path, "a 1 0.1 0.202 s\na 1 0.3 0.1 t\n"))
    # In milliseconds, 1 of overlap; in floats, a little more than 1e-3.
    read = read_alignments(written(tmp_path, "a 1 0.1 0.201 s\na 1 0.3 0.1 t\n"))
    assert [(s.start, s.end) for s in read["a"]] == [(0.1, 0.3), (0.3, 0.4)]


def test_a_gap_of_rounding_is_closed_and_another_is_not(tmp_path):
    read = read_alignments(written(tmp_path, "a 1 0.1 0.199 s\na 1 0.3 0.1 t\na 1 0.402 0.1 k\n"))
    assert [(s.start, s.end) for s in read["a"]] == [(0.1, 0.3), (0.3, 0.4), (0.402, 0.502)]


def test_labels_by_hand():
    # Four units a second: centres at 0.125, 0.375, 0.625, 0.875, … The end of a segment is not part of it.
    segments = [Segment(0.125, 0.375, "a"), Segment(0.375, 0.5, "b"), Segment(0.8, 0.87, "c"), Segment(1.0, 9.0, "d")]
    assert unit_labels(segments, 6, 4.0) == ["a", "b", None, None, "d", "d"]


@pytest.mark.parametrize(
    ("segments", "units"), [([], 3), ([Segment(5.0, 6.0, "s")], 3), ([Segment(1.0, 1.0, "s")], 30)]
)
def test_units_outside_of_segments_have_no_label(segments, units):
    assert unit_labels(segments, units, 10.0) == [None] * units


@given(st.lists(st.integers(20, 900), min_size=1, max_size=30), st.sampled_from([64, 128, 160, 213, 320]), st.data())
def test_every_unit_of_a_gapless_alignment_has_the_phone_at_its_centre(tmp_path_factory, lengths, hop, data):
    # In samples at 16 kHz, as TIMIT is marked; the file rounds to microseconds, a 60th of a sample.
    bounds = [sum(lengths[:n]) for n in range(len(lengths) + 1)]
    first = data.draw(st.integers(0, 20000))
    bounds = [first + bound for bound in bounds]
    rows = [f"u 1 {a / 16000:.6f} {(b - a) / 16000:.6f} p{n}" for n, (a, b) in enumerate(itertools.pairwise(bounds))]
    folder = written(tmp_path_factory.mktemp("ctm"), "\n".join(rows) + "\n")
    count = bounds[-1] // hop + 2
    labels = unit_labels(read_alignments(folder)["u"], count, 16000 / hop)
    for unit, label in enumerate(labels):
        centre = (2 * unit + 1) * hop  # in half samples, as the bounds below
        inside = [f"p{n}" for n, (a, b) in enumerate(itertools.pairwise(bounds)) if 2 * a <= centre <= 2 * b]
        # A centre on a boundary may fall on either side of it, by rounding; at the outer ones, outside.
        outer = centre in (2 * bounds[0], 2 * bounds[-1])
        assert label in (inside or [None]) or (outer and label is None)
