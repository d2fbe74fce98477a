"""Libri-Light: audio books in English without transcripts, to learn speech from at scale.

What       chapters of audio books, up to hours long, with what is known of the book, and where a detector heard voice
Hours      57,700: small 577, medium 5,193, large 51,934, each of books of its own
Speakers   7,439: 489 in small
Languages  English
Audio      16 kHz mono FLAC, once MP3; <subset>/<speaker>/<book>/<file>.flac and .json
Licence    public domain: the recordings are LibriVox's
Source     https://github.com/facebookresearch/libri-light, data_preparation; 35 GB, 321 GB and 3.05 TB
Citation   J. Kahn, M. Rivière et al., *Libri-Light: A Benchmark for ASR with Limited or No Supervision*, ICASSP 2020
Tried on   a miniature of its layout

Recordings stay as they are; utterances are stretches of them, in `segments`. --cut_by vad takes the voice_activity of
the JSON: stretches of voice that follow each other are joined, with the pauses between, as long as they last no more
than --segment_seconds together; a longer one is divided evenly. --cut_by length divides the whole recording evenly, and
so does the former where no voice is known (see findings.tsv). Of the audio, only headers are read. A million utterances
need half a gigabyte of memory; large has 14 million at 15 s, and 6 at 30.

--subsets names what to take. Together they are train, dev and test, the latter two 2%, at most 2,000 utterances each,
by a hash, of the same speakers. Ids are <speaker>-<book>_<file>-<number>. LibriSpeech's dev and test parts, which
recipes/librispeech prepares, are meant for scores on other speakers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath

from data_prep import archives, command
from data_prep.folder import ID_BYTES, distinct, utterance_id
from data_prep.librispeech import has_speakers, named_folders, subfolders
from data_prep.splits import MOST, hold_out
from data_prep.tables import read_text
from data_prep.writing import Findings, require, write_parts
from vqaudio.audio.io import probe
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import AudioError, VQAudioError

SITE = "https://dl.fbaipublicfiles.com/librilight/data"
DIGESTS = {  # by data_preparation/README.md of the source
    "small": "c49207eb86a8e8ac895561c37232041e",
    "medium": "c75e7ac62471bfbf2db77528d62a9b74",
    "large": "4dfbac018f50b99797ece101fc9f0c30",
}
SUBSETS = tuple(DIGESTS)
CUTS = ("vad", "length")
SHORTEST = 0.5
"""Seconds; shorter stretches of voice are breaths and clicks, and nothing is learned from them."""

Stretch = tuple[float, float]


def download(downloads: str | Path, subsets: Sequence[str] = SUBSETS[:1]) -> Path:
    """Fetch those of `subsets` that are absent and return their folder."""
    wanted = [archives.Archive(f"{SITE}/{name}.tar", f"md5:{DIGESTS[name]}") for name in subsets]
    return archives.obtain(wanted, Path(downloads) / "librilight")


def locate(root: str | Path, subsets: Sequence[str]) -> list[Path]:
    """Return the folder of each subset: `root` itself, or one up to two levels below it.

    Raises:
        VQAudioError: one is not there; the message says which are.
    """
    root = Path(root).resolve()
    found = {path.name: path for path in named_folders(root, 2) if path.name in SUBSETS and has_speakers(path)}
    missing = [name for name in subsets if name not in found]
    if missing:
        raise VQAudioError(
            f"{root}: no subset {', '.join(missing)} in it. It has {', '.join(found) or 'none'}. Looked for folders of "
            f"that name with one for each speaker, named by a number; --subsets says which to take."
        )
    return [found[name] for name in subsets]


def find_recordings(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield speaker, book and path of each recording below the folder of a subset."""
    for speaker in (name for name in subfolders(folder) if name.isdigit()):
        for book in subfolders(folder / speaker):
            for path in sorted((folder / speaker / book).glob("*.flac")):
                yield speaker, book, str(path)


