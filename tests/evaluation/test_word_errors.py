"""Texts are compared by their words, and edits are counted as they are defined."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.word_errors import (
    EditOperations,
    characters,
    edit_operations,
    error_rate,
    is_english,
    normalise,
)

WORDS = st.lists(st.sampled_from(["one", "two", "three", "o'clock"]), max_size=9)


@pytest.mark.parametrize(
    "text, words",
    [
        ("Please, press ONE -- now!", "please press one now"),
        ("Don't ‘you’ don’t", "dont you dont"),
        ("press 1 or 15 or 90", "press one or fifteen or ninety"),
        ("room 121, 40", "room one hundred twenty one forty"),
        ("1,000 and 12000 and 1,000,000", "one thousand and twelve thousand and one zero zero zero zero zero zero"),
        ("agent 007 of 1138", "agent zero zero seven of one one three eight"),
        ("the 1st, 2nd, 3rd, 5th, 12th, 20th, 21st", "the first second third fifth twelfth twentieth twenty first"),
        ("7am, 10:30, 100%", "seven am ten thirty one hundred percent"),
        ("1,23", "one twenty three"),
        ("ｆｕｌｌ ﬁgure", "full figure"),
        ("", ""),
        ("... -- !", ""),
    ],
)
def test_english_is_compared_by_its_words(text, words):
    assert normalise(text) == words.split()


@pytest.mark.parametrize(
    "text, language, words",
    [
        ("Straße, STRASSE", "de", ["strasse", "strasse"]),
        ("Qu’est-ce que l'eau ?", "fr", ["quest", "ce", "que", "leau"]),
        ("Нажмите «один».", "ru", ["нажмите", "один"]),
        ("हिन्दी में।", "hi", ["हिन्दी", "में"]),  # vowel signs are marks, no letters, and part no words
        ("¿Marque 2?", "es-MX", ["marque", "2"]),
        ("cafe\u0301 caf\u00e9", "it", ["café", "café"]),
        ("co\u00adoperate", "de", ["cooperate"]),  # a soft hyphen
        ("请按一。", "zh", ["请按一"]),
    ],
)
def test_other_languages_keep_their_letters_and_digits(text, language, words):
    assert normalise(text, language) == words


@given(st.text(), st.sampled_from(["en", "ru", None]))
def test_words_are_compared_as_they_are(text, language):
    words = normalise(text, language)
    assert normalise(" ".join(words), language) == words
    assert all(word and not set(word) & set(" '.,-") for word in words)


@given(st.integers(0, 999))
def test_numbers_are_those_that_are_counted(number):
    """Counting up from the parts: hundreds, then what is below."""
    words = normalise(str(number))
    if number >= 100:
        assert words[:2] == [*normalise(str(number // 100)), "hundred"]
        assert words[2:] == (normalise(str(number % 100)) if number % 100 else [])
    elif number > 20 and number % 10:
        assert words == normalise(str(number - number % 10)) + normalise(str(number % 10))
    else:
        assert len(words) == 1


def test_languages_are_told_by_the_first_part_of_their_tag():
    assert all(map(is_english, ["en", "EN-gb", "en_US", None]))
    assert not any(map(is_english, ["enm", "es", "zh-en"]))


def test_edits_of_a_known_pair():
    said, heard = normalise("the cat sat on the mat"), normalise("the cat sit on mat now")
    assert edit_operations(said, heard) == EditOperations(substitutions=1, deletions=1, insertions=1)


def test_of_equally_few_edits_those_that_keep_words_are_counted():
    assert edit_operations(["a", "b"], ["b", "c"]) == EditOperations(0, 1, 1)  # and not two substitutions


def test_nothing_said_and_nothing_heard():
    assert edit_operations([], []) == (0, 0, 0)
    assert edit_operations([], ["a", "b"]) == (0, 0, 2)
    assert edit_operations(["a", "b"], []) == (0, 2, 0)


@given(WORDS, WORDS)
def test_edits_are_those_of_the_definition(said, heard):
    """The recursion over first words, trying all that can become of them: (edits, substitutions) at their least."""

    @functools.cache
    def least(i: int, j: int) -> tuple[int, int]:
        if i == len(said) or j == len(heard):
            return len(said) - i + len(heard) - j, 0
        same = said[i] == heard[j]
        steps = [(least(i + 1, j), 1, 0), (least(i, j + 1), 1, 0), (least(i + 1, j + 1), int(not same), int(not same))]
        return min((edits + edit, subs + sub) for (edits, subs), edit, sub in steps)

    edits = edit_operations(said, heard)
    assert (edits.total, edits.substitutions) == least(0, 0)
    assert edits.deletions - edits.insertions == len(said) - len(heard)
    assert min(edits) >= 0


@given(st.lists(st.tuples(WORDS.filter(bool), WORDS), min_size=1, max_size=6))
def test_rates_are_those_of_another_implementation(pairs):
    jiwer = pytest.importorskip("jiwer")
    said, heard = ([" ".join(words) for words in side] for side in zip(*pairs))
    assert error_rate(pairs).value == pytest.approx(jiwer.wer(said, heard), rel=1e-12)
    letters = [(characters(a), characters(b)) for a, b in pairs]
    assert error_rate(letters).value == pytest.approx(jiwer.cer(said, heard), rel=1e-12)


def test_blanks_between_words_are_characters():
    assert characters(["no", "one"]) == ["n", "o", " ", "o", "n", "e"]
    assert error_rate([(characters(["no", "one"]), characters(["noone"]))]).value == 1 / 6


def test_a_rate_pools_words_and_not_rates():
    long, short = (["a"] * 9, ["a"] * 9), (["a"], [])
    rate = error_rate([long, short])
    assert (rate.value, rate.edits, rate.length) == (0.1, EditOperations(0, 1, 0), 10)
    assert error_rate([short, (["a"], ["b"] * 5)]).value == 3.0  # above 1: more heard than said


def test_an_utterance_without_words_counts_by_what_is_heard_in_it():
    assert error_rate([(["a", "b"], ["a", "b"]), ([], ["c"])]).value == 0.5


def test_intervals_are_over_speakers_where_they_are_named():
    pairs = [(["a"], ["a"])] * 20 + [(["a"], ["b"])] * 20
    low, high = error_rate(pairs).interval
    assert 0.3 < low < 0.5 < high < 0.7  # √(0.25 / 40) = 0.08, twice to each side
    assert error_rate(pairs, ["good"] * 20 + ["bad"] * 20).interval == (0.0, 1.0)
    assert error_rate(pairs[:1]).interval is None


def test_nothing_to_compare_is_said():
    for nothing in ([], [([], ["a"])]):
        with pytest.raises(NotMeasured, match=f"{len(nothing)} references without a word"):
            error_rate(nothing)
    with pytest.raises(VQAudioError, match="1 groups for 2 items"):
        error_rate([(["a"], [])] * 2, ["one"])
