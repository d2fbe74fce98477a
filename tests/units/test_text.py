"""units.txt and durations.txt: the bytes, the round trip, and every malformed line named by file and line."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.errors import UnitsError, VQAudioError
from vqaudio.units import UnitSpec, collapse, read_frame_units, read_units, write_units
from vqaudio.units.text import read_plain_units

SPEC = UnitSpec(sample_rate=8000, hop_length=64, codebook_size=16, model_hash="3f2a9c")
COLLAPSED = dataclasses.replace(SPEC, collapsed=True)
UNITS = {"anna-1": [3, 3, 15], "Bob-2": [0], "éva-1": [7, 7]}

UTTERANCES = st.text(st.characters(whitelist_categories=("L", "N", "P", "S")), min_size=1, max_size=8)
SEQUENCES = st.lists(st.integers(0, 15), min_size=1, max_size=20)


def folder_with(tmp_path, text: bytes | str, spec: UnitSpec = SPEC):
    write_units(tmp_path, UNITS.items(), SPEC)
    (tmp_path / "units.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "units.json").write_text(spec.to_json())
    return tmp_path


def error_of(path) -> str:
    with pytest.raises(UnitsError) as caught:
        read_units(path)
    return str(caught.value)


def test_golden_file(tmp_path):
    write_units(tmp_path, UNITS.items(), SPEC)
    assert (tmp_path / "units.txt").read_bytes() == "Bob-2 0\nanna-1 3 3 15\néva-1 7 7\n".encode()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["units.json", "units.txt"]


def test_golden_collapsed_files(tmp_path):
    write_units(tmp_path, [("b", [5]), ("a", [3, 15])], COLLAPSED, durations={"b": [4], "a": [2, 1]})
    assert (tmp_path / "units.txt").read_text() == "a 3 15\nb 5\n"
    assert (tmp_path / "durations.txt").read_text() == "a 2 1\nb 4\n"
    frames, spec = read_frame_units(tmp_path)
    assert {utt: units.tolist() for utt, units in frames.items()} == {"a": [3, 3, 15], "b": [5, 5, 5, 5]}
    assert spec == COLLAPSED


@settings(max_examples=30, deadline=None)  # each example writes files; fsync may be slow
@given(st.dictionaries(UTTERANCES, SEQUENCES, min_size=1, max_size=5), st.booleans())
def test_round_trip(tmp_path_factory, units, collapsed):
    folder = tmp_path_factory.mktemp("units")
    if collapsed:
        runs = {utt: collapse(sequence) for utt, sequence in units.items()}
        durations = {utt: lengths for utt, (_, lengths) in runs.items()}
        write_units(folder, [(utt, values) for utt, (values, _) in runs.items()], COLLAPSED, durations)
    else:
        write_units(folder, units.items(), SPEC)
    restored, _ = read_frame_units(folder)
    assert {utt: sequence.tolist() for utt, sequence in restored.items()} == units
    assert list(restored) == sorted(units, key=str.encode)  # C locale: by bytes
    assert all(sequence.dtype == np.int64 for sequence in restored.values())


def test_path_may_be_the_folder_or_its_file(tmp_path):
    write_units(tmp_path, UNITS.items(), SPEC)
    assert read_units(tmp_path)[1] == read_units(tmp_path / "units.txt")[1] == SPEC
    with pytest.raises(UnitsError, match="expected a folder of units"):
        read_units(tmp_path / "units.json")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("b 1 x 2", "'x' of 'b' is not a unit"),
        ("b 1 1.0", "'1.0' of 'b' is not a unit"),
        ("b 1 -1", "'-1' of 'b' is not a unit"),
        ("b 1 1_0", "'1_0' of 'b' is not a unit"),
        ("b 1 ٣", "'٣' of 'b' is not a unit"),
        ("b 1\u00a02", "'1\\xa02' of 'b' is not a unit"),
        ("b 99999999999999999999", "is not a unit"),
        ("b 3 16", "16 of 'b' is outside the codebook: expected units from 0 to 15"),
        ("b", "'b' has no units"),
        ("b  ", "'b' has no units"),
        ("b" * 10**6, "bbb' has no units"),
        ("", "the line is blank"),
        ("a 1", "utterance 'a' was given before"),
        ("A 1", "'A' comes after 'a': not sorted"),
    ],
)
def test_malformed_line_is_named(tmp_path, line, words):
    folder = folder_with(tmp_path, f"a 1 2\n{line}\nc 3\n")
    message = error_of(folder)
    assert message.startswith(f"{folder / 'units.txt'}:2: ")
    assert words in message
    assert len(message) < 1000
    assert "\n" not in message  # the good lines around it are not blamed


def test_all_problems_at_once_and_a_count_of_the_rest(tmp_path):
    bad = "".join(f"u{n:02d} x\n" for n in range(13))
    message = error_of(folder_with(tmp_path, bad))
    assert "units.txt:1:" in message and "units.txt:10:" in message
    assert message.endswith("… and 3 more")


@pytest.mark.parametrize("durations", ["1 1000000000000", f"{10**18 - 1} {10**18 - 1}"])
def test_durations_of_more_than_memory_are_refused_before_they_are_restored(tmp_path, durations):
    write_units(tmp_path, [("a", [1, 2])], dataclasses.replace(SPEC, collapsed=True), {"a": [1, 1]})
    (tmp_path / "durations.txt").write_text(f"a {durations}\n")
    with pytest.raises(VQAudioError, match=r"durations\.txt: [\d,]+ units, .* GB of memory"):
        read_frame_units(tmp_path)


def test_a_line_without_end_is_not_read_to_it(tmp_path):
    folder = folder_with(tmp_path, "a 1\n")
    os.truncate(folder / "units.txt", 1 << 40)
    assert error_of(folder).endswith("units.txt:2: the line is longer than 67,108,864 bytes")


def test_not_utf8(tmp_path):
    assert "units.txt:1: not UTF-8 (byte 2" in error_of(folder_with(tmp_path, b"a\xff 1\n"))


def test_file_cut_short_is_noticed(tmp_path):
    message = error_of(folder_with(tmp_path, "a 1\nb 1"))
    assert "units.txt:2: the last line does not end in a newline" in message


def test_empty_file(tmp_path):
    assert "empty" in error_of(folder_with(tmp_path, ""))


def test_spaces_tabs_and_windows_newlines_are_read(tmp_path):
    units, _ = read_units(folder_with(tmp_path, "a\t1  2 \r\nb 3\n"))
    assert {utt: sequence.tolist() for utt, sequence in units.items()} == {"a": [1, 2], "b": [3]}


@pytest.mark.parametrize(
    ("durations", "words"),
    [
        ("a 1\n", "'a' has 2 collapsed units but 1 durations"),
        ("a 1 0\n", "durations.txt:1: 0 of 'a' is below 1"),
        ("b 1 1\n", "durations.txt: 'a' has no durations"),
        ("a 1 1\nb 2\n", "durations.txt: 'b' has no units"),
        (None, "durations.txt: missing"),
    ],
)
def test_durations_that_do_not_fit(tmp_path, durations, words):
    folder = folder_with(tmp_path, "a 1 2\n", COLLAPSED)
    if durations is not None:
        (folder / "durations.txt").write_text(durations)
    with pytest.raises(UnitsError) as caught:
        read_frame_units(folder)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([("a", [1]), ("a", [2])], "'a' is given twice"),
        ([("a b", [1])], "'a b': expected text without spaces"),
        ([("", [1])], "utterance id ''"),
        ([("a", [])], "a: units of shape (0,)"),
        ([("a", [1.5])], "expected integers"),
        ([("a", [[1]])], "shape (1, 1)"),
        ([("a", [16])], "16 of 'a' is outside the codebook"),
        ([("a", [-1])], "-1 of 'a' is below 0"),
        ([], "no utterances"),
    ],
)
def test_unwritable_units_leave_what_was_there(tmp_path, items, words):
    write_units(tmp_path, UNITS.items(), SPEC)
    before = (tmp_path / "units.txt").read_bytes()
    with pytest.raises(UnitsError) as caught:
        write_units(tmp_path, items, SPEC)
    assert words in str(caught.value)
    assert (tmp_path / "units.txt").read_bytes() == before
    assert read_units(tmp_path)[1] == SPEC


def test_durations_go_with_collapsed_units_only(tmp_path):
    with pytest.raises(UnitsError, match="durations are absent"):
        write_units(tmp_path, [("a", [1])], COLLAPSED)
    with pytest.raises(UnitsError, match="durations are given"):
        write_units(tmp_path, [("a", [1])], SPEC, durations={"a": [1]})
    with pytest.raises(UnitsError, match="0 of 'a' is below 1"):
        write_units(tmp_path, [("a", [1])], COLLAPSED, durations={"a": [0]})
    with pytest.raises(UnitsError, match="'a' has 2 collapsed units but 1 durations"):
        write_units(tmp_path, [("a", [1, 2])], COLLAPSED, durations={"a": [1]})


def test_uncollapsed_units_leave_no_old_durations_behind(tmp_path):
    write_units(tmp_path, [("a", [1])], COLLAPSED, durations={"a": [4]})
    write_units(tmp_path, [("a", [1])], SPEC)
    assert not (tmp_path / "durations.txt").exists()
    assert read_frame_units(tmp_path)[0]["a"].tolist() == [1]


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "units").write_text("")
    with pytest.raises(VQAudioError, match="units: it is a file, expected a folder"):
        write_units(tmp_path / "units", UNITS.items(), SPEC)


def test_units_of_another_system_are_read_without_a_spec(tmp_path):
    (tmp_path / "u.txt").write_text("a 5 5 7\nb 0\n")
    assert {utt: units.tolist() for utt, units in read_plain_units(tmp_path / "u.txt").items()} == {
        "a": [5, 5, 7], "b": [0]
    }  # fmt: skip
    (tmp_path / "u.txt").write_text("a 5 -1\n")
    with pytest.raises(UnitsError, match=r"u\.txt:1: '-1' of 'a' is not a unit"):
        read_plain_units(tmp_path / "u.txt")
