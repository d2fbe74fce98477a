"""Asterisk's core sounds: telephone prompts of four professional voices in five languages.

What       2,700 prompts: words, digits and sentences, most of them in every language.
Hours      2
Speakers   4: Allison Smith (English and Spanish), June Wallack (French), Carlo Flora (Italian) and the voice of
           ivrvoice.ru (Russian); studio recordings
Languages  English, Spanish, French, Italian, Russian
Audio      G.722 at 16 kHz, one file a prompt, 55 MB; the transcript of each prompt
Licence    CC BY-SA 3.0 and CC BY 3.0: the first for English, Spanish and French, the second for Italian and Russian
Source     Debian's and Ubuntu's packages asterisk-core-sounds-{en,es,fr,it,ru} (transcripts) and …-g722 (audio);
           or https://downloads.asterisk.org/pub/telephony/sounds/
Citation   none is asked for; the licences ask to name the voices above
Tried on   the corpus itself

Prompts are split by their key, across languages alike, so that a sentence held out in one language is held out in
all. Ids are <speaker>-<language>-<key>, such as allison-en-digits_1. Each of train, dev and test also gets `text`
and `utt2lang`. Everything that the corpus lists and this module leaves out or mends is in findings.tsv.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep import archives, command, fetch
from data_prep.tables import read_lines
from data_prep.writing import Findings, write_data_dir
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError, did_you_mean

logger = logging.getLogger(__name__)

UPSTREAM = "https://downloads.asterisk.org/pub/telephony/sounds"
# The Italian list lost some of its accented letters; by what stands before the question mark that took their place.
LOST_LETTERS = {"": "è", "pu": "può", "cos": "così", "sar": "sarà", "pi": "più"}
LOST_LETTER = rf"(?<!\S)({'|'.join(LOST_LETTERS)})\?(?= [a-z])"
SPLITS = ("train", "dev", "test")
SUFFIXES = (".g722", ".wav")  # in order of preference: 16 kHz, 8 kHz
# Sounds that are no speech. Some languages say so by a text in brackets, others by a description or not at all.
TONES = {"ascending-2tone", "beep", "beeperr", "confbridge-join", "confbridge-leave", "descending-2tone", "tt-monkeys"}


@dataclass(frozen=True)
class Voice:
    """One language of the corpus: who speaks it, and the folder of its audio in Debian's packages."""

    language: str
    speaker: str
    folder: str


VOICES = {
    voice.language: voice
    for voice in (
        Voice("en", "allison", "en_US_f_Allison"),
        Voice("es", "allison", "es_MX_f_Allison"),
        Voice("fr", "june", "fr_CA_f_June"),
        Voice("it", "carlo", "it_IT_m_Carlo"),
        Voice("ru", "ivrvoice", "ru_RU_f_IvrvoiceRU"),
    )
}


@dataclass(frozen=True)
class Source:
    """Where one language lies: the folder of its audio and the file of its transcripts."""

    voice: Voice
    audio: Path
    transcripts: Path


@dataclass(frozen=True)
class Prompt:
    """One recorded prompt. `text` is None where the corpus has none."""

    voice: Voice
    key: str
    path: Path
    text: str | None

    @property
    def name(self) -> str:
        """How findings call it: language and key."""
        return f"{self.voice.language}/{self.key}"

    @property
    def id(self) -> str:
        """The utterance id: keys hold '/', which ids must not."""
        return f"{self.voice.speaker}-{self.voice.language}-{re.sub(r'[^A-Za-z0-9_.+-]', '_', self.key)}"


def download(folder: str | Path, languages: Sequence[str] = tuple(VOICES), source: str = "auto") -> Path:
    """Fetch what is absent of the corpus into `folder` and return it.

    Args:
        source: `debian`, `upstream`, or `auto`: the first that works, in this order.

    Raises:
        FetchError: neither can be reached; the message says why not, and what to do instead.
    """
    ways = {"debian": _download_debian, "upstream": _download_upstream}
    reasons = []
    for name in ways if source == "auto" else (source,):
        try:
            ways[name](Path(folder), languages)
            return Path(folder)
        except fetch.FetchError as error:
            logger.warning("%s: %s", name, error)
            reasons.append(f"{name}: {error}")
    raise fetch.FetchError(
        "Asterisk's sounds cannot be downloaded:\n  " + "\n  ".join(reasons) + "\nWhere you have a copy (Debian's "
        "packages unpacked or installed, or upstream's archives unpacked), name its folder with --asterisk_dir."
    )


def _download_debian(folder: Path, languages: Sequence[str]) -> None:
    names = [f"asterisk-core-sounds-{language}{part}" for language in languages for part in ("", "-g722")]
    fetch.debian_packages(names, folder)


