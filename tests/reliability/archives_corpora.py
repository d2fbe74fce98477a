"""Corpora whose speakers, files and transcripts have names made to do harm: nothing leaves the output's folder."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep import asterisk, common_voice, folder, librispeech, ljspeech, vctk
from tests.data_prep.miniature import write_sound
from tests.reliability.promises import HELD
from vqaudio.corpus import DataDir, check
from vqaudio.errors import DataDirError

NAMES = [
    "../../escaped", "/tmp/vqaudio-escaped", "-rf", "--out", "$(touch executed)", "`touch executed`",
    "a;touch executed", "a b", " a", "a ", "a\nb executed |", "a\tb", "a\rb", "a\u2028b", "a\x1b[2Jb",
    "touch executed|", "..", ".hidden", "x" * 240, "\udcff\udcfe", "a'b\"c", "%s%n{0}", "\u540d\u524d", "a\x0bb", "",
]  # fmt: skip
PLACES = ("speaker", "file", "text")


@dataclass(frozen=True)
class Corpus:
    """A case: a corpus's module, what has the name, and which."""

    module: str
    place: str
    name: str


class Tree:
    """A corpus that is being written, with a hostile name in one place."""

    def __init__(self, root: Path, case: Corpus, sound: Path) -> None:
        self.root, self.case, self.sounds = root, case, sound

    def named(self, place: str, good: str) -> str:
        """Return what stands in a place."""
        return self.case.name if self.case.place == place else good

    def add_sound(self, *parts: str, suffix: str) -> None:
        """Put a sound below the root, its name without what no file can be called."""
        path = self.root.joinpath(*map(on_disk, parts[:-1]), on_disk(parts[-1] + suffix))
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.sounds / f"sound{suffix}", path)

    def add_text(self, *parts: str, lines: list[str]) -> None:
        """Write a text."""
        path = self.root.joinpath(*map(on_disk, parts))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))


def on_disk(name: str) -> str:
    """Return a name as a file can have it."""
    return {"": "_", "..": ".. "}.get(name, name.replace("/", "\\"))[:230]


def _librispeech(tree: Tree) -> list[str]:
    for speaker in ("60", "61"):
        ids = [f"{speaker}-1-{n:04d}" for n in range(4)]
        for id in ids:
            tree.add_sound("train-clean-100", speaker, "1", id, suffix=".flac")
        lines = [f"{id} WORDS {n}" for n, id in enumerate(ids)]
        tree.add_text("train-clean-100", speaker, "1", f"{speaker}-1.trans.txt", lines=lines)
    speaker, file = tree.named("speaker", "62"), tree.named("file", "62-1-0000")
    tree.add_sound("train-clean-100", speaker, "1", file, suffix=".flac")
    tree.add_text("train-clean-100", speaker, "1", "62-1.trans.txt", lines=[f"{file} {tree.named('text', 'WORDS')}"])
    return ["--parts", "train-clean-100"]


def _vctk(tree: Tree) -> list[str]:
    for speaker in ("p225", tree.named("speaker", "p226")):
        for number in (*(f"{n:03d}" for n in range(1, 13)), tree.named("file", "025") if speaker != "p225" else "025"):
            tree.add_sound("wav48_silence_trimmed", speaker, f"{speaker}_{number}_mic1", suffix=".flac")
            text = tree.named("text", "Words.") if number == "012" else f"Sentence {number}."
            tree.add_text("txt", speaker, f"{speaker}_{number}.txt", lines=[text])
    return []


def _ljspeech(tree: Tree) -> list[str]:
    ids = [*(f"LJ001-{n:04d}" for n in range(ljspeech.DEV_CLIPS + 2)), "LJ050-0029", tree.named("file", "LJ050-0030")]
    for id in ids:
        tree.add_sound("wavs", id, suffix=".wav")
    tree.add_text("metadata.csv", lines=[f"{id}|x|{tree.named('text', 'words')}" for id in ids])
    return []


def _common_voice(tree: Tree) -> list[str]:
    rows = [("a" * 128, f"clip_{n}.mp3", f"words {n}") for n in range(5)]
    rows.append((tree.named("speaker", "b" * 128), tree.named("file", "clip_9") + ".mp3", tree.named("text", "words")))
    for _, file, _ in rows:
        tree.add_sound("cy", "clips", file.removesuffix(".mp3"), suffix=".mp3")
    tree.add_text("cy", "train.tsv", lines=["client_id\tpath\tsentence", *("\t".join(row) for row in rows)])
    for table in ("dev", "test"):
        tree.add_text("cy", f"{table}.tsv", lines=["client_id\tpath\tsentence", f"{'c' * 128}\tclip_0.mp3\twords"])
    return []


