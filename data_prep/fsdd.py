"""Free Spoken Digit Dataset: the ten English digits, each spoken fifty times by six people.

What       3,000 isolated digits of about half a second, cut close.
Hours      0.4
Speakers   6
Languages  English, with accents of the United States, Germany, Greece, France and Belgium
Audio      8 kHz mono WAV, <digit>_<speaker>_<take>.wav
Licence    CC BY-SA 4.0
Source     https://github.com/Jakobovski/free-spoken-digit-dataset
Citation   Z. Jackson et al., Free Spoken Digit Dataset, doi:10.5281/zenodo.1342401
Tried on   the corpus itself

Parts, by take, as its authors have them: 0 to 4 are test, the others for training, of which 5 and 6 are dev. All six
speakers are in each. Ids are <speaker>-<digit>-<take>, the text is the digit's word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data_prep import archives, command
from data_prep.writing import Findings, require, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance

VERSION = "1.0.10"
ARCHIVE = archives.Archive(
    f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v{VERSION}.tar.gz", folder="fsdd"
)
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)")


def download(downloads: str | Path) -> Path:
    """Fetch what is absent of the corpus and return its folder."""
    return archives.obtain([ARCHIVE], downloads) / ARCHIVE.name


def part_of(take: int) -> str:
    """Return the part that a take belongs to."""
    return "test" if take < 5 else "dev" if take < 7 else "train"


def prepare(root: str | Path, out: str | Path) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} from the corpus at any depth below `root`, and `out`/findings.tsv.

    Raises:
        VQAudioError: no recording of it there.
    """
    root, out, findings = Path(root), Path(out), Findings()
    parts: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for path in sorted(root.rglob("*.wav")):
        name = NAME.fullmatch(path.stem)
        if name is None:
            findings.add(str(path.relative_to(root)), "left out: its name is not <digit>_<speaker>_<take>.wav")
            continue
        id = f"{name['speaker']}-{name['digit']}-{int(name['take']):02d}"
        word = WORDS[int(name["digit"])]
        parts[part_of(int(name["take"]))].append(Utterance(id, name["speaker"], str(path.resolve()), text=word))
    require([u for part in parts.values() for u in part], root, "recordings/<digit>_<speaker>_<take>.wav")
    findings.write(out / "findings.tsv")
    return write_parts(out, parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    return command.prepare_corpus("fsdd", __doc__, argv, prepare, download)


if __name__ == "__main__":
    raise SystemExit(main())
