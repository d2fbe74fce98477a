"""AISHELL-3: read Mandarin of many speakers, recorded for speech synthesis.

What       88,035 sentences of 1 to 16 s: commands, news, places, numbers
Hours      85.6
Speakers   218
Languages  Mandarin, of northern, southern and other accents
Audio      44.1 kHz mono WAV, {train,test}/wav/<speaker>/<speaker><number>.wav
Licence    Apache 2.0
Source     https://www.openslr.org/93
Citation   Y. Shi, H. Bu, X. Xu, S. Zhang, M. Li, *AISHELL-3: A Multi-Speaker Mandarin TTS Corpus*, Interspeech 2021
Tried on   a miniature of its layout

The publisher's test set is of 214 speakers, 170 of whom are in its training set too. What those say is test; what the
others say is test_unseen, for speakers whom the model does not know. dev is held out of the training set: 2%. Ids are
<speaker>-<number>, such as SSB0005-0001. content.txt gives characters and pinyin by turns, 广 guang3 州 zhou1; the text
is the characters, 广州, or with --transcripts pinyin, guang3 zhou1. Lines in which they do not take turns are sorted by
whether a word is in Latin letters, and are in findings.tsv, as are lines without audio. Gender, age and accent of each
speaker stay in the corpus's spk-info.txt; a speaker whom it does not list is in findings.tsv too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep import archives, command, openslr
from data_prep.librispeech import subfolders
from data_prep.splits import MOST, hold_out
from data_prep.tables import one_line, read_lines
from data_prep.writing import Findings, require, require_texts, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

ARCHIVE = openslr.archive(93, "data_aishell3.tgz", folder="aishell3")  # 19 GB, of which no digest is published
TRANSCRIPTS = ("characters", "pinyin")
NAME = re.compile(r"(?P<speaker>SSB\d{4})(?P<number>\d{4})")
PINYIN = re.compile(r"[a-zü:]+\d?", re.IGNORECASE)


def download(downloads: str | Path) -> Path:
    """Fetch the corpus where it is absent and return its folder."""
    return archives.obtain([ARCHIVE], downloads) / ARCHIVE.name


def locate(root: str | Path) -> Path:
    """Return the folder with train and test: `root` or one right below it.

    Raises:
        VQAudioError: there is none; the message says what was looked for.
    """
    root = Path(root).resolve()
    for folder in (root, *(root / name for name in subfolders(root))):
        if all((folder / part / "content.txt").is_file() for part in ("train", "test")):
            return folder
    hint = ""
    if (root / "data_aishell/transcript").is_dir() or (root / "transcript").is_dir():
        hint = " This looks like AISHELL-1."
    raise VQAudioError(
        f"{root}: not AISHELL-3, or a part of it alone. Looked for train/content.txt and test/content.txt, in it and "
        f"right below.{hint}"
    )


def split_line(text: str) -> tuple[list[str], list[str], bool]:
    """Return characters and pinyin of a line's text, and whether they take turns in it."""
    words = text.split()
    characters, pinyin = words[0::2], words[1::2]
    if len(characters) == len(pinyin) and all(map(PINYIN.fullmatch, pinyin)):
        return characters, pinyin, True
    latin = [PINYIN.fullmatch(word) is not None for word in words]
    return (
        [word for word, is_latin in zip(words, latin, strict=True) if not is_latin],
        [word for word, is_latin in zip(words, latin, strict=True) if is_latin],
        False,
    )


def read_contents(path: Path, transcripts: str, findings: Findings) -> dict[str, str]:
    """Return the text of each recording in a content.txt: lines of a file, a tab, and both by turns."""
    texts = {}
    for line in read_lines(path):
        file, _, text = line.partition("\t") if "\t" in line else line.partition(" ")
        if not file.strip():
            continue
        characters, pinyin, by_turns = split_line(one_line(text))
        stem = file.strip().removesuffix(".wav")
        if not by_turns:
            findings.add(stem, "mended: characters and pinyin do not take turns", one_line(text))
        texts[stem] = "".join(characters) if transcripts == "characters" else " ".join(pinyin)
    return texts


def read_speakers(path: Path) -> set[str]:
    """Return the speakers in spk-info.txt: lines of speaker, age group, gender and accent, after some with '#'."""
    lines = read_lines(path) if path.is_file() else []
    return {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}


def read_part(folder: Path, transcripts: str, findings: Findings) -> list[Utterance]:
    """Return the utterances of train or test.

    Raises:
        VQAudioError: no audio in it, or audio without a transcript.
    """
    texts = read_contents(folder / "content.txt", transcripts, findings)
    utterances, missing = [], []
    for speaker in subfolders(folder / "wav"):
        for file in sorted(name for name in os.listdir(folder / "wav" / speaker) if name.endswith(".wav")):
            stem = file.removesuffix(".wav")
            name = NAME.fullmatch(stem)
            if name is None or name["speaker"] != speaker:
                kind = "left out: its name is not <speaker><number>.wav, in the speaker's folder"
                findings.add(f"{folder.name}/wav/{speaker}/{file}", kind)
            elif stem not in texts:
                missing.append(stem)
            else:
                path = f"{folder}/wav/{speaker}/{file}"
                utterances.append(Utterance(f"{speaker}-{name['number']}", speaker, path, text=texts.pop(stem)))
    require_texts(missing, folder / "content.txt")
    require(utterances, folder, "wav/<speaker>/<speaker><number>.wav, such as wav/SSB0005/SSB00050001.wav")
    for stem, text in texts.items():
        findings.add(stem, "left out: it has a transcript, but no audio", text)
    return utterances


def divide(parts: Mapping[str, Sequence[Utterance]]) -> dict[str, list[Utterance]]:
    """Return train and dev, and the test set divided into test and test_unseen, by who is in the training set.

    Where none of its speakers is, as in some partial copies, test is held out of the training set too.
    """
    known = {u.speaker for u in parts["train"]}
    heard = [u for u in parts["test"] if u.speaker in known]
    unheard = [u for u in parts["test"] if u.speaker not in known]
    shares = {"dev": 0.02} if heard else {"dev": 0.02, "test": 0.02}
    divided = hold_out(parts["train"], shares, MOST)
    if heard:
        divided["test"] = heard
    return divided | ({"test_unseen": unheard} if unheard else {})


def prepare(root: str | Path, out: str | Path, transcripts: str = TRANSCRIPTS[0]) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test,test_unseen} from the corpus in `root`, and `out`/findings.tsv.

    Raises:
        VQAudioError: not the corpus, or an incomplete copy.
    """
    out, findings, folder = Path(out), Findings(), locate(root)
    parts = {name: read_part(folder / name, transcripts, findings) for name in ("train", "test")}
    listed = read_speakers(folder / "spk-info.txt")
    for speaker in sorted({u.speaker for part in parts.values() for u in part} - listed):
        findings.add(speaker, "kept: a speaker whom spk-info.txt does not list")
    findings.write(out / "findings.tsv")
    return write_parts(out, divide(parts))


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    options = (command.Option("transcripts", TRANSCRIPTS[0], "which text", TRANSCRIPTS),)
    return command.prepare_corpus("aishell3", __doc__, argv, prepare, download, options)


if __name__ == "__main__":
    raise SystemExit(main())
