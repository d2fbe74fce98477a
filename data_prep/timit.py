"""TIMIT: read American English sentences, with every phone marked by hand.

What       6,300 sentences of 3 s: per speaker 2 that all read (SA), 5 compact (SX), 3 of varied texts (SI)
Hours      5.4
Speakers   630: of 8 dialect regions, 192 of them women; NLTK's sample has 16, a woman and a man of each region
Languages  English of the United States
Audio      16 kHz WAV or NIST SPHERE, studio recordings; the sentence, its words and phones (61 labels) with times
Licence    LDC's user agreement: for a fee; NLTK's sample: CC BY-NC-SA
Source     LDC93S1, https://catalog.ldc.upenn.edu/LDC93S1; the sample as `timit` of https://www.nltk.org/nltk_data/
Citation   Garofolo et al. (1993), *TIMIT Acoustic-Phonetic Continuous Speech Corpus*, LDC93S1
Tried on   a part of the corpus itself: 80 sentences of NLTK's sample, as one set

The official parts are of different speakers: dev and test are held out of TRAIN by a hash, 5% each. Beside them stand
core_test, the 24 speakers that the corpus's documentation (TESTSET.DOC) names for it, official_dev, the 50 further ones
that the field takes since Halberstadt (1998), and complete_test, all 168 of TEST. The SA sentences, the same of every
speaker, are left out of all parts: they would be in train and in test.

--one_set makes one data directory, OUT, of whatever is there: of NLTK's sample, or of a folder such as .../TIMIT/TEST.
The SA sentences, which weigh their few phones far above their share of the language, stay in it unless --drop_sa.

Folders are named as the LDC's (TRAIN/DR1/FCJF0/SA1.WAV) or the sample's (dr1-fvmh0/sa1.wav), in upper or lower case.
Every part has `text`, `phones.ctm` and `words.ctm` (times in seconds, labels as marked; words may overlap, as they are
marked so). Ids are <speaker>_<sentence>, such as fvmh0_sa1. What cannot be used is in findings.tsv.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep import command
from data_prep.splits import with_held_out
from data_prep.writing import Findings, write_data_dir, write_parts
from vqaudio.audio.io import probe
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import AudioError, VQAudioError

logger = logging.getLogger(__name__)

GET_IT = """It is sold by the Linguistic Data Consortium as LDC93S1, https://catalog.ldc.upenn.edu/LDC93S1. The folder
that is wanted holds TRAIN and TEST, with DR1/FCJF0/SA1.WAV and so on in them."""
MARK_RATE = 16000  # Hz; what marks count samples of, whatever became of the audio
PARTS = (".txt", ".phn", ".wrd")  # beside each .wav
HELD_OUT_SHARE = 0.05
# The corpus's own TESTSET.DOC: of each dialect region two men and a woman.
CORE_TEST = """
mdab0 mwbt0 felc0  mtas1 mwew0 fpas0  mjmp0 mlnt0 fpkt0  mlll0 mtls0 fjlm0
mbpm0 mklt0 fnlp0  mcmj0 mjdh0 fmgd0  mgrt0 mnjm0 fdhc0  mjln0 mpam0 fmld0
"""
# A. K. Halberstadt (1998), Heterogeneous Acoustic Measurements and Multiple Classifiers for Speech Recognition, MIT;
# as in Kaldi's egs/timit/s5/conf/dev_spk.list.
OFFICIAL_DEV = """
faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 fedw0 mgjf0
mglb0 mrtk0 mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 mdvc0 mers0 fmah0 fdrw0
mrcs0 mrjm4 fcal1 mmwh0 fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 mteb0 mjfc0 mrjr0 fmml0 mrws1
"""
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

    @property
    def part(self) -> str:
        """`train` or `test`, from the folder above the dialect's in the LDC's tree; some other name elsewhere."""
        return self.audio.parents[2].name.lower()


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


def prepare(root: str | Path, out: str | Path, one_set: bool = False, drop_sa: bool = False) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test,official_dev,core_test,complete_test} from the tree `root`, and findings.tsv.

    Args:
        one_set: write one data directory, `out`, of all that there is, and return it as `all`.
        drop_sa: leave the SA sentences out of it.

    Raises:
        VQAudioError: no sentence of TIMIT in it, one that is there twice, marks that break the form, no TRAIN, or
            a TEST that lacks some of its speakers.
    """
    root, out, findings = Path(root), Path(out), Findings()
    selected = select(find_sentences(root.resolve(), findings), drop_sa or not one_set, findings)
    findings.write(out / "findings.tsv")
    if not selected:
        raise VQAudioError(
            f"{root}: no sentence of TIMIT in it. Looked for folders named as speakers (fvmh0 or dr1-fvmh0), at any "
            f"depth, with .wav, {', '.join(PARTS)} of each sentence; what was found amiss is in {out / 'findings.tsv'}"
        )
    tables = {
        name: {s.id: ctm_values(read_marks(s.parts[suffix])) for s in selected.values()}
        for name, suffix in (("phones.ctm", ".phn"), ("words.ctm", ".wrd"))
    }
    if not one_set:
        return write_parts(out, divide(list(selected.values()), root), tables)
    rows = {name: [(id, value) for id, of in table.items() for value in of] for name, table in tables.items()}
    written = write_data_dir(out, [_utterance(sentence) for sentence in selected.values()], rows)
    logger.info("%s: %d sentences of %d speakers", out, len(written), len(written.speakers))
    return {"all": written}


