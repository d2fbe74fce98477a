"""TIMIT: read American English sentences, with every phone marked by hand.

What       6,300 sentences of 3 s: per speaker 2 that all read (SA), 5 compact (SX), 3 of varied texts (SI).
Speakers   630, of 8 dialect regions; 192 of them women. NLTK's sample has 16, a woman and a man of each region.
Audio      16 kHz WAV or NIST SPHERE, studio recordings; the sentence, its words and phones (61 labels) with times.
Licence    LDC's user agreement, for a fee; NLTK's sample: CC BY-NC-SA.
Source     LDC93S1, https://catalog.ldc.upenn.edu/LDC93S1; the sample as `timit` of https://www.nltk.org/nltk_data/
Citation   Garofolo et al. (1993), *TIMIT Acoustic-Phonetic Continuous Speech Corpus*, LDC93S1.

Nothing is downloaded: --source names a copy that you have, or a part of it, such as .../TIMIT/TEST. Its folders are
those of the LDC (TRAIN/DR1/FCJF0/SA1.WAV) or of the sample (dr1-fvmh0/sa1.wav), in upper or lower case. All of it
becomes one data directory, with `text`, `phones.ctm` and `words.ctm` (times in seconds, labels as marked; words may
overlap, as they are marked so). Ids are <speaker>_<sentence>, such as fvmh0_sa1. The SA sentences, the same of every
speaker, weigh their few phones far above their share of the language; whoever follows those who leave them out says
--drop_sa. What cannot be used is in findings.tsv beside the tables.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep import command
from data_prep.writing import Findings, write_data_dir
from vqaudio.audio.io import probe
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import AudioError, VQAudioError

logger = logging.getLogger(__name__)

MARK_RATE = 16000  # Hz; what marks count samples of, whatever became of the audio
PARTS = (".txt", ".phn", ".wrd")  # beside each .wav
SPEAKER = re.compile(r"(?:dr[1-8]-)?([fm][a-z]{3}\d)")  # sex, initials, number; the sample has the dialect before


@dataclass(frozen=True)
class Mark:
    """A stretch of a sentence as marked: samples [start, end) at 16 kHz, and its phone, word or whole text."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Sentence:
    """One recorded sentence: its audio, and the files of its text, phones and words, by suffix."""

    speaker: str
    name: str
    audio: Path
    parts: dict[str, Path]

    @property
    def id(self) -> str:
        """The utterance id."""
        return f"{self.speaker}_{self.name}"


def read_marks(path: str | Path) -> list[Mark]:
    """Read a .phn, .wrd or .txt file: lines of `start end label`, in samples, where a label may have blanks.

    Raises:
        VQAudioError: a line that breaks the form: file, line and what was expected.
    """
    marks = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        match = re.fullmatch(r"\s*(\d+)\s+(\d+)\s+(\S.*?)\s*", line)
        if match is None or int(match[1]) > int(match[2]):
            raise VQAudioError(f"{path}:{number}: {line!r}, expected 'start end label' with start and end in samples")
        marks.append(Mark(int(match[1]), int(match[2]), match[3]))
    return marks


def find_sentences(root: Path, findings: Findings) -> Iterator[Sentence]:
    """Yield the sentences below `root`, in the order of their paths; what lacks a part of its own is a finding."""
    for folder in sorted({path.parent for path in root.rglob("*") if path.suffix.lower() == ".wav"}):
        files = {path.name.lower(): path for path in sorted(folder.iterdir())}
        speaker = SPEAKER.fullmatch(folder.name.lower())
        for name in (name for name in files if name.endswith(".wav")):
            stem = name.removesuffix(".wav")
            parts = {suffix: files[stem + suffix] for suffix in PARTS if stem + suffix in files}
            shown = str(files[name].relative_to(root))
            if speaker is None:
                findings.add(shown, "dropped: its folder is not named as a speaker's", folder.name)
            elif missing := [suffix for suffix in PARTS if suffix not in parts]:
                findings.add(shown, "dropped: a file of marks is missing", " ".join(missing))
            else:
                yield Sentence(speaker[1], stem, files[name], parts)


