"""AN4: spelled names, addresses, numbers and dates, of 84 people at Carnegie Mellon University.

What       1,078 utterances of 3 s: letters, digits and commands such as RUBOUT; of about 1991. Also called Census.
Hours      0.8
Speakers   84: 74 in the training part, of whom 21 are women; 10 in the test part, of whom 3 are
Languages  English of the United States
Audio      16 kHz mono, close microphone: NIST SPHERE (.sph), or samples without a header (.raw) in either byte order
Licence    none stated: the university offers it to anyone
Source     http://www.speech.cs.cmu.edu/databases/an4/
Citation   A. Acero (1993), Acoustical and Environmental Robustness in Automatic Speech Recognition, Kluwer
Tried on   a miniature of its layout

The official parts are of different speakers: dev and test are held out of the training part by a hash, and the official
test part stays beside them as official_test. The published lists etc/an4_{train,test}.fileids say what belongs to a
part, the .transcription files beside them what is said. Ids are <speaker>-<item>-<take>, such as fash-an251-b of
an251-fash-b. SPHERE files stay where they are. Those without a header say nothing of rate or byte order: they are taken
as 16 kHz, in that byte order in which neighbouring samples differ least, and written as WAV into recordings/.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from data_prep import archives, command
from data_prep.splits import with_held_out
from data_prep.tables import read_lines, read_text
from data_prep.writing import Findings, require, require_texts, write_parts
from vqaudio.audio.io import write_wav
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

logger = logging.getLogger(__name__)

FILE = "an4_sphere.tar.gz"
ARCHIVE = archives.Archive(
    f"https://dldata-public.s3.us-east-2.amazonaws.com/{FILE}",  # NVIDIA's copy; the university's server often is away
    mirrors=(
        f"https://huggingface.co/datasets/espnet/an4/resolve/main/{FILE}",
        f"http://www.speech.cs.cmu.edu/databases/an4/{FILE}",
    ),
)
RATE = 16000  # Hz, of all recordings
SUFFIXES = (".sph", ".wav", ".raw")  # in order of preference; many copies hold SPHERE files and WAV made of them
LINE = re.compile(r"(?:<s> )?(?P<words>.*?)(?: </s>)? \((?P<name>[^()\s]+)\)")
NAME = re.compile(r"(?P<item>\w+)-(?P<speaker>\w+)-(?P<take>\w+)")
HELD_OUT_SHARE = 0.05


def download(downloads: str | Path) -> Path:
    """Fetch what is absent of the corpus and return its folder."""
    return archives.obtain([ARCHIVE], downloads) / ARCHIVE.name


def read_transcription(path: str | Path) -> dict[str, str]:
    """Return the words of each utterance of a .transcription file: lines of `<s> WORDS </s> (an251-fash-b)`.

    The test part's lines are without <s> and </s>; blank lines count nothing.

    Raises:
        VQAudioError: a line of another form.
    """
    texts = {}
    for number, line in enumerate(read_lines(path), start=1):
        match = LINE.fullmatch(" ".join(line.split()))
        if match:
            texts[match["name"]] = match["words"]
        elif line.strip():
            raise VQAudioError(f"{path}:{number}: {line!r}, expected <s> WORDS </s> (an251-fash-b)")
    return texts


def read_part(corpus: Path, part: str, findings: Findings) -> list[Utterance]:
    """Return the utterances of an official part, `train` or `test`, in the order of its list.

    Raises:
        VQAudioError: one of them without recording or transcript, or named in another way.
    """
    listing, transcription = (corpus / f"etc/an4_{part}.{kind}" for kind in ("fileids", "transcription"))
    names = read_text(listing).split()  # an4_clstk/fash/an251-fash-b
    texts = read_transcription(transcription)
    require_texts([name for name in names if not texts.get(Path(name).name)], transcription)
    for name in sorted(texts.keys() - {Path(name).name for name in names}):
        findings.add(name, f"left out: transcribed, but not in {listing.name}", texts[name])
    recordings = {name: _recording(corpus / "wav" / name) for name in names}
    if silent := [name for name, path in recordings.items() if path is None]:
        shown = ", ".join(silent[:5]) + (", …" if len(silent) > 5 else "")
        raise VQAudioError(
            f"{corpus / 'wav'}: no recording ({', '.join(SUFFIXES)}) of {len(silent)} utterances of {listing.name}: "
            f"{shown}. Is the copy complete?"
        )
    return [_utterance(path, texts[path.stem]) for path in recordings.values()]


def _recording(stem: Path) -> Path | None:
    paths = (stem.with_name(stem.name + suffix) for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _utterance(path: Path, text: str) -> Utterance:
    name = NAME.fullmatch(path.stem)
    if name is None:
        raise VQAudioError(f"{path}: a recording of AN4 is named <item>-<speaker>-<take>, such as an251-fash-b")
    return Utterance(f"{name['speaker']}-{name['item']}-{name['take']}", name["speaker"], str(path), text=text)


def byte_order(recordings: Iterable[str | Path]) -> str:
    """Return '<' or '>', in which 16-bit samples without a header make the smoother waveforms."""
    samples = [np.fromfile(path, dtype="u1") for path in recordings]
    readings = {order: [s[: len(s) // 2 * 2].view(f"{order}i2").astype(float) for s in samples] for order in "<>"}
    return min(readings, key=lambda order: sum(np.abs(np.diff(waveform)).sum() for waveform in readings[order]))


def convert_raw(utterances: Sequence[Utterance], folder: Path) -> list[Utterance]:
    """Write recordings without a header as WAV files of the same samples in `folder`; return all, as they are then."""
    raw = [utterance.recording for utterance in utterances if utterance.recording.endswith(".raw")]
    if not raw:
        return list(utterances)
    order = byte_order(raw[:20])
    kind = {"<": "little", ">": "big"}[order]
    logger.info("%d recordings without a header, taken as %s-endian at %d Hz, become %s", len(raw), kind, RATE, folder)
    return [_as_wav(u, folder / f"{u.id}.wav", order) if u.recording.endswith(".raw") else u for u in utterances]


def _as_wav(utterance: Utterance, path: Path, order: str) -> Utterance:
    samples = np.fromfile(utterance.recording, dtype=f"{order}i2")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, samples.astype(np.float32) / 32768, RATE)
    return Utterance(utterance.id, utterance.speaker, str(path), text=utterance.text)


def prepare(root: str | Path, out: str | Path) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test,official_test} from the corpus in `root` or a folder of it, and `out`/findings.tsv.

    Raises:
        VQAudioError: no lists of it there, or an utterance of the lists without recording or transcript.
    """
    root, out, findings = Path(root).resolve(), Path(out), Findings()
    lists = sorted([*root.glob("etc/an4_train.fileids"), *root.glob("*/etc/an4_train.fileids")])
    require(lists, root, "an4/etc/an4_{train,test}.{fileids,transcription} and an4/wav")
    parts = {part: read_part(lists[0].parents[1], part, findings) for part in ("train", "test")}
    parts = {part: convert_raw(utterances, (out / "recordings").resolve()) for part, utterances in parts.items()}
    findings.write(out / "findings.tsv")
    return write_parts(out, with_held_out(parts["train"], {"test": parts["test"]}, HELD_OUT_SHARE))


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    return command.prepare_corpus("an4", __doc__, argv, prepare, download)


if __name__ == "__main__":
    raise SystemExit(main())
