"""Mboshi-French parallel corpus: sentences of a language that is mostly unwritten, recorded to document it.

What       5,130 sentences, read by the three who documented them; what was said, its French translation
Hours      4.5
Speakers   3: abiayi, kouarata, martial
Languages  Mboshi (Bantu C25, Congo-Brazzaville)
Audio      16 kHz mono WAV, by tablet computer: full_corpus_newsplit/{train,dev}/<speaker>_<session>_<item>.wav
Licence    none stated: its authors make it available to the community for research
Source     https://github.com/besacier/mboshi-french-parallel-corpus
Citation   P. Godard et al., *A Very Low Resource Language Speech Corpus for Computational Language Documentation
           Experiments*, LREC 2018
Tried on   a miniature of its layout

The official dev, 514 sentences none of which is said in the official train, is dev. There is no official test: 5% of
the official train are held out, by a hash of what is said, so that none of it is trained on either. All three speak in
each part. Ids are <speaker>-<session>_<item>, the text is the linguists' (.mb, not the .fr beside it).

Each part has phones.ctm where the copy has forced_alignments_supervised_spkr: times of letters (the spelling is close
to the sounds), and SIL, of a forced alignment that its authors call imperfect. Utterances without one are in
findings.tsv.

The headers of some recordings promise another length than there is, as the authors tell (script/fix_wav.rdm). Those are
written anew, with all their samples, into recordings/, and listed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from data_prep import archives, command
from data_prep.tables import one_line, read_lines, read_text
from data_prep.writing import Findings, require, require_texts, write_parts
from vqaudio.audio.atomic import write_whole
from vqaudio.audio.io import probe
from vqaudio.audio.riff import find_data_chunk
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import AudioError, VQAudioError

ARCHIVE = archives.Archive(
    "https://github.com/besacier/mboshi-french-parallel-corpus/archive/refs/heads/master.tar.gz", folder="mboshi"
)
CORPUS, ALIGNMENTS = "full_corpus_newsplit", "forced_alignments_supervised_spkr"
OLD_SPLITS = ("full_corpus_spkr", "full_corpus")
NAME = re.compile(r"(?P<speaker>[a-z]+)_(?P<item>.+)")
TEST_PERCENT = 5
SIZE_BYTES = 4  # of a size in a WAV file, which stands before what it is the size of


def download(downloads: str | Path) -> Path:
    """Fetch what is absent of the corpus and return its folder."""
    return archives.obtain([ARCHIVE], downloads) / ARCHIVE.name


def locate(root: str | Path) -> Path:
    """Return the folder full_corpus_newsplit: `root`, or one up to two levels below it.

    Raises:
        VQAudioError: it is not there; the message says so where there is an older division alone.
    """
    root = Path(root).resolve()
    below = [folder for pattern in (CORPUS, f"*/{CORPUS}") for folder in sorted(root.glob(pattern))]
    for folder in (root, *below):
        if (folder / "train").is_dir() and (folder / "dev").is_dir():
            return folder
    old = [name for name in OLD_SPLITS for _ in (*root.glob(name), *root.glob(f"*/{name}"))]
    hint = f" There is {old[0]}, an older division whose dev repeats sentences of train." if old else ""
    raise VQAudioError(
        f"{root}: nothing of the corpus in it. Looked for {CORPUS} with train and dev, in it and a level below.{hint}"
    )


def read_part(folder: Path, findings: Findings) -> list[Utterance]:
    """Return the utterances of a folder of recordings, each with its text in a .mb file beside it.

    Raises:
        VQAudioError: no recordings, or one without a text.
    """
    utterances, missing = [], []
    for path in sorted(folder.glob("*.wav")):
        name, text = NAME.fullmatch(path.stem), path.with_suffix(".mb")
        if name is None:
            findings.add(f"{folder.name}/{path.name}", "left out: its name is not <speaker>_<item>.wav")
        elif not text.is_file():
            missing.append(path.stem)
        else:
            id = f"{name['speaker']}-{name['item']}"
            said = one_line(read_text(text))
            utterances.append(Utterance(id, name["speaker"], str(path), text=said))
    require_texts(missing, folder)
    require(utterances, folder, "<speaker>_<session>_<item>.wav, each with its text in .mb")
    return utterances


def mend(utterances: Iterable[Utterance], folder: Path, findings: Findings) -> list[Utterance]:
    """Return the utterances; those whose header is wrong about the length as they are then written in `folder`."""
    mended = []
    for utterance in utterances:
        try:
            probe(utterance.recording)
        except AudioError as error:
            path = folder / f"{utterance.id}.wav"
            try:
                write_mended(Path(utterance.recording), path)
                probe(path)
            except AudioError:
                findings.add(utterance.id, "left out: unreadable", error.reason)
                continue
            findings.add(utterance.id, "mended: its header was wrong about the length", error.reason)
            utterance = replace(utterance, recording=str(path.resolve()))
        mended.append(utterance)
    return mended


def write_mended(path: Path, target: Path) -> None:
    """Write a WAV file of 16-bit mono again, with its samples up to the file's end and the sizes that they have.

    Raises:
        AudioError: it is no WAV file, or has no samples.
    """
    chunk = find_data_chunk(path)
    if chunk is None or chunk.present < 2:
        raise AudioError(path, "holds no samples")
    content = path.read_bytes()
    size = chunk.present - chunk.present % 2
    start = len(content) - chunk.present
    sizes = [count.to_bytes(SIZE_BYTES, "little") for count in (start + size - 8, size)]
    with write_whole(target, durable=False) as file:
        file.write(content[:4] + sizes[0] + content[8 : start - SIZE_BYTES] + sizes[1] + content[start : start + size])


def is_test(text: str | None) -> bool:
    """Return whether a sentence of the official train is held out for the test, by a hash of what is said."""
    digest = hashlib.md5((text or "").casefold().encode(), usedforsecurity=False).hexdigest()
    return int(digest, 16) % 100 < TEST_PERCENT


def read_alignment(path: Path) -> list[str]:
    """Return the lines of an utterance in a CTM file, from `label start end` in seconds.

    Raises:
        VQAudioError: a line that breaks the form, with its number.
    """
    values = []
    for number, line in enumerate(read_lines(path), start=1):
        try:
            label, start, end = line.split()
            values.append(f"1 {float(start):.3f} {float(end) - float(start):.3f} {label}")
        except ValueError as error:
            raise VQAudioError(f"{path}:{number}: {line!r}, expected 'label start end' in seconds") from error
    return values


def read_alignments(folder: Path, utterances: Iterable[Utterance], findings: Findings) -> dict[str, list[str]]:
    """Return the lines of phones.ctm by utterance, from the alignments at any depth below `folder`, nearest first."""
    nearest_last = sorted(folder.rglob("*.txt"), key=lambda path: (-len(path.parts), path))
    files = {path.stem: path for path in nearest_last}
    values = {}
    for utterance in utterances:
        path = files.get(f"{utterance.speaker}_{utterance.id.removeprefix(utterance.speaker + '-')}")
        if path is None:
            findings.add(utterance.id, "without phones: it has no forced alignment")
        else:
            values[utterance.id] = read_alignment(path)
    return values


def prepare(root: str | Path, out: str | Path) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} from the corpus in `root`, and `out`/findings.tsv.

    Raises:
        VQAudioError: the corpus is not there, a recording has no text, or an alignment breaks its form.
    """
    folder, out, findings = locate(root), Path(out), Findings()
    official = {
        part: mend(read_part(folder / part, findings), out / "recordings", findings) for part in ("train", "dev")
    }
    parts = {
        "train": [u for u in official["train"] if not is_test(u.text)],
        "dev": official["dev"],
        "test": [u for u in official["train"] if is_test(u.text)],
    }
    tables = {}
    if (folder.parent / ALIGNMENTS).is_dir():
        everything = [u for part in parts.values() for u in part]
        tables["phones.ctm"] = read_alignments(folder.parent / ALIGNMENTS, everything, findings)
    findings.write(out / "findings.tsv")
    return write_parts(out, parts, tables)


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    return command.prepare_corpus("mboshi", __doc__, argv, prepare, download)


if __name__ == "__main__":
    raise SystemExit(main())
