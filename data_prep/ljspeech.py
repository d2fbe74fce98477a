"""LJ Speech: passages of seven books, read by one woman.

What       13,100 clips of 1 to 10 s from LibriVox readings of non-fiction, each with its transcript.
Hours      24
Speakers   1: Linda Johnson, who gave the recordings to LibriVox
Languages  English of the United States
Audio      22.05 kHz mono WAV, wavs/LJ<chapter>-<clip>.wav; metadata.csv with transcripts as printed and as read
Licence    public domain
Source     https://keithito.com/LJ-Speech-Dataset/, version 1.1
Citation   K. Ito and L. Johnson (2017), The LJ Speech Dataset, https://keithito.com/LJ-Speech-Dataset/
Tried on   a miniature of its layout

Parts: its authors have none. These are the ones of ESPnet's recipes: in the order of names, the last 250 clips
(from LJ050-0029 on) are test, the 250 before them dev. Other toolkits draw 500 clips by chance, each its own.
Ids are the corpus's own, which begin with the reader's initials; the text is that as read: numbers and abbreviations
are spelled out. metadata.csv has no quoting: a quotation mark in it belongs to the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_prep import archives, command
from data_prep.tables import read_lines
from data_prep.writing import Findings, require, require_texts, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

ARCHIVE = archives.Archive(
    "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
    # As torchaudio has it (torchaudio.datasets.ljspeech); the corpus's own page gives none.
    "sha256:be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
)
SPEAKER = "LJ"
FIRST_OF_TEST = "LJ050-0029"
DEV_CLIPS = 250


def download(downloads: str | Path) -> Path:
    """Fetch what is absent of the corpus and return its folder."""
    return archives.obtain([ARCHIVE], downloads) / ARCHIVE.name


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the transcripts as read of metadata.csv, by id: lines of `id|as printed|as read`.

    Raises:
        VQAudioError: a line of another form.
    """
    texts = {}
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split("|")
        if len(fields) != 3:
            raise VQAudioError(f"{path}:{number}: {line!r} has {len(fields)} fields, expected id|as printed|as read")
        texts[fields[0]] = " ".join(fields[2].split())
    return texts


def divide(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """Return the parts, from all clips.

    Raises:
        VQAudioError: too few of them; a copy that breaks off.
    """
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    rest = [utterance for utterance in ordered if utterance.id < FIRST_OF_TEST]
    parts = {"train": rest[:-DEV_CLIPS], "dev": rest[-DEV_CLIPS:], "test": ordered[len(rest) :]}
    if not all(parts.values()):
        raise VQAudioError(
            f"{len(ordered)} clips, expected 13,100, of which those from {FIRST_OF_TEST} on are test, the {DEV_CLIPS} "
            "before it dev. Is the copy complete?"
        )
    return parts


def prepare(root: str | Path, out: str | Path) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} from the corpus in `root` or a folder of it, and `out`/findings.tsv.

    Raises:
        VQAudioError: no metadata.csv there, a line of another form in it, or a clip without a line or without audio.
    """
    root, out = Path(root).resolve(), Path(out)
    found = sorted([*root.glob("metadata.csv"), *root.glob("*/metadata.csv")])
    require(found, root, "LJSpeech-1.1/metadata.csv and LJSpeech-1.1/wavs/*.wav")
    texts, wavs = read_metadata(found[0]), found[0].parent / "wavs"
    recorded = {path.stem for path in wavs.glob("*.wav")}
    require(sorted(recorded), wavs, "LJ001-0001.wav and so on, version 1.1's recordings")
    require_texts(sorted(recorded - {id for id, text in texts.items() if text}), found[0])
    if silent := sorted(texts.keys() - recorded):
        shown = ", ".join(silent[:5]) + (", …" if len(silent) > 5 else "")
        raise VQAudioError(
            f"{wavs}: no recording of {len(silent)} clips of metadata.csv: {shown}. Is the copy complete?"
        )
    Findings().write(out / "findings.tsv")
    return write_parts(
        out, divide([Utterance(id, SPEAKER, str(wavs / f"{id}.wav"), text=text) for id, text in texts.items()])
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    return command.prepare_corpus("ljspeech", __doc__, argv, prepare, download)


if __name__ == "__main__":
    raise SystemExit(main())
