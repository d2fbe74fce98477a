"""VCTK: newspaper sentences of a hundred speakers of English, in all its accents.

What       about 400 sentences of 3 s a speaker, made to adapt speech synthesis to voices.
Hours      44: less in version 0.92, of which the silence at both ends is cut off
Speakers   110: version 0.80 has 109; one of them, p315, is without texts and is left out
Languages  English, with accents of Great Britain, Ireland, North America, Australasia, South Africa and India
Audio      48 kHz mono; 0.92: wav48_silence_trimmed/<speaker>/<speaker>_<number>_<microphone>.flac, of two microphones;
           0.80: wav48/<speaker>/<speaker>_<number>.wav, of the first
Licence    CC BY 4.0: version 0.80 has the Open Data Commons Attribution License
Source     https://doi.org/10.7488/ds/2645 (0.92), https://doi.org/10.7488/ds/1994 (0.80)
Citation   J. Yamagishi, C. Veaux and K. MacDonald (2019), CSTR VCTK Corpus, University of Edinburgh
Tried on   a miniature of its layout

Parts: the authors have none. Everyone read the prompts 001 to 024, and several read the same newspaper sentence; so
sentences are divided, for all speakers alike: by a hash of the prompt's number up to 024, above that of its words. 3%
are test, prompt 005 among them, and 3% dev, 010 among them. Ids are <speaker>-<number>.

Oddities: the texts of p315 were lost with a disk; the second microphone failed with p280, p315 and in part p362; 0.80
has a p376_295.raw; 0.92 adds the speaker s5. Whatever is left out for such a reason is in findings.tsv. The table of
speakers, speaker-info.txt, is not read. Van den Oord et al. 2017 used 0.80, whose microphone is mic1 of 0.92.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep import archives, command
from data_prep.tables import read_text
from data_prep.writing import Findings, require, require_texts, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError, did_you_mean

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Release:
    """A version of the corpus: its archive, the folder of its recordings, their names, and its microphones."""

    archive: archives.Archive
    audio: str
    suffix: str
    microphones: tuple[str, ...]

    def name_of(self, microphone: str) -> re.Pattern[str]:
        """Return the form of the names of a microphone's recordings."""
        mark = f"_{microphone}" if len(self.microphones) > 1 else ""
        return re.compile(rf"(?P<speaker>[ps]\d+)_(?P<number>\d+){mark}{re.escape(self.suffix)}")


MICROPHONES = ("mic1", "mic2")
RELEASES = {
    "0.92": Release(
        archives.Archive(
            "https://datashare.ed.ac.uk/bitstream/handle/10283/3443/VCTK-Corpus-0.92.zip",
            # As torchaudio (torchaudio.datasets.vctk) and tensorflow-datasets (url_checksums) have it.
            "sha256:f96258be9fdc2cbff6559541aae7ea4f59df3fcaf5cf963aae5ca647357e359c",
            mirrors=("https://datashare.is.ed.ac.uk/bitstream/handle/10283/3443/VCTK-Corpus-0.92.zip",),
        ),
        "wav48_silence_trimmed",
        ".flac",
        MICROPHONES,
    ),
    "0.80": Release(
        archives.Archive(
            "http://www.udialogue.org/download/VCTK-Corpus.tar.gz",
            mirrors=("http://homepages.inf.ed.ac.uk/jyamagis/release/VCTK-Corpus.tar.gz",),
        ),
        "wav48",
        ".wav",
        MICROPHONES[:1],
    ),
}
OPTIONS = (
    command.Option("version", None, "version of the corpus; by default 0.92 is fetched", choices=tuple(RELEASES)),
    command.Option(
        "microphone", "mic1", "of 0.92: mic1, a DPA 4035, or mic2, a Sennheiser MKH 800", choices=MICROPHONES
    ),
    command.Option("speakers", (), "use these alone, such as p225,p226"),
)
WITHOUT_TEXTS = "p315"
SHARED = 24
"""Prompts up to this number are the same of every speaker."""


def download(downloads: str | Path, version: str | None = None) -> Path:
    """Fetch what is absent of a version and return its folder."""
    archive = RELEASES[version or "0.92"].archive
    return archives.obtain([archive], downloads) / archive.name


def locate(root: Path, version: str | None) -> tuple[Path, str]:
    """Return the corpus's folder, `root` or one in it, and its version.

    Raises:
        VQAudioError: none there, or another version than `version`.
    """
    found = {}
    for name, release in RELEASES.items():
        for depth in ("", "*/"):
            for audio in sorted(root.glob(f"{depth}{release.audio}")):
                found.setdefault(name, audio.parent)
    looked_for = ", or ".join(f"{release.audio} and txt (version {name})" for name, release in RELEASES.items())
    require(sorted(found), root, looked_for)
    chosen = version or next(iter(found))
    if chosen not in found:
        raise VQAudioError(f"{root}: this is version {', '.join(found)}, asked for was {version} (--version)")
    require(
        sorted(found[chosen].glob("txt")), found[chosen], f"txt/<speaker>/<speaker>_<number>.txt of version {chosen}"
    )
    return found[chosen], chosen


