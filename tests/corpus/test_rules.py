"""Each rule of a data directory, broken alone, is named with file and line; all at once are named at once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.audio.io import probe
from vqaudio.corpus import rules
from vqaudio.corpus.rules import check
from vqaudio.corpus.tables import Violation, id_fault

from .conftest import edit, table


def places(folder) -> list[tuple[str, int | None, str]]:
    """Return file name, line and rule of each violation."""
    return [(os.path.basename(v.file), v.line, v.rule) for v in check(folder)]


def test_a_valid_directory_has_no_violations(data):
    assert check(data) == []


def test_a_valid_directory_with_segments(segmented):
    assert check(segmented) == []


def test_optional_tables_are_optional(data):
    (data / "text").unlink()
    assert check(data) == []


# --------------------------------------------------------------------------------------- the directory


def test_missing_directory_names_the_nearest(data):
    (violation,) = check(data.parent / "dat")
    assert violation.rule == "directory" and violation.line is None
    assert "no such directory" in violation.message and "Did you mean 'data'?" in violation.message


def test_a_file_is_no_directory(data):
    (violation,) = check(data / "wav.scp")
    assert violation.rule == "directory" and "is a file" in violation.message


def test_empty_directory(tmp_path):
    (violation,) = check(tmp_path)
    assert violation.rule == "directory" and "is empty; expected a data directory" in violation.message


def test_the_folder_above_names_the_one_below(data):
    (violation,) = check(data.parent)
    assert violation.rule == "directory" and f"Did you mean '{data}'?" in violation.message


# ----------------------------------------------------------------------------- one broken rule at a time


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk", "spk2utt"])
def test_missing_file(data, name):
    (data / name).unlink()
    assert places(data) == [(name, None, "missing-file")]


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk", "spk2utt", "text"])
@pytest.mark.parametrize("content", ["", "\n \n"])
def test_empty_file(data, name, content):
    (data / name).write_text(content)
    assert places(data) == [(name, None, "empty-file")]


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (Path.mkdir, "it is a folder"),
        (os.mkfifo, "it is a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
        (lambda path: path.symlink_to("nowhere"), "is a link to 'nowhere', which is not there"),
        (lambda path: path.symlink_to("text"), "symbolic links"),
    ],
    ids=["folder", "pipe", "endless", "broken link", "link to itself"],
)
def test_unreadable_file(data, put, reason):
    (data / "text").unlink()
    put(data / "text")
    assert places(data) == [("text", None, "unreadable-file")]
    assert reason in check(data)[0].message


TEXT = b"ann-1 good morning\nann-2 good night\nbob-1 no\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TEXT.replace(b"night", b"n\xefght"), [("text", 2, "utf-8")]),
        (TEXT.replace(b"g", b"\xf6"), [("text", 1, "utf-8"), ("text", 2, "utf-8")]),
        (
            TEXT.replace(b"ann-1", b"ann-1\0") + b"ann-1 x\n",
            [("text", 1, "id"), ("text", 1, "unknown-utterance"), ("text", 4, "unsorted")],
        ),
        (TEXT.replace(b"good morning", b"good\rmorning"), [("text", 1, "line-end")]),
        (b"\xef\xbb\xbf" + TEXT, [("text", 1, "byte-order-mark")]),
        (TEXT.replace(b"t\n", b"t\r\n"), [("text", 2, "line-end")]),
        (TEXT.replace(b"bob", b"\nbob"), [("text", 3, "blank-line")]),
        (TEXT.replace(b"bob-1 no", b"bob-1"), []),  # an empty transcript is one
        (TEXT + b"ann-1 again\n", [("text", 4, "duplicate")]),
        (TEXT.removesuffix(b"\n"), []),
        (TEXT.replace(b" ", b"\t"), []),
    ],
)
def test_lines(data, content, expected):
    (data / "text").write_bytes(content)
    assert places(data) == expected


@pytest.mark.parametrize(
    ("name", "old", "new", "line"),
    [
        ("utt2spk", "ann-2 ann", "ann-2", 2),
        ("utt2spk", "ann-2 ann", "ann-2 ann x", 2),
        ("wav.scp", "bob-1 wavs/bob-1.wav", "bob-1", 3),
        ("spk2utt", "bob bob-1", "bob", 2),
    ],
)
def test_field_counts(data, name, old, new, line):
    edit(data / name, lambda text: text.replace(old, new))
    assert (name, line, "fields") in places(data)
    (violation,) = [v for v in check(data) if v.rule == "fields"]
    assert repr(new) in violation.message and "expected: <" in violation.message


def test_unsorted_is_said_once_for_a_file(data):
    table(data, "text", "bob-1 no", "ann-2 good night", "ann-1 good morning")
    assert places(data) == [("text", 2, "unsorted")]
    assert "1 further lines" in check(data)[0].message


def test_sorting_is_that_of_bytes_not_of_a_language(data):
    names = ["Zoe-1", "ann-1", "ann-2", "bob-1", "Ägir-1"]  # C locale: capitals first, accents last
    for name in ("Zoe-1", "Ägir-1"):
        shutil.copy(data / "wavs/ann-1.wav", data / f"wavs/{name}.wav")
    (data / "text").unlink()
    table(data, "wav.scp", *(f"{name} wavs/{name}.wav" for name in names))
    table(data, "utt2spk", *(f"{name} {name[:-2]}" for name in names))
    table(data, "spk2utt", "Zoe Zoe-1", "ann ann-1 ann-2", "bob bob-1", "Ägir Ägir-1")
    assert check(data) == []


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("wav.scp", "bob-1 wavs/bob-1.wav", [("utt2spk", 3, "missing-utterance")]),
        ("text", "bob-1 no", [("utt2spk", 3, "missing-utterance")]),
        ("spk2utt", "bob bob-1", [("utt2spk", 3, "missing-utterance")]),
        (
            "utt2spk",
            "bob-1 bob",
            [(name, line, "unknown-utterance") for name, line in [("wav.scp", 3), ("spk2utt", 2), ("text", 3)]],
        ),
    ],
)
def test_an_utterance_missing_from_one_table(data, name, row, expected):
    edit(data / name, lambda text: text.replace(f"{row}\n", ""))
    assert places(data) == expected


def test_speaker_maps_that_differ(data):
    table(data, "spk2utt", "ann ann-1", "bob ann-2 bob-1")
    assert places(data) == [("spk2utt", 2, "speaker-map")]
    assert "gives 'ann-2' to 'bob', utt2spk to 'ann'" in check(data)[0].message


def test_ids_that_differ_in_bytes_that_are_not_utf8_are_two(data):
    for name in ("utt2spk", "text", "wav.scp"):
        lines = (data / name).read_bytes().replace(b"ann-1 ", b"ann-\xe4 ").replace(b"ann-2 ", b"ann-\xf6 ")
        (data / name).write_bytes(b"".join(sorted(lines.splitlines(keepends=True))))
    (data / "spk2utt").write_bytes(b"ann ann-\xe4 ann-\xf6\nbob bob-1\n")
    assert {rule for _, _, rule in places(data)} == {"utf-8"}
    assert all(str(violation).isprintable() for violation in check(data))


def test_an_utterance_that_is_listed_twice(data):
    table(data, "spk2utt", "ann ann-1 ann-2 ann-1", "bob bob-1")
    assert places(data) == [("spk2utt", 1, "speaker-map")]
    assert "lists 'ann-1' a second time" in check(data)[0].message


def test_missing_audio_says_where_it_looked(data):
    (data / "wavs/ann-2.wav").unlink()
    assert places(data) == [("wav.scp", 2, "audio-missing")]
    assert f"looked for {data}/wavs/ann-2.wav" in check(data)[0].message


def test_a_path_from_the_working_directory_is_recognised(data, monkeypatch):
    monkeypatch.chdir(data.parent)
    edit(data / "wav.scp", lambda text: text.replace("wavs/", "data/wavs/"))
    assert places(data) == [("wav.scp", line, "audio-missing") for line in (1, 2, 3)]
    assert "though it is one from the working directory" in check(data)[0].message


def test_a_command_is_refused_unless_allowed(data):
    edit(data / "wav.scp", lambda text: text.replace("wavs/bob-1.wav", f"cat {data}/wavs/bob-1.wav |"))
    assert places(data) == [("wav.scp", 3, "pipe")]
    assert check(data, allow_pipes=True) == []


def test_checking_runs_no_command(data, tmp_path):
    edit(data / "wav.scp", lambda text: text.replace("wavs/bob-1.wav", f"touch {tmp_path}/ran |"))
    check(data)
    check(data, allow_pipes=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", ["-1", "0", "-0", "nan", "inf", "1e999", "1_0", "0x10", "\u0661", "1\x0b", "long"])
def test_durations(data, value):
    table(data, "utt2dur", "ann-1 0.5", f"ann-2 {value}", "bob-1 0.7")
    assert places(data) == [("utt2dur", 2, "duration")]


@pytest.mark.parametrize("value", ["-1", "0", "nan", "4000.0", "many", "1e4", "4_000", str(1 << 63)])
def test_numbers_of_samples(data, value):
    table(data, "utt2num_samples", "ann-1 4000", f"ann-2 {value}", "bob-1 5600")
    assert places(data) == [("utt2num_samples", 2, "num-samples")]
    assert f"{value!r}: expected a positive whole number of samples" in check(data)[0].message


def test_a_command_is_one_whatever_blank_follows_it(data):
    edit(data / "wav.scp", lambda text: text.replace("wavs/bob-1.wav", "touch x |\u00a0"))
    assert places(data) == [("wav.scp", 3, "pipe")]


# --------------------------------------------------------------------------------------------- segments


@pytest.mark.parametrize("times", ["0.3 0.3", "0.4 0.2", "-0.1 0.2", "x 0.2", "nan 0.2", "0.1 inf", "0.2 -2"])
def test_segment_times(segmented, times):
    edit(segmented / "segments", lambda text: text.replace("0.2 0.5", times))
    assert places(segmented) == [("segments", 2, "segment-times")]


def test_a_segment_that_breaks_two_rules_is_named_for_both(segmented):
    edit(segmented / "segments", lambda text: text.replace("rec-b 0.1", "rec-bb x"))
    assert places(segmented) == [("segments", 3, "segment-times"), ("segments", 3, "unknown-recording")]


def test_segment_of_an_unknown_recording(segmented):
    edit(segmented / "segments", lambda text: text.replace("rec-b", "rec-bb"))
    assert places(segmented) == [("segments", 3, "unknown-recording")]
    assert "Did you mean 'rec-b'" in check(segmented)[0].message


@pytest.mark.parametrize(("end", "broken"), [("0.509", False), ("0.52", True)])
def test_segment_beyond_its_recording(segmented, end, broken):
    edit(segmented / "segments", lambda text: text.replace("0.5\n", f"{end}\n"))
    assert places(segmented) == ([("segments", 2, "segment-beyond")] if broken else [])


def test_the_nearest_recording_is_looked_for_a_bounded_number_of_times(segmented, monkeypatch):
    looked_for = []
    monkeypatch.setattr(rules, "did_you_mean", lambda name, names: looked_for.append(name) or " Did you mean?")
    ids = [f"u{i:03}" for i in range(200)]
    table(segmented, "segments", *(f"{id} rec-x 0 0.1" for id in ids))
    table(segmented, "utt2spk", *(f"{id} s" for id in ids))
    table(segmented, "spk2utt", f"s {' '.join(ids)}")
    (segmented / "text").unlink()
    unknown = [v.message for v in check(segmented) if v.rule == "unknown-recording"]
    assert len(unknown) == 200 and len(looked_for) == sum("Did you mean" in message for message in unknown) == 50


def test_segments_without_a_wav_scp(segmented):
    (segmented / "wav.scp").unlink()
    assert {rule for _, _, rule in places(segmented)} == {"missing-file", "unknown-recording"}


def test_a_recording_that_cannot_be_read(segmented):
    path = segmented / "wavs" / "rec-ann-1.wav"
    path.write_bytes(path.read_bytes()[:1000])
    assert places(segmented) == [("wav.scp", 1, "audio-unreadable")]
    assert "truncated" in check(segmented)[0].message


def test_a_recording_cut_in_many_segments_is_opened_once(segmented, monkeypatch):
    opened = []
    monkeypatch.setattr(rules, "probe", lambda path: opened.append(path) or probe(path))
    check(segmented)
    assert len(opened) == 2


# ------------------------------------------------------------------------------------------------- ids


@pytest.mark.parametrize("name", ["a/b", "a\\b", "a\u00a0b", "a\u3000", "a\x07", "..", ".a", "-a", "ä" * 101])
def test_ids_that_cannot_be_file_names(data, name):
    assert id_fault(name) is not None
    lines = sorted(["ann-1 ann", "ann-2 ann", f"{name} bob"])
    table(data, "utt2spk", *lines)
    assert ("utt2spk", lines.index(f"{name} bob") + 1, "id") in places(data)


def test_speaker_ids_are_checked_too(data):
    edit(data / "utt2spk", lambda text: text.replace("bob-1 bob", "bob-1 ../bob"))
    assert ("utt2spk", 3, "id") in places(data)


@given(st.text("abcXYZ019_.-éß中", min_size=1, max_size=60).filter(lambda s: s[0] not in ".-"))
def test_ordinary_ids_are_fit(name):
    assert id_fault(name) is None


# ----------------------------------------------------------------------------------------- all at once


def test_all_violations_are_named_at_once(data):
    audio = "ann-2 wavs/ann-2.wav", "ann-1 gone.wav", "bob-1 sox x |", "bob-1 y", "cy-1 wavs/ann-1.wav"
    table(data, "wav.scp", *audio)
    table(data, "utt2spk", "ann-1 ann", "ann-2 ann extra", "", "bob-1 bob")
    table(data, "utt2dur", "ann-1 long", "bob-1 1")
    assert {rule for _, _, rule in places(data)} == {
        "unsorted", "audio-missing", "pipe", "duplicate",
        "unknown-utterance", "fields", "blank-line", "duration",
    }  # fmt: skip
    assert places(data) == sorted(
        places(data),
        key=lambda p: (["wav.scp", "utt2spk", "spk2utt", "text", "utt2dur"].index(p[0]), p[1] or 0),
    )


def test_a_violation_reads_like_a_compilers_message():
    assert str(Violation("d/text", 3, "utf-8", "is not")) == "d/text:3: utf-8: is not"
    assert str(Violation("d/text", None, "empty-file", "holds no lines")) == "d/text: empty-file: holds no lines"