def select(sentences: Iterator[Sentence], drop_sa: bool, findings: Findings) -> dict[str, Sentence]:
    """Return the sentences with readable audio by utterance id, without those named SA if `drop_sa` says so.

    Raises:
        VQAudioError: a sentence that is there twice.
    """
    selected: dict[str, Sentence] = {}
    for sentence in sentences:
        if drop_sa and sentence.name.startswith("sa"):
            findings.add(sentence.id, "dropped: an SA sentence")
        elif sentence.id in selected:
            raise VQAudioError(
                f"{sentence.audio} and {selected[sentence.id].audio} are the same sentence; name one copy"
            )
        elif fault := _audio_fault(sentence):
            findings.add(sentence.id, "dropped: audio and marks do not go together", fault)
        else:
            selected[sentence.id] = sentence
    return selected


def _audio_fault(sentence: Sentence) -> str | None:
    try:
        seconds = probe(sentence.audio).duration
    except AudioError as error:
        return error.reason
    marked = max((mark.end for mark in read_marks(sentence.parts[".phn"])), default=0) / MARK_RATE
    if not marked:
        return "no phone is marked"
    return f"marked up to {marked:.3f} s, but {seconds:.3f} s long" if marked > seconds + 0.01 else None


def ctm_values(marks: Sequence[Mark]) -> list[str]:
    """Return the lines of an utterance in a CTM file, without its id; to a microsecond, a 60th of a sample."""
    seconds = [(mark.start / MARK_RATE, (mark.end - mark.start) / MARK_RATE, mark.label) for mark in marks]
    return [f"1 {start:.6f} {duration:.6f} {label}" for start, duration, label in seconds]


def prepare(source: str | Path, out: str | Path, drop_sa: bool = False) -> DataDir:
    """Write the data directory `out` from the tree `source`, with findings.tsv; return it, validated.

    Raises:
        VQAudioError: no sentence of TIMIT in it, one that is there twice, or marks that break the form.
    """
    source, out, findings = Path(source), Path(out), Findings()
    if not source.is_dir():
        raise VQAudioError(f"{source}: there is no such folder, expected a copy of TIMIT")
    selected = select(find_sentences(source.resolve(), findings), drop_sa, findings)
    out.mkdir(parents=True, exist_ok=True)
    findings.write(out / "findings.tsv")
    if not selected:
        raise VQAudioError(
            f"{source}: no sentence of TIMIT in it. Looked for folders named as speakers (fvmh0 or dr1-fvmh0), at any "
            f"depth, with .wav, {', '.join(PARTS)} of each sentence; what was found amiss is in {out / 'findings.tsv'}"
        )
    tables = {
        name: [(s.id, value) for s in selected.values() for value in ctm_values(read_marks(s.parts[suffix]))]
        for name, suffix in (("phones.ctm", ".phn"), ("words.ctm", ".wrd"))
    }
    written = write_data_dir(out, [_utterance(sentence) for sentence in selected.values()], tables)
    logger.info("%s: %d sentences of %d speakers", out, len(written), len(written.speakers))
    return written


def _utterance(sentence: Sentence) -> Utterance:
    text = " ".join(mark.label for mark in read_marks(sentence.parts[".txt"]))
    return Utterance(sentence.id, sentence.speaker, str(sentence.audio), text=text)


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.timit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", required=True, help="a copy of TIMIT or of a part of it")
    parser.add_argument("--out", required=True, help="data directory to write")
    parser.add_argument("--drop_sa", action="store_true", help="leave out the sentences that all speakers read")
    options = command.parse(parser, argv)
    return command.run(parser.prog, lambda: prepare(options.source, options.out, options.drop_sa))


if __name__ == "__main__":
    raise SystemExit(main())
