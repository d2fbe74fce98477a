"""YesNo: one man says "yes" and "no" in Hebrew.

What       60 recordings of 6 s, of eight words each; made to try Kaldi on.
Hours      0.1
Speakers   1: a man who chose to stay unnamed
Languages  Hebrew
Audio      8 kHz mono WAV, waves_yesno/<eight digits with _ between>.wav: 1 is yes, 0 is no
Licence    none stated: made for the Kaldi project, so that anyone can try its scripts for free
Source     https://www.openslr.org/1/
Citation   none is asked for; OpenSLR's resource 1, YesNo
Tried on   a miniature of its layout

Parts are those of Kaldi's egs/yesno: in the order of names, the second 30 are test; of the first 30, three chosen by a
hash are dev, the others train. Ids are yesno-<digits>, the text is YES and NO, as in Kaldi. Small enough to see that
everything runs; nothing can be learned from it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data_prep import archives, command
from data_prep.splits import hold_out
from data_prep.writing import Findings, require, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

FILE = "resources/1/waves_yesno.tar.gz"
ARCHIVE = archives.Archive(
    f"https://www.openslr.org/{FILE}",
    # As torchaudio has it (torchaudio.datasets.yesno); OpenSLR gives none.
    "sha256:c3f49e0cca421f96b75b41640749167b52118f232498667ca7a5f9416aef8e73",
    mirrors=tuple(f"https://{host}/{FILE}" for host in ("us.openslr.org", "openslr.elda.org")),
)
SPEAKER = "yesno"
NAME = re.compile(r"[01](_[01]){7}")
WORDS = {"0": "NO", "1": "YES"}
RECORDINGS = 60
DEV_SHARE = 0.1  # of the half for training


def download(downloads: str | Path) -> Path:
    """Fetch what is absent of the corpus and return its folder."""
    return archives.obtain([ARCHIVE], downloads) / ARCHIVE.name


def prepare(root: str | Path, out: str | Path) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} from the corpus in `root` or a folder of it, and `out`/findings.tsv.

    Raises:
        VQAudioError: no recording of it there, or not all 60: the parts would be other ones.
    """
    root, out, findings = Path(root).resolve(), Path(out), Findings()
    utterances = []
    for path in sorted([*root.glob("*.wav"), *root.glob("*/*.wav")], key=lambda path: path.name):
        if NAME.fullmatch(path.stem):
            words = " ".join(WORDS[digit] for digit in path.stem.split("_"))
            utterances.append(Utterance(f"{SPEAKER}-{path.stem}", SPEAKER, str(path), text=words))
        else:
            findings.add(str(path.relative_to(root)), "left out: its name is not of eight digits, 0 or 1")
    require(utterances, root, "waves_yesno/<eight digits, 0 or 1, with _ between>.wav")
    if len(utterances) != RECORDINGS:
        raise VQAudioError(f"{root}: {len(utterances)} recordings, expected {RECORDINGS}. Is it one whole copy?")
    findings.write(out / "findings.tsv")
    half = RECORDINGS // 2
    return write_parts(out, hold_out(utterances[:half], {"dev": DEV_SHARE}) | {"test": utterances[half:]})


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    return command.prepare_corpus("yesno", __doc__, argv, prepare, download)


if __name__ == "__main__":
    raise SystemExit(main())