def _download_upstream(folder: Path, languages: Sequence[str]) -> None:
    for language in languages:
        name = f"asterisk-core-sounds-{language}-g722-current.tar.gz"
        if (folder / "upstream" / language).is_dir():
            continue
        digest = (fetch.http_text(f"{UPSTREAM}/{name}.sha1") or "").split()
        archive = fetch.http_file(f"{UPSTREAM}/{name}", folder / name, f"sha1:{digest[0]}" if digest else None)
        archives.unpack(archive, folder / "upstream" / language)
        archive.unlink()


def locate(root: str | Path, languages: Sequence[str] = tuple(VOICES)) -> list[Source]:
    """Find audio and transcripts of each language below `root`.

    `root` may be what `download` filled, a folder with Debian's packages unpacked in it, /usr or /usr/share where
    they are installed, or a folder of Asterisk's own with one folder per language.

    Raises:
        VQAudioError: a language is not there; the message says where it was looked for.
    """
    root = Path(root)
    if not root.is_dir():
        raise VQAudioError(f"{root}: there is no such folder, expected one with Asterisk's sounds")
    return [_locate_language(root, VOICES[language]) for language in languages]


def _locate_language(root: Path, voice: Voice) -> Source:
    language, package = voice.language, f"asterisk-core-sounds-{voice.language}"
    listing = f"core-sounds-{language}.txt"
    shares = [root / package, root / f"{package}-g722", root]
    shares = [base / share for base in shares for share in ("usr/share", "share", "")]
    folders = [share / "asterisk/sounds" / voice.folder for share in shares]
    folders += [root / name for name in (voice.folder, f"upstream/{language}", language, f"sounds/{language}")]
    audio = next((folder for folder in folders if _audio_files(folder)), None)
    if audio is None:
        raise VQAudioError(
            f"{root}: no audio of {language!r} in it. Looked for *.g722 and *.wav in:" + _listed(folders)
        )
    docs = [share / "doc" / package for share in [*shares, audio.parents[2]]] + [audio, root]
    files = [folder / name for folder in docs for name in (listing, f"{listing}.gz")]
    transcripts = next((file for file in files if file.is_file()), None)
    if transcripts is None:
        raise VQAudioError(f"{root}: no transcripts of {language!r} in it. Looked for:" + _listed(files))
    return Source(voice, audio.absolute(), transcripts)


def _audio_files(folder: Path) -> dict[str, Path]:
    """Return the audio files below `folder` by prompt key, all of the first suffix that occurs."""
    for suffix in SUFFIXES:
        files = sorted(folder.rglob(f"*{suffix}")) if folder.is_dir() else []
        if files:
            return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}
    return {}


def _listed(paths: Sequence[Path]) -> str:
    return "".join(f"\n  {path}" for path in dict.fromkeys(paths))


