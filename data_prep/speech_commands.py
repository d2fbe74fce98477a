"""Speech Commands: single English words, one second each, of thousands of volunteers.

What       105,829 recordings of 35 words (version 0.01: 64,727 of 30), made with people's own microphones.
Hours      29: version 0.01 has 18
Speakers   2,618: version 0.01 has 1,881
Languages  English, with all the world's accents
Audio      16 kHz mono WAV, <word>/<speaker>_nohash_<number>.wav, of one second or a little less
Licence    CC BY 4.0
Source     http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz, …_v0.01.tar.gz
Citation   P. Warden (2018), Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv:1804.03209
Tried on   a miniature of its layout

The official parts, validation_list.txt and testing_list.txt, are of other speakers than the rest: dev and test are held
out of the rest by a hash, and the official parts stay beside them as validation and testing. With --test_set, the
separate archive speech_commands_test_set_<version> becomes test_set: ten words, and twenty others in its folder
_unknown_. Ids are <speaker>-<word>-<number>, the text is the word. _background_noise_ and _silence_ are no speech and
are left out. The version is the one asked for; of a copy, the one that is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep import archives, command
from data_prep.splits import with_held_out
from data_prep.tables import read_text
from data_prep.writing import Findings, require, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

# sha256, as torchaudio (torchaudio.datasets.speechcommands) and tensorflow-datasets (url_checksums) have them; the
# corpus's own server gives none.
DIGESTS = {
    "speech_commands_v0.01": "sha256:743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
    "speech_commands_v0.02": "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    "speech_commands_test_set_v0.01": None,
    "speech_commands_test_set_v0.02": "sha256:cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
}
VERSIONS = ("0.02", "0.01")
OPTIONS = (
    command.Option("version", None, "version of the corpus; by default 0.02 is fetched", choices=VERSIONS),
    command.Option("test_set", False, "prepare the separate test set too"),
)
LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
NEW_WORDS = ("backward", "follow", "forward", "learn", "visual")  # of version 0.02
# xxx_nohash_0.wav; in the test set's _unknown_ the word stands before it, and some names end in .wav.wav
NAME = re.compile(r"(?:(?P<word>[a-z]+)_)?(?P<speaker>[0-9a-f]+)_nohash_(?P<number>\d+)(?:\.wav)+")


def download(downloads: str | Path, version: str | None = None, test_set: bool = False) -> Path:
    """Fetch what is absent of a version, and of its test set, and return the corpus's folder."""
    version = version or VERSIONS[0]
    names = [f"speech_commands_v{version}"] + [f"speech_commands_test_set_v{version}"] * test_set
    wanted = [archives.Archive(f"http://download.tensorflow.org/data/{name}.tar.gz", DIGESTS[name]) for name in names]
    return archives.obtain(wanted, downloads) / names[0]


def locate(root: Path, version: str | None) -> tuple[Path, str]:
    """Return the corpus's folder, `root` or one in it, and its version.

    Raises:
        VQAudioError: none there, or another version than `version`.
    """
    lists = sorted(path for depth in ("", "*/") for path in root.glob(f"{depth}{LISTS['testing']}"))
    require(lists, root, f"{', '.join(LISTS.values())} and <word>/<speaker>_nohash_<number>.wav")
    found = {path.parent: VERSIONS[0 if (path.parent / NEW_WORDS[0]).is_dir() else 1] for path in lists}
    for folder, its_version in found.items():
        if version in (None, its_version):
            return folder, its_version
    raise VQAudioError(f"{root}: this is version {', '.join(found.values())}, asked for was {version} (--version)")


def read_words(folder: Path, findings: Findings) -> Iterator[tuple[str, Utterance]]:
    """Yield the recordings in the folders of words, each with its path below `folder`, as the lists have it."""
    for sub in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(sub.iterdir()):
            name, item = NAME.fullmatch(path.name), f"{sub.name}/{path.name}"
            if sub.name in ("_background_noise_", "_silence_"):
                findings.add(item, "left out: no speech")
            elif name is None or (name["word"] is None) == (sub.name == "_unknown_"):
                findings.add(item, "left out: its name is not <speaker>_nohash_<number>.wav")
            else:
                word = name["word"] or sub.name
                id = f"{name['speaker']}-{word}-{name['number']}"
                yield item, Utterance(id, name["speaker"], str(path), text=word)


def divide(folder: Path, by_path: dict[str, Utterance]) -> dict[str, list[Utterance]]:
    """Return the official parts by the name of their list, and the rest as `train`.

    Raises:
        VQAudioError: a list names a recording that is not there.
    """
    parts: dict[str, list[Utterance]] = {}
    rest = dict(by_path)
    for part, listing in LISTS.items():
        names = read_text(folder / listing).split()
        if absent := [name for name in names if name not in by_path]:
            shown = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")
            raise VQAudioError(f"{folder}: {len(absent)} recordings of {listing} are absent: {shown}. Is it complete?")
        parts[part] = [rest.pop(name) for name in dict.fromkeys(names)]
    return {"train": list(rest.values()), **parts}


def read_test_set(root: Path, corpus: Path, version: str, findings: Findings) -> list[Utterance]:
    """Return the separate test set's words, from its folder in `root` or beside the corpus.

    Raises:
        VQAudioError: it is in neither.
    """
    name = f"speech_commands_test_set_v{version}"
    found = [folder for folder in (root, root / name, corpus.parent / name) if (folder / "_unknown_").is_dir()]
    require(found, root, f"{name}/_unknown_, in it or beside it (--test_set)")
    unique: dict[str, Utterance] = {}
    for item, utterance in read_words(found[0], findings):
        if unique.setdefault(utterance.id, utterance) is not utterance:
            findings.add(item, "left out: the recording is there twice", unique[utterance.id].recording)
    return list(unique.values())


def prepare(
    root: str | Path, out: str | Path, version: str | None = None, test_set: bool = False
) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test,validation,testing}, and test_set if so asked, and `out`/findings.tsv.

    Raises:
        VQAudioError: no corpus in `root` or a folder of it, another version than `version`, or an incomplete one.
    """
    root, out, findings = Path(root).resolve(), Path(out), Findings()
    corpus, version = locate(root, version)
    utterances = dict(read_words(corpus, findings))
    require(list(utterances), corpus, "<word>/<speaker>_nohash_<number>.wav")
    parts = divide(corpus, utterances)
    others = {name: part for name, part in parts.items() if name != "train"}
    if test_set:
        others["test_set"] = read_test_set(root, corpus, version, findings)
    findings.write(out / "findings.tsv")
    return write_parts(out, with_held_out(parts["train"], others))


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    return command.prepare_corpus("speech_commands", __doc__, argv, prepare, download, OPTIONS)


if __name__ == "__main__":
    raise SystemExit(main())
