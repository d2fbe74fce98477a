"""Data directories as the corpus modules leave them: written, with tables of the corpus's own, and validated."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqaudio.audio.atomic import write_text_whole
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

logger = logging.getLogger(__name__)
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class Finding:
    """Something odd about one item of a corpus, and what was done about it."""

    item: str
    kind: str
    detail: str = ""


@dataclass
class Findings:
    """All that was odd: counted in the log, and listed in full in a file."""

    items: list[Finding] = field(default_factory=list)

    def add(self, item: str, kind: str, detail: str = "") -> None:
        """Note that `item` is of this kind."""
        self.items.append(Finding(item, kind, detail))

    @property
    def counts(self) -> Counter[str]:
        """Number of findings of each kind, in the order of their first occurrence."""
        return Counter(finding.kind for finding in self.items)

    def write(self, path: str | Path) -> None:
        """Write one line per finding, sorted: item, kind, detail, with tabs between; and log the counts.

        Control characters, and bytes of names that are not UTF-8, are escaped.
        """
        rows = sorted(tuple(map(_escaped, (f.kind, f.item, f.detail))) for f in self.items)
        write_text_whole(Path(path), "".join(f"{item}\t{kind}\t{detail}\n" for kind, item, detail in rows))
        for kind, count in self.counts.items():
            examples = [_escaped(finding.item) for finding in self.items if finding.kind == kind][:3]
            logger.info("%5d %s (%s%s)", count, kind, ", ".join(examples), ", …" if count > 3 else "")
        if self.items:
            logger.info("each of them is listed in %s", path)


def _escaped(text: str) -> str:
    return _NO_TEXT.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def clean_name(name: str) -> str:
    """Return `name` with '_' for blanks and everything else but letters, digits and '_.+-'; not led by '.' or '-'."""
    return re.sub(r"^[.-]+", "_", re.sub(r"[^\w.+-]", "_", name))


def require(found: Sequence[object], root: str | Path, looked_for: str) -> None:
    """Raise VQAudioError where nothing was found in a corpus's folder, with what was looked for in it."""
    if not found:
        raise VQAudioError(f"{root}: nothing of the corpus in it. Looked for {looked_for}")


def require_texts(missing: Sequence[str], where: str | Path) -> None:
    """Raise VQAudioError where utterances that the corpus transcribes have no transcript, naming them."""
    if missing:
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise VQAudioError(f"{where}: no transcript of {len(missing)} utterances: {shown}. Is the copy complete?")


def write_parts(
    out: str | Path,
    parts: Mapping[str, Sequence[Utterance]],
    tables: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> dict[str, DataDir]:
    """Write each part as the data directory `out`/<name>, with what `tables` say of its utterances; log what it holds.

    Args:
        tables: further files by name, such as utt2lang or phones.ctm: the values of an utterance by its id.

    Raises:
        DataDirError: a part without utterances, or a rule broken; the message names every violation.
    """
    written = {}
    for name, part in parts.items():
        rows = {
            table: [(u.id, value) for u in part for value in of_utterance.get(u.id, ())]
            for table, of_utterance in (tables or {}).items()
        }
        written[name] = write_data_dir(Path(out) / name, part, {table: own for table, own in rows.items() if own})
        logger.info("%s: %d utterances of %d speakers", Path(out) / name, len(part), len(written[name].speakers))
    return written


def write_data_dir(
    folder: str | Path, utterances: Sequence[Utterance], tables: Mapping[str, Iterable[tuple[str, str]]] | None = None
) -> DataDir:
    """Write `utterances` as the data directory `folder` and validate it.

    Args:
        tables: further files by name: (key, value) lines, where a key may occur more than once.

    Raises:
        DataDirError: no utterances, or a rule broken; the message names every violation.
    """
    folder = Path(folder)
    DataDir(list(utterances)).write(folder)
    for name, rows in (tables or {}).items():
        write_text_whole(folder / name, "".join(f"{key} {value}\n" for key, value in sorted(rows, key=lambda r: r[0])))
    return DataDir.load(folder)