def _asterisk(tree: Tree) -> list[str]:
    keys = [*(f"digits/{n}" for n in range(80)), f"{tree.named('speaker', 'letters')}/{tree.named('file', 'a')}"]
    for key in keys:
        tree.add_sound("en", *key.rsplit("/", 1), suffix=".g722")
    tree.add_text("en", "core-sounds-en.txt", lines=[f"{key}: {tree.named('text', 'words')}" for key in keys])
    return ["--languages", "en"]


def _folder(tree: Tree) -> list[str]:
    for n in range(8):
        tree.add_sound("anna", f"take{n}", suffix=".wav")
    for n in range(2):
        tree.add_sound(tree.named("speaker", "boris"), f"{tree.named('file', 'take')}{n}", suffix=".wav")
    tree.add_text("speakers", lines=[f"anna {tree.named('text', 'anna')}", f"{tree.named('speaker', 'boris')} boris"])
    return ["--speakers", str(tree.root / "speakers")] if tree.case.place == "text" else []


MODULES: dict[str, tuple[Callable[[Tree], list[str]], Callable[[list[str]], int], str]] = {
    "librispeech": (_librispeech, librispeech.main, "--corpus_dir"),
    "vctk": (_vctk, vctk.main, "--corpus_dir"),
    "ljspeech": (_ljspeech, ljspeech.main, "--corpus_dir"),
    "common_voice": (_common_voice, common_voice.main, "--corpus_dir"),
    "asterisk": (_asterisk, asterisk.main, "--asterisk_dir"),
    "folder": (_folder, folder.main, "--audio_dir"),
}


def corpus_cases() -> list[Corpus]:
    """Return each module with each name in each place that it has."""
    return [Corpus(module, place, name) for module in MODULES for place in PLACES for name in NAMES
            if (module, place) != ("ljspeech", "speaker")]  # fmt: skip


def write_sounds(at: Path) -> None:
    """Write a sound of each kind, which all corpora are made of."""
    for suffix in (".wav", ".flac", ".mp3"):
        write_sound(at / f"sound{suffix}", 16000, 0.1)
    (at / "sound.g722").write_bytes(bytes(80))


def try_corpus(case: Corpus, at: Path, sounds: Path) -> str:
    """Prepare a corpus and look at what there is afterwards."""
    write, main, option = MODULES[case.module]
    tree = Tree(at / "in" / "corpus", case, sounds)
    ljspeech.DEV_CLIPS = 3  # in place of 200, each of which is a file
    (at / "in" / "work").mkdir(parents=True)
    options = write(tree)
    before = {str(path) for path in at.rglob("*")}
    status, words = _run(main, [option, str(tree.root), "--out", str(at / "in" / "work" / "data"), *options], at)
    added = {str(path) for path in at.rglob("*")} - before
    prefix = str(at / "in" / "work" / "data")
    if strays := [path for path in added if not (path == prefix or path.startswith(f"{prefix}/"))]:
        return f"{case}: left {strays[:3]}"
    if os.path.lexists("/tmp/vqaudio-escaped"):
        return f"{case}: left /tmp/vqaudio-escaped"
    if status == 2:
        return HELD if words.strip() else f"{case}: refused without a word"
    return f"{case}: {fault}" if (fault := _fault_of(Path(prefix))) else HELD


def _run(main: Callable[[list[str]], int], argv: list[str], at: Path) -> tuple[int, str]:
    """Return the exit status and the words on stderr of a command, run in a folder of its own."""
    words, own = io.StringIO(), os.getcwd()
    os.chdir(at / "in" / "work")
    try:
        with contextlib.redirect_stderr(words), contextlib.redirect_stdout(io.StringIO()):
            return main(argv), words.getvalue()
    finally:
        os.chdir(own)
        logging.getLogger().handlers.clear()


def _fault_of(data: Path) -> str:
    for name in ("train", "dev", "test"):
        if violations := check(data / name, progress=False):
            return f"prepared, but {violations[0]}"
        try:
            utterances = DataDir.load(data / name, progress=False).utterances
        except DataDirError as error:
            return str(error)
        if odd := [u for u in utterances if not Path(u.recording).is_file()]:
            return f"no recording of {odd[0]}"
    return ""