def read_transcripts(path: str | Path) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of each entry of a core-sounds-*.txt file, plain or gzipped; ';' begins a comment."""
    for line in read_lines(path):
        key, colon, text = line.partition(":")
        if colon and not line.startswith(";"):
            yield key.strip(), text.strip()


def read_prompts(source: Source, findings: Findings) -> list[Prompt]:
    """Pair the audio of one language with its transcripts, in the order of keys."""
    files = _audio_files(source.audio)
    texts = _texts_by_key(source, files, findings)
    for key in sorted(texts.keys() - files.keys()):
        findings.add(f"{source.voice.language}/{key}", "dropped: listed, but there is no audio", texts[key])
    return [Prompt(source.voice, key, path, texts.get(key)) for key, path in files.items()]


def _texts_by_key(source: Source, files: dict[str, Path], findings: Findings) -> dict[str, str]:
    """Return transcripts by the key of their audio file, which may differ from the listed one in case."""
    by_lower = {key.lower(): key for key in files}
    texts: dict[str, str] = {}
    for listed, text in read_transcripts(source.transcripts):
        key = listed if listed in files else by_lower.get(listed.lower(), listed)
        name = f"{source.voice.language}/{key}"
        if key in texts:
            findings.add(name, "mended: listed twice, the first text counts", f"{texts[key]} | {text}")
            continue
        if key != listed:
            findings.add(name, "mended: listed in another case", listed)
        texts[key] = text
    return texts


def clean_text(text: str, key: str, language: str) -> tuple[str, list[str]]:
    """Return what is said of a transcript, and the kinds of things that were taken out of it.

    Transcripts hold notes in parentheses, the symbol that a word stands for in brackets, dots where a sentence is
    to be put together from several prompts, quotation marks, and slips of the pen.
    """
    steps = (
        ("key repeated in the text", rf"^{re.escape(key)}:", " "),
        ("note in the text", r"\([^)]*\)|<[^>]*>", " "),
        ("symbol in the text", r"\[[^\w\]]*\]", " "),
        ("brackets around words", r"\[([^\]]*)\]", r"\1"),
        ("quotation marks", r"[\"“”«»]", ""),
        ("dots of a continued sentence", r"\.{2,}|…", " "),
    )
    kinds = []
    if language == "it":
        steps += (("lost letter", LOST_LETTER, lambda match: LOST_LETTERS[match[1]]),)
    for kind, pattern, replacement in steps:
        text, count = re.subn(pattern, replacement, text)
        kinds += [kind] * (count > 0)
    return " ".join(text.split()).strip(" ,"), kinds


def is_tone(text: str | None) -> bool:
    """Tell whether a transcript describes a sound instead of giving words: it stands in brackets as a whole."""
    return text is not None and re.fullmatch(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>", text) is not None


def split_of(key: str) -> str:
    """Return the split of a prompt: 5% test, 5% dev, the rest train, by a hash of the key alone."""
    place = int(hashlib.md5(key.lower().encode(), usedforsecurity=False).hexdigest(), 16) % 100
    return "test" if place < 5 else "dev" if place < 10 else "train"


def select(prompts: Sequence[Prompt], findings: Findings) -> dict[str, tuple[Prompt, str]]:
    """Return the prompts that are transcribed speech, with their cleaned texts, by utterance id."""
    selected: dict[str, tuple[Prompt, str]] = {}
    for prompt in prompts:
        text, mended = clean_text(prompt.text or "", prompt.key, prompt.voice.language)
        if reason := _reason_to_drop(prompt, text):
            findings.add(prompt.name, f"dropped: {reason}", prompt.text or "")
        elif prompt.id in selected:
            findings.add(prompt.name, "dropped: id taken by another prompt", selected[prompt.id][0].name)
        else:
            selected[prompt.id] = prompt, text
            for kind in mended:
                findings.add(prompt.name, f"mended: {kind}", f"{prompt.text} | {text}")
    return selected


def _reason_to_drop(prompt: Prompt, text: str) -> str | None:
    if prompt.key.startswith("silence/"):
        return "silence"
    if prompt.key in TONES or is_tone(prompt.text):
        return "a tone, not speech"
    if prompt.path.stat().st_size == 0:
        return "the audio file is empty"
    return None if text else "there is no transcript"


def prepare(root: str | Path, out: str | Path, languages: Sequence[str] = tuple(VOICES)) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} from the corpus below `root`, and `out`/findings.tsv.

    Returns:
        The data directories by name, validated.

    Raises:
        VQAudioError: part of the corpus is missing.
        DataDirError: what was written breaks a rule.
    """
    out, findings = Path(out), Findings()
    prompts = [p for source in locate(root, languages) for p in read_prompts(source, findings)]
    selected = select(prompts, findings)
    out.mkdir(parents=True, exist_ok=True)
    findings.write(out / "findings.tsv")
    written = {}
    for split in SPLITS:
        part = {id: entry for id, entry in selected.items() if split_of(entry[0].key) == split}
        utterances = [Utterance(id, p.voice.speaker, str(p.path), text=text) for id, (p, text) in part.items()]
        languages_of = [(id, prompt.voice.language) for id, (prompt, _) in part.items()]
        written[split] = write_data_dir(out / split, utterances, {"utt2lang": languages_of})
        logger.info("%s: %d prompts of %d voices", out / split, len(utterances), len(written[split].speakers))
    return written


def _languages(text: str) -> list[str]:
    languages = text.replace(",", " ").split()
    for language in languages:
        if language not in VOICES:
            raise argparse.ArgumentTypeError(
                f"no language {language!r}; there are {', '.join(VOICES)}.{did_you_mean(language, VOICES)}"
            )
    return list(dict.fromkeys(languages))


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.asterisk", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, help="folder that gets train, dev and test")
    parser.add_argument("--downloads", default="downloads", help="folder for what is downloaded (downloads)")
    parser.add_argument("--asterisk_dir", help="a copy that you have; nothing is downloaded then")
    parser.add_argument("--languages", type=_languages, default=list(VOICES), help="which, such as 'en,fr' (all)")
    parser.add_argument("--source", choices=("auto", "debian", "upstream"), default="auto", help="whence (auto)")
    options = command.parse(parser, argv)

    def work() -> None:
        root = options.asterisk_dir or download(options.downloads, options.languages, options.source)
        prepare(root, options.out, options.languages)

    return command.run(parser.prog, work)


if __name__ == "__main__":
    raise SystemExit(main())
