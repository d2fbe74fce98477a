"""Tux Paint's stamps: short spoken descriptions of pictures, by nine volunteers in as many languages.

What       5,713 descriptions such as "A frog.", of a second and a half, most of them in every language
Hours      2.4
Speakers   9: Kseniya Buraya, Krasimir Petkov, Pere Pujal i Carabantes, Joe Dalton, Kiriaki Serafeim, Estefanía Ortiz,
           PaulK, Tabbytha and Edwin Veber, in the order of the languages
Languages  Belarusian, Bulgarian, Catalan, Danish, Greek, Spanish, French, Romanian, Russian
Audio      44.1 kHz Ogg Vorbis, stereo or mono; each volunteer's own room, microphone and level
Licence    GPL-2
Source     Debian's and Ubuntu's package tuxpaint-stamps-default, 161 MB; or
           https://sourceforge.net/projects/tuxpaint/files/tuxpaint-stamps/
Citation   none is asked for; Tux Paint Stamps, https://tuxpaint.org, whose changelog names the volunteers
Tried on   the corpus itself

Beside a picture, frog.png, lie its descriptions in many languages, frog.txt, and recordings of some of them,
frog_desc_fr.ogg. Stamps are split whole, across languages alike, and those that share a description in any of the
languages (two frogs) go together: a sentence that is held out is not trained on. 5% are test, 5% dev, by a hash.

Ids are <speaker>-<language>-<folders>_<stamp>, such as paulk-fr-animals_amphibians_frog. Each part also has utt2lang.
What is left out is in findings.tsv: sound effects; the spoken digits, letters and words of some thirty further voices,
none of which has two minutes; recordings without a description; those of fewer words than it has (more than 30
characters a second: where a long text was written later, the old recording names the thing alone); and copies, which
stamps of the same description often have. Two of these further voices are in French and Catalan, under names like the
others': embeddings of speakers (Resemblyzer) tell them apart, and so does, file by file, the encoder that wrote them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep import command, fetch
from data_prep.tables import one_line
from data_prep.writing import Findings, clean_name, write_parts
from vqaudio.audio.io import probe
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import AudioError, VQAudioError

PACKAGE = "tuxpaint-stamps-default"
SPEAKERS = {
    "be": "kseniya",
    "bg": "krasimir",
    "ca": "pere",
    "da": "joe",
    "el": "kiriaki",
    "es": "estefania",
    "fr": "paulk",
    "ro": "tabbytha",
    "ru": "edwin",
}
LANGUAGES = tuple(SPEAKERS)
FOLDERS = (f"{PACKAGE}/usr/share/tuxpaint/stamps", "usr/share/tuxpaint/stamps", "share/tuxpaint/stamps")
PLACES = (*FOLDERS, "tuxpaint/stamps", "stamps", "")
DESCRIPTION = re.compile(r"(?P<stamp>.+)_desc_(?P<language>[a-z]{2}(?:_[A-Z]{2})?)")
LINE = re.compile(r"(?P<language>[a-z]+(?:_[A-Z]+)?)\.utf8=(?P<text>.*)")  # leaves out ca@valencia and its like
VENDOR = re.compile(rb"\x03vorbis.{4}[^\x00]*?libVorbis I (\d{8})", re.DOTALL)
HEADER_BYTES = 4096
NOMINAL_RATE = slice(48, 52)  # where the first header has the nominal bit rate, in bits per second
MAX_CHARACTERS_A_SECOND = 30  # the fastest of these voices says 25


@dataclass(frozen=True)
class Description:
    """One recorded description: its stamp is called by its path below the folder of stamps."""

    language: str
    stamp: str
    path: Path
    text: str

    @property
    def id(self) -> str:
        """The utterance id."""
        return f"{SPEAKERS[self.language]}-{self.language}-{clean_name(self.stamp)}"


def download(downloads: str | Path) -> Path:
    """Fetch the package where it is absent and return its folder.

    Raises:
        FetchError: there is no apt, or it cannot fetch it; the message says what to do instead.
    """
    try:
        return fetch.debian_packages([PACKAGE], downloads)[0]
    except fetch.FetchError as error:
        raise fetch.FetchError(
            f"{error}\nWhere you have a copy (Debian's package {PACKAGE} unpacked or installed, or upstream's archive "
            "tuxpaint-stamps-*.tar.gz unpacked), name its folder with --corpus_dir."
        ) from error


def locate(root: str | Path) -> Path:
    """Return the folder of stamps at or below `root`, which may be /usr or /usr/share where the package is installed.

    Raises:
        VQAudioError: it is not there; the message says where it was looked for.
    """
    root = Path(root).resolve()
    nested = [folder / "stamps" for folder in sorted(root.glob("tuxpaint-stamps*"))]
    for folder in [*(root / place for place in PLACES), *nested]:
        if (folder / "animals").is_dir():
            return folder
    looked = "".join(f"\n  {root / place / 'animals'}" for place in PLACES)
    raise VQAudioError(f"{root}: no stamps of Tux Paint in it. Looked for the folder of one kind of them:{looked}")


def read_texts(path: str | Path) -> dict[str, str]:
    """Return a stamp's descriptions by language: the English one is the first line, the others are `fr.utf8=...`."""
    first, *lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    texts = {match["language"]: one_line(match["text"]) for match in map(LINE.fullmatch, lines) if match}
    return {language: text for language, text in {"en": one_line(first), **texts}.items() if text}


