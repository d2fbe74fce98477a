"""LibriTTS and LibriTTS-R: read English from LibriSpeech's books, cut at sentences, with case and punctuation.

What       375,086 sentences, without those in noise; LibriTTS-R is the same with its sound restored by a model
Hours      585: train-clean-100, train-clean-360, train-other-500, and 6 to 9 each of {dev,test}-{clean,other}
Speakers   2,456
Languages  English
Audio      24 kHz mono WAV, <speaker>/<chapter>/<speaker>_<chapter>_<paragraph>_<sentence>.wav
Licence    CC BY 4.0
Source     https://www.openslr.org/60 and, of LibriTTS-R, https://www.openslr.org/141
Citation   H. Zen et al., *LibriTTS: A Corpus Derived from LibriSpeech for Text-to-Speech*, Interspeech 2019; and Y.
           Koizumi et al., *LibriTTS-R: A Restored Multi-Speaker Text-to-Speech Corpus*, Interspeech 2023
Tried on   a miniature of its layout

--parts names the parts to take: by default train-clean-100 with dev-clean and test-clean, 10 GB. As of LibriSpeech, all
training parts become train, from which dev and test are held out, as the official ones are of other speakers; those
stand beside them as dev_clean, test_clean, .... --restored takes LibriTTS-R. The text is the normalized one, in which
numbers and abbreviations are words, or with --transcripts original that of the book.

Ids have a hyphen after the speaker, 84-121123_000007_000001, so that they sort as the speakers do. Transcripts come
from each chapter's .trans.tsv or, of sentences that are not in it, from the files beside the audio. Transcripts without
audio are in findings.tsv.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data_prep import archives, command, openslr
from data_prep.librispeech import chapters, divide, locate, what_is_there
from data_prep.tables import one_line, read_lines, read_text
from data_prep.writing import Findings, require, require_texts, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance

# Of the archives of OpenSLR 60 and 141, by torchaudio.datasets.LIBRITTS and mlx.data.datasets.libritts_r.
DIGESTS = {
    "train-clean-100": ("4a8c202b78fe1bc0c47916a98f3a2ea8", "6df668d8f5f33e70876bfa33862ad02b"),
    "train-clean-360": ("a84ef10ddade5fd25df69596a2767b2d", "382eb3e64394b3da6a559f864339b22c"),
    "train-other-500": ("7b181dd5ace343a5f38427999684aa6f", "a37a8e9f4fe79d20601639bf23d1add8"),
    "dev-clean": ("0c3076c1e5245bb3f0af7d82087ee207", "2c1f5312914890634cc2d15783032ff3"),
    "dev-other": ("815555d8d75995782ac3ccd7f047213d", "62d3a80ad8a282b6f31b3904f0507e4f"),
    "test-clean": ("7bed3bdb047c4c197f1ad3bc412db59f", "4d373d453eb96c0691e598061bbafab7"),
    "test-other": ("ae3258249472a13b5abef2a816f733e4", "dbc0959d8bdb6d52200595cabc9995ae"),
}
PARTS = tuple(DIGESTS)
DEFAULT_PARTS = ("train-clean-100", "dev-clean", "test-clean")
TRANSCRIPTS = ("normalized", "original")
NAME = re.compile(r"(?P<speaker>\d+)_(?P<rest>\d+_\d+_\d+)")
LAYOUT = "<speaker>/<chapter>/<speaker>_<chapter>_<paragraph>_<sentence>.wav"


def download(downloads: str | Path, parts: Sequence[str] = DEFAULT_PARTS, restored: bool = False) -> Path:
    """Fetch those of `parts` that are absent and return their folder."""
    if restored:
        wanted = [openslr.archive(141, f"{part.replace('-', '_')}.tar.gz", DIGESTS[part][1], part) for part in parts]
    else:
        wanted = [openslr.archive(60, f"{part}.tar.gz", DIGESTS[part][0]) for part in parts]
    return archives.obtain(wanted, Path(downloads) / ("libritts_r" if restored else "libritts"))


def read_part(folder: Path, transcripts: str, findings: Findings) -> list[Utterance]:
    """Return the utterances of a part's folder, by id.

    Raises:
        VQAudioError: no audio in it, or audio without a transcript.
    """
    utterances, missing, suffixes = [], [], Counter()
    for chapter, files in chapters(folder):
        suffixes.update(Path(file).suffix for file in files)
        texts = _chapter_texts(chapter, files, transcripts)
        for stem in (file.removesuffix(".wav") for file in files if file.endswith(".wav")):
            text = texts.pop(stem, None)
            if not (name := NAME.fullmatch(stem)):
                kind = "left out: its name is not <speaker>_<chapter>_<paragraph>_<sentence>.wav"
                findings.add(f"{folder.name}/{chapter.parent.name}/{chapter.name}/{stem}.wav", kind)
            elif text is None:
                missing.append(stem)
            else:
                id = f"{name['speaker']}-{name['rest']}"
                utterances.append(Utterance(id, name["speaker"], f"{chapter}/{stem}.wav", text=text))
        for stem, text in texts.items():
            findings.add(stem, "left out: it has a transcript, but no audio", text)
    require_texts(missing, folder)
    require(utterances, folder, f"{LAYOUT}.{what_is_there(suffixes, '.flac', 'LibriSpeech')}")
    return utterances


def _chapter_texts(chapter: Path, files: Sequence[str], transcripts: str) -> dict[str, str]:
    """Return the text of each sentence: lines of `id original normalized` with tabs between, or files of their own."""
    column, texts = 1 + ("original", "normalized").index(transcripts), {}
    for file in (file for file in files if file.endswith(".trans.tsv")):
        for line in read_lines(chapter / file):
            fields = line.split("\t")
            if len(fields) == 3:
                texts[fields[0]] = one_line(fields[column])
    suffix = f".{transcripts}.txt"
    for stem in (file.removesuffix(suffix) for file in files if file.endswith(suffix)):
        if stem not in texts:
            texts[stem] = one_line(read_text(chapter / f"{stem}{suffix}"))
    return texts


def prepare(
    root: str | Path,
    out: str | Path,
    parts: Sequence[str] = DEFAULT_PARTS,
    restored: bool = False,
    transcripts: str = TRANSCRIPTS[0],
) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} and the other official parts from the corpus in `root`, and `out`/findings.tsv.

    Args:
        restored: what was fetched; a copy is prepared in the same way, whichever of the two it is.

    Raises:
        VQAudioError: a part that is not there, or an incomplete one.
    """
    out, findings = Path(out), Findings()
    folders = locate(root, parts, PARTS)
    utterances = {part: read_part(folder, transcripts, findings) for part, folder in folders.items()}
    findings.write(out / "findings.tsv")
    return write_parts(out, divide(utterances))


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    options = (
        command.Option("parts", DEFAULT_PARTS, "parts to take", PARTS),
        command.Option("restored", False, "fetch LibriTTS-R, whose sound was restored"),
        command.Option("transcripts", TRANSCRIPTS[0], "which text", TRANSCRIPTS),
    )
    return command.prepare_corpus("libritts", __doc__, argv, prepare, download, options)


if __name__ == "__main__":
    raise SystemExit(main())