def divide(sentences: Sequence[Sentence], root: Path) -> dict[str, list[Utterance]]:
    """Return the parts by name: train, dev and test of TRAIN, and those of TEST where that is there.

    Raises:
        VQAudioError: no TRAIN, or a TEST that lacks some of its speakers.
    """
    official = {part: [_utterance(s) for s in sentences if s.part == part] for part in ("train", "test")}
    if not official["train"]:
        raise VQAudioError(
            f"{root}: {len(sentences)} sentences of TIMIT, but none in TRAIN/<dialect>/<speaker>. For NLTK's sample, "
            "or a part of the corpus, say --one_set: it makes one data directory of all that there is."
        )
    others: dict[str, list[Utterance]] = {}
    if official["test"]:
        others = {
            "dev": of_speakers("official_dev", OFFICIAL_DEV.split(), official["test"], root),
            "core_test": of_speakers("core_test", CORE_TEST.split(), official["test"], root),
            "complete_test": official["test"],
        }
    return with_held_out(official["train"], others, HELD_OUT_SHARE)


def of_speakers(name: str, speakers: Sequence[str], utterances: Sequence[Utterance], root: Path) -> list[Utterance]:
    """Return the utterances of these speakers; VQAudioError where some have none: it would not be the part `name`."""
    there = {utterance.speaker for utterance in utterances}
    if missing := [speaker for speaker in speakers if speaker not in there]:
        raise VQAudioError(
            f"{root}: {len(missing)} of the {len(speakers)} speakers of {name} are not in TEST: "
            f"{', '.join(missing[:5])}. Is the copy complete? --one_set makes one data directory of what there is."
        )
    return [utterance for utterance in utterances if utterance.speaker in speakers]


def _utterance(sentence: Sentence) -> Utterance:
    text = " ".join(mark.label for mark in read_marks(sentence.parts[".txt"]))
    return Utterance(sentence.id, sentence.speaker, str(sentence.audio), text=text)


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    options = (
        command.Option("one_set", False, "make one data directory, OUT, of all that there is"),
        command.Option("drop_sa", False, "leave the sentences that all speakers read out of it"),
    )
    return command.prepare_corpus("timit", __doc__, argv, prepare, GET_IT, options)


if __name__ == "__main__":
    raise SystemExit(main())
