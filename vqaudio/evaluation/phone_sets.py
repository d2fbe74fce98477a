"""Which phones count as one: folds from the labels of an alignment to those that units are scored against.

TIMIT is marked with 61 labels, many of which are allophones or the closures of stops; figures are reported over
fewer. Alignments of other corpora are mostly scored with their labels as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vqaudio.errors import VQAudioError, did_you_mean
from vqaudio.evaluation.alignments import Segment

Alignments = Mapping[str, Sequence[Segment]]  # utterance to its segments, in order of time
PhoneSet = Mapping[str, str | None]  # label to what it counts as; None: left out of scoring

SILENCE = frozenset({"sil", "SIL", "sp", "spn", "pau", "h#", "<eps>"})
"""Labels that name no phone, in this module's phone sets and in those of common aligners."""

_CMU_39 = "aa ae ah ao aw ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh"
_ALLOPHONES = {
    **{"ux": "uw", "ax": "ah", "ax-h": "ah", "ix": "ih", "axr": "er", "hv": "hh"},
    **{"el": "l", "em": "m", "en": "n", "nx": "n", "eng": "ng"},
}
_SILENT = "bcl dcl gcl pcl tcl kcl epi pau h#"  # closures of stops, epenthetic silence, pause, ends

_RELEASES = {
    "bcl": ("b",), "dcl": ("d", "jh"), "gcl": ("g",), "pcl": ("p",), "tcl": ("t", "ch"), "kcl": ("k",)
}  # fmt: skip
"""A closure to what it may open into; the first is the stop that it is of."""

TIMIT_41: PhoneSet = {
    **{phone: phone for phone in [*_CMU_39.split(), "dx"]},
    **_ALLOPHONES,
    **dict.fromkeys(_SILENT.split(), "sil"),
    "q": None,
}
"""TIMIT's 61 labels as 41: the 39 phones of CMU's dictionary, the flap and silence; the glottal stop is left out.

Van den Oord et al. (2017, section 4.3) map codes to "one of the 41 possible phoneme values" without naming them. These
are 41 and of the usual kind, but need not be theirs.
"""

TIMIT_39: PhoneSet = {label: {"ao": "aa", "zh": "sh"}.get(phone, phone) for label, phone in TIMIT_41.items()}
"""TIMIT's 61 labels as 39, the usual fold: Lee and Hon (1989, *Speaker-independent phone recognition using hidden
Markov models*, IEEE TASSP 37(11)), who take aa for ao and sh for zh as well, and leave out the glottal stop."""

PHONE_SETS: Mapping[str, PhoneSet] = {"timit-41": TIMIT_41, "timit-39": TIMIT_39}
_TOUCHING = 1e-3  # seconds between segments that count as none, as in `read_alignments`


def choose_phone_set(name: str | Path, alignments: Alignments) -> PhoneSet:
    """Return the phone set of that name, having checked that it covers the labels of `alignments`.

    Args:
        name: `timit-41`; `timit-39`; `as-is` for the labels as they are; `auto` for timit-41 where all labels are
            TIMIT's and its h# is among them, otherwise as they are; or a file, see `read_phone_set`.

    Raises:
        VQAudioError: no such name and no such file, a file that breaks the form, or labels that it does not cover.
    """
    labels = _labels(alignments)
    if name == "auto":
        name = "timit-41" if "h#" in labels and labels <= TIMIT_41.keys() else "as-is"
    if name == "as-is":
        return {label: label for label in sorted(labels)}
    phone_set = PHONE_SETS[str(name)] if str(name) in PHONE_SETS else read_phone_set(name)
    _check_covered(labels, phone_set, f"the phone set {str(name)!r}")
    return phone_set


def read_phone_set(path: str | Path) -> PhoneSet:
    """Read a file of lines `label folded`, or `label` alone for one to be left out of scoring; blank lines count not.

    Raises:
        VQAudioError: there is no such file, more than two fields on a line, or a label on two lines.
    """
    names = ["auto", "as-is", *PHONE_SETS]
    if not Path(path).is_file():
        expected = f"expected one of {', '.join(names)}, or a file of lines 'label folded'"
        raise VQAudioError(f"phone set {str(path)!r}: {expected}.{did_you_mean(str(path), names)}")
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VQAudioError(f"{path}: the phone set cannot be read: {error}") from error
    phone_set: dict[str, str | None] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if len(fields) > 2:
            raise VQAudioError(f"{path}:{number}: {line!r}, expected 'label folded', or 'label' to leave it out")
        if fields and fields[0] in phone_set:
            raise VQAudioError(f"{path}:{number}: the label {fields[0]!r} stands on a line above already")
        if fields:
            phone_set[fields[0]] = fields[1] if len(fields) == 2 else None
    return phone_set


def fold(alignments: Alignments, phone_set: PhoneSet) -> dict[str, list[Segment]]:
    """Return `alignments` with their labels folded; segments whose label folds to None become gaps.

    Silences that touch become one: a pause has no parts, and where an alignment divides it says nothing of speech.
    Two phones that touch stay two even where their labels are the same now (`l el`): somebody heard two, and the
    boundary between them is one that units might mark. A closure and its burst (`bcl b`) are silence, then a phone.

    Raises:
        VQAudioError: labels that `phone_set` does not cover.
    """
    _check_covered(_labels(alignments), phone_set, "the phone set")
    return {utterance: _folded(segments, phone_set) for utterance, segments in alignments.items()}


def join_closures(alignments: Alignments) -> dict[str, list[Segment]]:
    """Return `alignments` with TIMIT's closures as parts of their stops: `bcl b` is one b, and `bcl` alone is a b.

    For items that are whole phones, as in ABX: there a stop whose closure is silence has no neighbour before it, and
    triphones with stops would be lost. A closure also belongs to the affricate that follows (`dcl jh`, `tcl ch`).
    Other labels stay as they are.
    """
    return {utterance: _joined(segments) for utterance, segments in alignments.items()}


def _joined(segments: Iterable[Segment]) -> list[Segment]:
    joined: list[Segment] = []
    closed: str | None = None  # the closure that ends at the last segment of `joined`
    for segment in segments:
        last = joined[-1] if joined else None
        touches = last is not None and segment.start < last.end + _TOUCHING
        if closed and touches and segment.label in _RELEASES[closed]:
            joined[-1] = Segment(last.start, segment.end, segment.label)
            closed = None
            continue
        closed = segment.label if segment.label in _RELEASES else None
        joined.append(segment._replace(label=_RELEASES[closed][0]) if closed else segment)
    return joined


def _folded(segments: Iterable[Segment], phone_set: PhoneSet) -> list[Segment]:
    folded: list[Segment] = []
    for segment in segments:
        label = phone_set[segment.label]
        if label is None:
            continue
        last = folded[-1] if folded else None
        if label in SILENCE and last and last.label == label and segment.start < last.end + _TOUCHING:
            folded[-1] = last._replace(end=max(last.end, segment.end))
        else:
            folded.append(segment._replace(label=label))
    return folded


def _labels(alignments: Alignments) -> set[str]:
    return {segment.label for segments in alignments.values() for segment in segments}


def _check_covered(labels: set[str], phone_set: PhoneSet, name: str) -> None:
    unknown = sorted(labels - phone_set.keys())
    if unknown:
        shown = " ".join(unknown[:20]) + (" …" if len(unknown) > 20 else "")
        raise VQAudioError(
            f"{name} does not cover {len(unknown)} of the {len(labels)} labels of the alignments: {shown}. "
            "Score them as-is, or by a file of lines 'label folded'"
        )
