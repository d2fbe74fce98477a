"""Word and character error rates: what a text is compared by, the cheapest edits, and pooled rates.

Error rate = (S + D + I) / N: substitutions, deletions and insertions of a cheapest alignment (Levenshtein 1966), over
the N words or characters of the reference; 0 or more, above 1 where more is inserted than was said. Rates are pooled:
errors of all utterances over the words of all, not the mean of rates.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.uncertainty import Interval, ratio_interval

_APOSTROPHES = str.maketrans("", "", "'’‘ʼ´`＇")
_SIGNS = str.maketrans({"%": " percent ", "&": " and "})
_NUMBER = re.compile(r"([0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(st\b|nd\b|rd\b|th\b)?")
_BELOW_TWENTY = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
             "twelve": "twelfth"}  # fmt: skip

Pair = tuple[Sequence[str], Sequence[str]]
"""Reference and heard: their words, or their characters."""


class EditOperations(NamedTuple):
    """Edits that turn a reference into what was heard."""

    substitutions: int
    deletions: int
    insertions: int

    @property
    def total(self) -> int:
        """All edits: the Levenshtein distance."""
        return sum(self)


@dataclass(frozen=True)
class ErrorRate:
    """A pooled error rate: its 95% interval (None where there is one item alone), its edits, and N."""

    value: float
    interval: Interval | None
    edits: EditOperations
    length: int


def is_english(language: str | None) -> bool:
    """Whether a language tag (`en`, `en-GB`, `en_US`) is of English, or is None: not told."""
    return language is None or primary_language(language) == "en"


def primary_language(language: str) -> str:
    """Return the first part of a language tag, lower-cased: `en` of `en-GB`."""
    return re.split("[-_]", language.strip().lower())[0]


def normalise(text: str, language: str | None = "en") -> list[str]:
    """Return the words of a text as they are compared.

    Case is folded (ß is ss) and compatibility forms are unified (Unicode NFKC); apostrophes go without a gap (`don't`
    is `dont`, and French `l'eau` one word); whatever is neither letter, mark nor digit parts words. A language that
    is written without blanks therefore has few, long words: compare its characters.

    In English (`language` `en…` or None, not told) `%` and `&` are read, and digits are spelled out: whole numbers
    below 1,000, and whole thousands below a million, as numbers (`15` fifteen, `1,000` one thousand, `21st` twenty
    first), others and those with a leading zero digit by digit (`1138` one one three eight). Elsewhere digits stay.
    """
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
    text = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)
    if is_english(language):
        text = _NUMBER.sub(_spelled, text.translate(_SIGNS))
    return "".join(map(_kept, text)).split()


def characters(words: Sequence[str]) -> list[str]:
    """Return the characters of words, one blank between two words: blanks count, as in most character error rates."""
    return list(" ".join(words))


def edit_operations(reference: Sequence[str], heard: Sequence[str]) -> EditOperations:
    """Count the edits of a cheapest alignment; where several are as cheap, of one that leaves most of it unedited.

    The total is the Levenshtein distance; an empty reference costs an insertion for each word heard.
    """
    # A path costs `edit` for each edit and 1 more for a substitution: the least sum has the fewest edits, and among
    # those the fewest substitutions, which is as good as the most matches.
    edit = len(reference) + len(heard) + 1
    ids = {word: number for number, word in enumerate({*reference, *heard})}
    target = np.array([ids[word] for word in heard], dtype=np.int64)  # (H,)
    steps = edit * np.arange(len(heard) + 1)
    row = steps.copy()  # (H + 1,): cost of hearing the first j words where nothing was said yet
    for word in reference:
        new = row + edit  # the word deleted
        np.minimum(new[1:], row[:-1] + (target != ids[word]) * (edit + 1), out=new[1:])
        row = np.minimum.accumulate(new - steps) + steps  # then any number of insertions
    edits, substitutions = divmod(int(row[-1]), edit)
    deletions = (edits - substitutions + len(reference) - len(heard)) // 2
    return EditOperations(substitutions, deletions, edits - substitutions - deletions)


def error_rate(pairs: Iterable[Pair], groups: Sequence[Hashable] | None = None) -> ErrorRate:
    """Return the pooled error rate of pairs of (reference, heard), each a sequence of words or of characters.

    Args:
        groups: the speaker of each pair; the interval is then a bootstrap over speakers, else over pairs.

    Raises:
        NotMeasured: no pairs, or none with a word of reference.
        VQAudioError: another number of groups than of pairs.
    """
    pairs = list(pairs)
    edits = [edit_operations(reference, heard) for reference, heard in pairs]
    lengths = [len(reference) for reference, _ in pairs]
    if not sum(lengths):
        raise NotMeasured(f"no error rate: {len(pairs)} references without a word")
    value, interval = ratio_interval([each.total for each in edits], lengths, groups)
    return ErrorRate(value, interval, EditOperations(*map(sum, zip(*edits))), sum(lengths))


def _kept(character: str) -> str:
    """Return a letter, mark or digit; '' for invisible joiners and hyphens; a blank for all else."""
    kind = unicodedata.category(character)
    return character if kind[0] in "LMN" else "" if kind == "Cf" else " "


def _spelled(match: re.Match[str]) -> str:
    digits, suffix = match[1].replace(",", ""), match[2]
    number = int(digits)
    if (digits[0] == "0" and len(digits) > 1) or number >= 1_000_000 or (number >= 1000 and number % 1000):
        words = [_BELOW_TWENTY[int(digit)] for digit in digits]
    else:
        words = _cardinal(number)
    if suffix:
        words[-1] = _ordinal(words[-1])
    return f" {' '.join(words)} "


def _cardinal(number: int) -> list[str]:
    if number < 20:
        return [_BELOW_TWENTY[number]]
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = number % size
            return [*_cardinal(number // size), name, *(_cardinal(rest) if rest else [])]
    return [_TENS[number // 10 - 2], *([_BELOW_TWENTY[number % 10]] if number % 10 else [])]


def _ordinal(word: str) -> str:
    return _ORDINALS.get(word) or (word[:-1] + "ieth" if word.endswith("y") else word + "th")