def group_stamps(texts: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the group of each stamp: the first of those that it shares a description with, or that these do, ....

    Descriptions are the same whatever their case: 'The letter A.' is said as 'The letter a.' is.
    """
    leader = {stamp: stamp for stamp in sorted(texts)}

    def find(stamp: str) -> str:
        while leader[stamp] != stamp:
            stamp = leader[stamp]
        return stamp

    first_with: dict[tuple[str, str], str] = {}
    for stamp in leader:
        for language in LANGUAGES:
            if text := texts[stamp].get(language):
                a, b = find(first_with.setdefault((language, text.casefold()), stamp)), find(stamp)
                leader[max(a, b)] = min(a, b)
    return {stamp: find(stamp) for stamp in leader}


def part_of(group: str) -> str:
    """Return the part of a group of stamps: 5% test, 5% dev, the rest train, by a hash of its name."""
    place = int(hashlib.md5(group.encode(), usedforsecurity=False).hexdigest(), 16) % 100
    return "test" if place < 5 else "dev" if place < 10 else "train"


def encoder_of(path: str | Path) -> tuple[int, int]:
    """Return what wrote an Ogg Vorbis file: the version of libVorbis, a date such as 20101101, and the bit rate asked.

    The version is 0 where the file does not say. Xiph.org (2020), *Vorbis I specification*, section 4.2.
    """
    with open(path, "rb") as file:
        header = file.read(HEADER_BYTES)
    vendor = VENDOR.search(header)
    return int(vendor[1]) if vendor else 0, int.from_bytes(header[NOMINAL_RATE], "little")


def is_further_voice(language: str, encoder: tuple[int, int]) -> bool:
    """Return whether a French or Catalan file is of another voice than most of them, by the encoder that wrote it."""
    if language == "fr":
        return 0 < encoder[0] < 20101101
    return language == "ca" and encoder == (20050304, 32000)


def find_descriptions(
    stamps: Path, texts: Mapping[str, Mapping[str, str]], languages: Sequence[str], findings: Findings
) -> Iterator[Description]:
    """Yield the recorded descriptions in `languages`, in the order of their paths; what is none is a finding."""
    for path in sorted(path for path in stamps.rglob("*") if path.suffix in (".ogg", ".wav")):
        shown = path.relative_to(stamps)
        name = DESCRIPTION.fullmatch(path.stem)
        if name is None or name["language"] not in SPEAKERS:
            findings.add(str(shown), "left out: a sound effect, or a further voice")
        elif name["language"] in languages and is_further_voice(name["language"], encoder_of(path)):
            findings.add(str(shown), "left out: a further voice, by its encoder")
        elif name["language"] in languages:
            stamp = (shown.parent / name["stamp"]).as_posix()
            if text := texts.get(stamp, {}).get(name["language"]):
                yield Description(name["language"], stamp, path, text)
            else:
                findings.add(str(shown), "left out: it has no description in its language")


def select(descriptions: Iterator[Description], findings: Findings) -> list[Description]:
    """Return those that say their whole text, each recording once. Reads the headers of the audio."""
    selected, seen = [], {}
    for it in descriptions:
        shown = it.id
        try:
            info = probe(it.path)
        except AudioError as error:
            findings.add(shown, "left out: unreadable", error.reason)
            continue
        # Copies differ in no byte, or else were encoded again: the same text, as long to the sample.
        marks = (it.language, info.frames, it.text.casefold()), (it.language, info.frames, it.path.stat().st_size)
        original = next((seen[mark] for mark in marks if mark in seen), None)
        if original is not None:
            findings.add(shown, "left out: a copy", f"{original.id}, {original.text}")
        elif len(it.text) > MAX_CHARACTERS_A_SECOND * info.duration:
            findings.add(shown, "left out: too short for its text", f"{info.duration:.2f} s: {it.text}")
        else:
            selected.append(it)
            seen |= dict.fromkeys(marks, it)
    return selected


def prepare(root: str | Path, out: str | Path, languages: Sequence[str] = LANGUAGES) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} from the stamps at or below `root`, and `out`/findings.tsv.

    Raises:
        VQAudioError: no stamps there, or none with a description recorded in one of `languages`.
    """
    stamps, out, findings = locate(root), Path(out), Findings()
    texts = {path.relative_to(stamps).with_suffix("").as_posix(): read_texts(path) for path in stamps.rglob("*.txt")}
    selected = select(find_descriptions(stamps, texts, languages, findings), findings)
    for language in languages:
        if not any(it.language == language for it in selected):
            raise VQAudioError(
                f"{stamps}: no description recorded in the language {language!r}. Looked for "
                f"<stamp>_desc_{language}.ogg beside <stamp>.txt with a line {language}.utf8=…"
            )
    findings.write(out / "findings.tsv")
    groups = group_stamps(texts)
    parts: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for it in selected:
        utterance = Utterance(it.id, SPEAKERS[it.language], str(it.path), text=it.text)
        parts[part_of(groups[it.stamp])].append(utterance)
    return write_parts(out, parts, {"utt2lang": {it.id: [it.language] for it in selected}})


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    options = (command.Option("languages", LANGUAGES, "which of them", LANGUAGES),)
    return command.prepare_corpus("tuxpaint", __doc__, argv, prepare, download, options)


if __name__ == "__main__":
    raise SystemExit(main())
