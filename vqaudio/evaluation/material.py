"""What a data directory says about its utterances beside the audio: speakers, words, languages, phones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqaudio.corpus import DataDir, Utterance
from vqaudio.corpus.tables import read_table
from vqaudio.errors import DataDirError
from vqaudio.evaluation.alignments import Segment, read_alignments
from vqaudio.evaluation.phone_sets import choose_phone_set, fold, join_closures

LANGUAGES_FILE = "utt2lang"


@dataclass(frozen=True)
class Material:
    """Utterances to be scored, and what is known about them; what is not known is empty.

    Attributes:
        utterances: sorted by id.
        languages: utterance to language, from `utt2lang`.
        alignments: utterance to its phones, from `phones.ctm`, folded to a set of phones.
        whole_phones: the same with the closures of stops as parts of them, for items that are whole phones.
    """

    utterances: Sequence[Utterance]
    languages: Mapping[str, str] = field(default_factory=dict)
    alignments: Mapping[str, Sequence[Segment]] = field(default_factory=dict)
    whole_phones: Mapping[str, Sequence[Segment]] = field(default_factory=dict)

    @classmethod
    def load(cls, data_dir: str | Path, phones: str = "auto") -> Material:
        """Read a data directory, `utt2lang` and `phones.ctm` where they are; `phones` is a set of phones.

        Raises:
            DataDirError: the data directory or `utt2lang` break their form.
            VQAudioError: `phones.ctm` breaks its form, or has labels that the set of phones does not know.
        """
        data = DataDir.load(data_dir)
        languages, marked = _read_languages(Path(data_dir) / LANGUAGES_FILE), read_alignments(data_dir)
        if not marked:
            return cls(data.utterances, languages)
        phone_set = choose_phone_set(phones, marked)
        return cls(data.utterances, languages, fold(marked, phone_set), fold(join_closures(marked), phone_set))

    @property
    def speakers(self) -> dict[str, str]:
        """Utterance to speaker."""
        return {utterance.id: utterance.speaker for utterance in self.utterances}

    @property
    def texts(self) -> dict[str, str]:
        """Utterance to its words, of those that are transcribed."""
        return {utterance.id: utterance.text for utterance in self.utterances if utterance.text}


def _read_languages(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    table = read_table(path, "<utterance> <language>")
    if table.violations:
        raise DataDirError("\n".join(map(str, table.violations)))
    return {utterance: row.value for utterance, row in table.rows.items()}
