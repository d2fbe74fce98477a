"""Phone sets: the published folds by their counts, and what folding does to segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.alignments import Segment
from vqaudio.evaluation.phone_sets import (
    SILENCE,
    TIMIT_39,
    TIMIT_41,
    choose_phone_set,
    fold,
    join_closures,
    read_phone_set,
)

# The labels as TIMIT's own documentation groups them (phoncode.doc).
STOPS = "b d g p t k dx q bcl dcl gcl pcl tcl kcl"
CONSONANTS = "jh ch s sh z zh f th v dh m n ng em en eng nx l r w y hh hv el"
VOWELS = "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h"
TIMIT_LABELS = [*STOPS.split(), *CONSONANTS.split(), *VOWELS.split(), "pau", "epi", "h#"]
# Within these groups Lee and Hon (1989) do not count confusions; beyond them they had merged allophones already.
LEE_AND_HON = [
    {"sh", "zh"},
    {"ao", "aa"},
    {"ih", "ix"},
    {"ah", "ax"},
    {"el", "l"},
    {"en", "n"},
    {"bcl", "pcl", "epi", "h#"},
]


def aligned(*segments: tuple[float, float, str]) -> dict[str, list[Segment]]:
    return {"u": [Segment(*segment) for segment in segments]}


def folded(phone_set, *segments: tuple[float, float, str]) -> list[tuple[float, float, str]]:
    return [tuple(segment) for segment in fold(aligned(*segments), phone_set)["u"]]


@pytest.mark.parametrize(("phone_set", "classes"), [(TIMIT_41, 41), (TIMIT_39, 39)])
def test_the_61_labels_fold_to_as_many_as_the_name_says(phone_set, classes):
    assert len(set(TIMIT_LABELS)) == 61 and set(phone_set) == set(TIMIT_LABELS)
    assert len(set(phone_set.values()) - {None}) == classes
    assert [label for label, phone in phone_set.items() if phone is None] == ["q"]


@pytest.mark.parametrize("group", LEE_AND_HON, ids=" ".join)
def test_groups_of_lee_and_hon_are_one(group):
    assert len({TIMIT_39[label] for label in group}) == 1


def test_the_two_sets_differ_in_two_labels():
    assert {label for label in TIMIT_41 if TIMIT_41[label] != TIMIT_39[label]} == {"ao", "zh"}
    assert all(phone_set[phone] == phone for phone_set in (TIMIT_41, TIMIT_39) for phone in set(phone_set.values())
               if phone not in (None, "sil"))  # fmt: skip


def test_what_is_left_out_becomes_a_gap():
    assert folded(TIMIT_39, (0, 1, "ao"), (1, 2, "q"), (2, 3, "ix")) == [(0, 1, "aa"), (2, 3, "ih")]


def test_silences_that_touch_become_one_and_those_apart_do_not():
    assert folded(TIMIT_41, (0, 1, "h#"), (1, 2, "pau"), (2, 3, "dcl"), (3, 4, "d")) == [(0, 3, "sil"), (3, 4, "d")]
    assert folded(TIMIT_41, (0, 1, "kcl"), (1, 2, "q"), (2, 3, "h#")) == [(0, 1, "sil"), (2, 3, "sil")]


def test_phones_that_touch_stay_two():
    assert folded(TIMIT_41, (0, 1, "n"), (1, 2, "nx"), (2, 3, "n")) == [(0, 1, "n"), (1, 2, "n"), (2, 3, "n")]


@given(st.lists(st.tuples(st.sampled_from(TIMIT_LABELS), st.integers(1, 9), st.integers(0, 1)), max_size=30))
def test_folding_keeps_the_label_of_every_moment(items):
    segments, now = [], 0
    for label, length, gap in items:
        segments.append((now + gap, now + gap + length, label))
        now += gap + length

    def labels(rows):
        return {moment: label for start, end, label in rows for moment in range(int(start), int(end))}

    expected = {moment: TIMIT_41[label] for moment, label in labels(segments).items() if TIMIT_41[label]}
    assert labels(folded(TIMIT_41, *segments)) == expected


def test_auto_is_timits_for_timit_alone():
    assert choose_phone_set("auto", aligned((0, 1, "h#"), (1, 2, "ix"))) is TIMIT_41
    assert choose_phone_set("auto", aligned((0, 1, "h#"), (1, 2, "AH0"))) == {"AH0": "AH0", "h#": "h#"}
    assert choose_phone_set("auto", aligned((0, 1, "ah"), (1, 2, "s"))) == {"ah": "ah", "s": "s"}
    assert choose_phone_set("auto", {}) == {}


def test_sets_by_name():
    assert choose_phone_set("timit-39", aligned((0, 1, "zh"))) is TIMIT_39
    assert choose_phone_set("as-is", aligned((0, 1, "zh"), (1, 2, "h#"))) == {"h#": "h#", "zh": "zh"}


def test_a_set_of_ones_own(tmp_path):
    (tmp_path / "map").write_text("AH0 AH\nAH1\tAH\n\nspn\nh# SIL\n")
    phone_set = choose_phone_set(tmp_path / "map", aligned((0, 1, "AH0"), (1, 2, "spn")))
    assert phone_set == {"AH0": "AH", "AH1": "AH", "spn": None, "h#": "SIL"}


def test_labels_that_a_set_does_not_cover_are_listed():
    alignments = aligned((0, 1, "AH0"), (1, 2, "ah"), (2, 3, "B"))
    with pytest.raises(VQAudioError, match=r"phone set 'timit-41' does not cover 2 of the 3 labels .*: AH0 B\."):
        choose_phone_set("timit-41", alignments)
    with pytest.raises(VQAudioError, match=r"the phone set does not cover 2 of the 3"):
        fold(alignments, TIMIT_41)


def test_an_unknown_name_gets_a_hint():
    with pytest.raises(VQAudioError, match=r"phone set 'timit-40': expected one of auto.*Did you mean 'timit-41'"):
        choose_phone_set("timit-40", {})


@pytest.mark.parametrize(
    ("text", "words"), [("a b c\n", "map:1: 'a b c', expected"), ("a b\na\n", "map:2: the label 'a'")]
)
def test_a_broken_file_is_refused(tmp_path, text, words):
    (tmp_path / "map").write_text(text)
    with pytest.raises(VQAudioError, match=words):
        read_phone_set(tmp_path / "map")


def test_silence_of_the_sets_is_known_as_such():
    assert TIMIT_39["h#"] in SILENCE and not SILENCE & {phone for phone in TIMIT_41.values() if phone != "sil"}


def test_a_closure_and_its_burst_are_one_stop():
    marked = [Segment(0, 1, "h#"), Segment(1, 2, "bcl"), Segment(2, 3, "b"), Segment(3, 4, "tcl"), Segment(4, 5, "ch"),
              Segment(5, 6, "kcl"), Segment(6, 7, "s"), Segment(7, 8, "gcl"), Segment(9, 10, "g")]  # fmt: skip
    assert join_closures({"u": marked})["u"] == [
        Segment(0, 1, "h#"), Segment(1, 3, "b"), Segment(3, 5, "ch"),
        Segment(5, 6, "k"), Segment(6, 7, "s"),  # never released
        Segment(7, 8, "g"), Segment(9, 10, "g"),  # a gap between them: two
    ]  # fmt: skip
    assert join_closures({"u": [Segment(0, 1, "dcl"), Segment(1, 2, "b")]})["u"] == [
        Segment(0, 1, "d"), Segment(1, 2, "b")
    ]  # fmt: skip


def test_other_labels_have_no_closures():
    other = {"u": [Segment(0, 1, "a"), Segment(1, 2, "b")]}
    assert join_closures(other) == other