def voice_activity(path: Path) -> list[Stretch]:
    """Return the stretches of voice that a JSON file tells of, in seconds and in order; none where it tells of none.

    Raises:
        VQAudioError: a file that is not JSON of this form.
    """
    if not path.is_file():
        return []
    try:
        stretches = json.loads(read_text(path)).get("voice_activity") or []
        return sorted((float(start), float(end)) for start, end in stretches)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise VQAudioError(f"{path}: expected an object whose voice_activity lists [start, end]: {error}") from error


def join_stretches(stretches: Sequence[Stretch], most: float) -> list[Stretch]:
    """Return stretches that follow each other as one, with the pauses between, where it lasts at most `most` seconds.

    One that is longer by itself is divided evenly. Those that overlap count as one.
    """
    joined: list[Stretch] = []
    for start, end in stretches:
        if joined and (start < joined[-1][1] or end - joined[-1][0] <= most):
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return [part for start, end in joined for part in divide_evenly(start, end, most)]


def divide_evenly(start: float, end: float, most: float) -> list[Stretch]:
    """Return [start, end) in as few equal parts as last at most `most` seconds each."""
    count = max(1, math.ceil((end - start) / most - 1e-9))
    return list(pairwise([*(start + (end - start) * part / count for part in range(count)), end]))


def cut(path: Path, shown: str, by: str, seconds: float, findings: Findings) -> list[Stretch]:
    """Return the stretches of a recording that become utterances, none where it cannot be read; findings say why."""
    try:
        duration = probe(path).duration
    except AudioError as error:
        findings.add(shown, "left out: it cannot be read", error.reason)
        return []
    voice = voice_activity(path.with_suffix(".json")) if by == "vad" else []
    if any(end > duration for _, end in voice):
        findings.add(
            shown, "mended: voice activity beyond the end of the recording", f"{voice[-1][1]} of {duration:.3f} s"
        )
    voice = [(start, min(end, duration)) for start, end in voice if min(end, duration) - start > 0]
    if by == "vad" and not voice:
        findings.add(shown, "cut by length: no voice activity is known")
    stretches = join_stretches(voice, seconds) if voice else divide_evenly(0.0, duration, seconds)
    return [(start, end) for start, end in stretches if end - start >= SHORTEST]


def prepare(
    root: str | Path,
    out: str | Path,
    subsets: Sequence[str] = SUBSETS[:1],
    cut_by: str = CUTS[0],
    segment_seconds: float = 15.0,
) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} from the subsets in `root`, and `out`/findings.tsv.

    Raises:
        VQAudioError: a subset that is not there or has no recordings, or a JSON file that breaks its form.
    """
    if not segment_seconds >= SHORTEST:
        raise VQAudioError(f"--segment_seconds {segment_seconds}: expected at least {SHORTEST}")
    out, findings = Path(out), Findings()
    utterances: list[Utterance] = []
    for folder in locate(root, subsets):
        recordings = list(find_recordings(folder))
        require(recordings, folder, "<speaker>/<book>/<file>.flac")
        names = {path: PurePosixPath(speaker, book, PurePosixPath(path).name) for speaker, book, path in recordings}
        ids = {path: utterance_id(name, name.parts[0]) for path, name in names.items()}
        ids = distinct(ids, ID_BYTES - len("-0000"))
        for speaker, book, path in recordings:
            recording = ids[path]
            stretches = cut(
                Path(path), f"{speaker}/{book}/{PurePosixPath(path).name}", cut_by, segment_seconds, findings
            )
            utterances += [
                Utterance(f"{recording}-{number:04d}", speaker, path, start, end, recording_id=recording)
                for number, (start, end) in enumerate(stretches)
            ]
    findings.write(out / "findings.tsv")
    require(utterances, root, "recordings that can be read, of half a second or more")
    return write_parts(out, hold_out(utterances, {"dev": 0.02, "test": 0.02}, MOST))


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    options = (
        command.Option("subsets", SUBSETS[:1], "subsets to take", SUBSETS),
        command.Option("cut_by", CUTS[0], "what recordings are cut by", CUTS),
        command.Option("segment_seconds", 15.0, "longest utterance, in seconds"),
    )
    return command.prepare_corpus("librilight", __doc__, argv, prepare, download, options)


if __name__ == "__main__":
    raise SystemExit(main())
