"""ZeroSpeech 2019, TTS without T: a challenge to learn units from many voices, and speech in a target voice.

What       unit-discovery speech of many voices, speech of the target voices, and test utterances of unheard speakers
Hours      38: 21 in English, 17 in the surprise language
Speakers   254: English 100 for units, target voices V001 and V002, and 24 in the test; surprise 112, V001, and 15
Languages  English, and a surprise language: Indonesian
Audio      16 kHz mono WAV: <language>/train/{unit,voice,parallel}/…/<speaker>_<number>.wav, <language>/test/….wav
Licence    the challenge's: for research; the surprise language wants an agreement, which gives a password
Source     https://download.zerospeech.com and https://zerospeech.com/challenge_archive/2019
Citation   E. Dunbar et al., *The Zero Resource Speech Challenge 2019: TTS without T*, Interspeech 2019
Tried on   a miniature of its layout

The speakers of train/unit (S…) and train/voice (V…) together are train, from which dev and test are held out (2% each,
by a hash): the model learns the target voices with the others. The official test stays beside them as official_test,
and train/parallel, the same sentences by other speakers and by the target voices, as parallel_source and
parallel_voice, where the copy has it. Ids are <speaker>-<number>, such as V001-0361841101. There are no transcripts,
and vads.txt is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data_prep import archives, command
from data_prep.fetch import FetchError
from data_prep.splits import with_held_out
from data_prep.writing import Findings, require, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

SITE = "https://download.zerospeech.com"
ENGLISH = archives.Archive(f"{SITE}/archive/2019/english.tgz", mirrors=(f"{SITE}/2019/english.tgz",))
LANGUAGES = ("english", "surprise")
NAME = re.compile(r"(?P<speaker>[SV]\d+)_(?P<number>\w+)")
OTHERS = {"official_test": "test", "parallel_source": "train/parallel/source", "parallel_voice": "train/parallel/voice"}


def download(downloads: str | Path, language: str = "english") -> Path:
    """Fetch English where it is absent, and return the folder with the languages.

    Raises:
        FetchError: it cannot be fetched; or the surprise language is wanted, and is not there.
    """
    folder = Path(downloads) / "zerospeech2019"
    if language == "english":
        return archives.obtain([ENGLISH], folder)
    if not (folder / language).is_dir():
        raise FetchError(
            f"--language surprise cannot be fetched automatically: its archive has a password. Accept the agreement on "
            f"https://zerospeech.com/challenge_archive/2019, fetch {SITE}/archive/2019/surprise.zip (1.5 GB), unpack "
            f"it with the password (unzip -d {folder.absolute()} surprise.zip), and say this again; or say where the "
            "folder surprise is with --corpus_dir."
        )
    return folder


def locate(root: str | Path, language: str) -> Path:
    """Return the folder of a language, at or below `root`: the one that has train/unit in it.

    Raises:
        VQAudioError: it is not there; the message says where it was looked for, and which language is.
    """
    root = Path(root).resolve()
    places = [root / place / language for place in ("", language, "2019", "2020/2019")]
    if root.name == language:
        places.insert(0, root)
    for place in places:
        if (place / "train/unit").is_dir():
            return place
    there = [name for name in LANGUAGES if (root / name / "train").is_dir()]
    raise VQAudioError(
        f"{root}: no {language}/train/unit in it. It has {', '.join(there) or 'neither english nor surprise'}. Looked "
        "for it in:" + "".join(f"\n  {place}" for place in places)
    )


def read_part(folder: Path, findings: Findings) -> list[Utterance]:
    """Return the utterances of a folder of recordings, by id."""
    utterances = []
    for path in sorted(folder.glob("*.wav")):
        if name := NAME.fullmatch(path.stem):
            utterances.append(Utterance(f"{name['speaker']}-{name['number']}", name["speaker"], str(path)))
        else:
            kind = "left out: its name is not <speaker>_<number>.wav, such as S015_0361841101.wav"
            findings.add(str(path.relative_to(folder.parents[1])), kind)
    return utterances


def prepare(root: str | Path, out: str | Path, language: str = "english") -> dict[str, DataDir]:
    """Write `out`/{train,dev,test,official_test} of a language in `root`, the parallel parts, and `out`/findings.tsv.

    Raises:
        VQAudioError: the language is not there, or a part of it has no recordings.
    """
    folder, out, findings = locate(root, language), Path(out), Findings()
    train = []
    for part in ("train/unit", "train/voice"):
        utterances = read_part(folder / part, findings)
        require(utterances, folder / part, "<speaker>_<number>.wav")
        train += utterances
    others = {name: read_part(folder / part, findings) for name, part in OTHERS.items()}
    require(others["official_test"], folder / "test", "<speaker>_<number>.wav")
    findings.write(out / "findings.tsv")
    return write_parts(out, with_held_out(train, {name: part for name, part in others.items() if part}))


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    options = (command.Option("language", "english", "which of the two", LANGUAGES),)
    return command.prepare_corpus("zerospeech2019", __doc__, argv, prepare, download, options)


if __name__ == "__main__":
    raise SystemExit(main())