def speakers_of(audio: Path, speakers: Sequence[str]) -> list[str]:
    """Return the speakers who have a folder of recordings, all or those of `speakers`.

    Raises:
        VQAudioError: one of `speakers` is not there.
    """
    there = sorted(path.name for path in audio.iterdir() if path.is_dir())
    for speaker in speakers:
        if speaker not in there:
            raise VQAudioError(
                f"--speakers: no {speaker!r} in {audio}, which has {len(there)} speakers.{did_you_mean(speaker, there)}"
            )
    return sorted(speakers) or there


def read_speaker(
    corpus: Path, release: Release, speaker: str, microphone: str, findings: Findings
) -> tuple[list[Utterance], list[str]]:
    """Return a speaker's utterances, and the recordings that lack their text, which all of `WITHOUT_TEXTS` may."""
    recorded = _recordings(corpus / release.audio / speaker, release, microphone, findings)
    texts = _texts(corpus / "txt" / speaker)
    for number in sorted(texts.keys() - recorded.keys()):
        findings.add(f"{speaker}-{number}", f"left out: no recording of {microphone}", texts[number])
    lacking = sorted(recorded.keys() - {number for number, text in texts.items() if text})
    if speaker == WITHOUT_TEXTS and len(lacking) == len(recorded):
        for number in lacking:
            findings.add(f"{speaker}-{number}", "left out: the texts of its speaker were lost")
        return [], []
    return [
        Utterance(f"{speaker}-{number}", speaker, str(recorded[number]), text=text)
        for number, text in texts.items()
        if number in recorded and text
    ], [f"{speaker}_{number}" for number in lacking]


def _recordings(folder: Path, release: Release, microphone: str, findings: Findings) -> dict[str, Path]:
    """Return one microphone's recordings by number; what is of none of the microphones is a finding."""
    found = {}
    names = {mic: release.name_of(mic) for mic in release.microphones}
    for path in sorted(folder.iterdir()):
        mic, name = next(((mic, m) for mic, form in names.items() if (m := form.fullmatch(path.name))), (None, None))
        if name is None:
            findings.add(
                f"{folder.name}/{path.name}", f"left out: its name is not that of a {release.suffix} recording"
            )
        elif mic == microphone:
            found[name["number"]] = path
    return found


def _texts(folder: Path) -> dict[str, str]:
    """Return a speaker's texts by number; {} where there are none."""
    return {path.stem.rpartition("_")[2]: " ".join(read_text(path).split()) for path in sorted(folder.glob("*_*.txt"))}


def part_of(number: str, text: str) -> str:
    """Return the part of a sentence, whoever says it: 3% test, 3% dev, the rest train."""
    sentence = number if int(number) <= SHARED else re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()
    place = int(hashlib.md5(sentence.encode(), usedforsecurity=False).hexdigest(), 16) % 100
    return "test" if place >= 97 else "dev" if place < 3 else "train"


def prepare(
    root: str | Path,
    out: str | Path,
    version: str | None = None,
    microphone: str = "mic1",
    speakers: Sequence[str] = (),
) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} from the corpus in `root` or a folder of it, and `out`/findings.tsv.

    Raises:
        VQAudioError: no corpus there, another version than `version`, a microphone or speaker that it does not have, or
            a recording without its text.
    """
    root, out, findings = Path(root).resolve(), Path(out), Findings()
    corpus, version = locate(root, version)
    release = RELEASES[version]
    if microphone not in release.microphones:
        raise VQAudioError(f"--microphone {microphone}: version {version} has one microphone, mic1")
    logger.info("version %s, %s", version, microphone)
    parts: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    lacking: list[str] = []
    for speaker in speakers_of(corpus / release.audio, speakers):
        utterances, without_text = read_speaker(corpus, release, speaker, microphone, findings)
        lacking += without_text
        for utterance in utterances:
            parts[part_of(utterance.id.rpartition("-")[2], utterance.text or "")].append(utterance)
    require_texts(lacking, corpus / "txt")
    require(parts["train"], corpus, f"{release.audio}/<speaker>/*{release.suffix} of {microphone}, with texts")
    findings.write(out / "findings.tsv")
    return write_parts(out, parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    return command.prepare_corpus("vctk", __doc__, argv, prepare, download, OPTIONS)


if __name__ == "__main__":
    raise SystemExit(main())
