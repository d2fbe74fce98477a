"""Recordings in files and folders of hostile names, through the template recipe's preparation of data.

    corpus/<every kind>/…/plain/PAYLOAD.wav      place "file"
                         /PAYLOAD/take.wav       place "speaker's folder"

Each recording has a length of its own, by which it is known again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.reliability.hostile_names import Sandbox, as_path, is_line, is_utf8, payload, trouble
from tests.small import sound
from vqaudio.audio.io import probe, write_wav
from vqaudio.corpus.datadir import DataDir

FILE, FOLDER, CORPUS_PATH = "file", "speaker's folder", "corpus's path"
RATE, LENGTH = 8000, 4000


def try_corpus(box: Sandbox, cases: Sequence[tuple[str, str]]) -> Callable[[str, str], str]:
    """Prepare a corpus with these (place, kind); return what tells of each how it went."""
    root = box.folder / "corpus" / as_path(kind for place, kind in cases if place == CORPUS_PATH)
    wanted = _write(root, cases)
    recipe = box.copy_recipes(box.folder / "clone", "template") / "template"
    options = ["--python", sys.executable, "--skip_setup", "--nj", "1", "--ngpu", "0", "--stop_stage", "2"]
    done = box.run(["bash", str(recipe / "run.sh"), *options, "--fs", str(RATE), f"--audio_dir={root}"])
    if done.returncode:
        return lambda place, kind: f"the preparation failed: {trouble(done.stdout)}"
    parts = [DataDir.load(recipe / f"dump/8k/{part}") for part in ("train", "dev", "test")]
    lengths = {u.id: probe(u.recording).frames for part in parts for u in part.utterances}
    sources = {}
    for part in ("train", "dev", "test"):
        sources |= {u.recording: u.id for u in DataDir.load(recipe / f"data/{part}").utterances}
    findings = (recipe / "data/findings.tsv").read_text(encoding="utf-8")

    def look(place: str, kind: str) -> str:
        if harm := box.harm(kind):
            return harm
        if place == CORPUS_PATH:
            return "" if all(payload(kind) in Path(path).parts for path in sources) else "not in wav.scp's paths"
        path, frames = wanted[place, kind]
        if not _can_be_taken(path.relative_to(root)):
            item = str(path.relative_to(root) if place == FILE or not payload(kind).startswith(".") else payload(kind))
            shown = item.encode("utf-8", "backslashreplace").decode().encode("unicode_escape").decode()
            return "" if f"{shown}\tleft out: " in findings else f"lost without a word: {path!r}"
        id = sources.get(str(path))
        return (
            "" if id and lengths.get(id) == frames else f"lost: {path!r}, {id}, {lengths.get(id)} of {frames} samples"
        )

    return look


def _write(root: Path, cases: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[Path, int]]:
    """Write the recordings, and some of a speaker of no harm; return path and samples of each case."""
    wanted = {}
    for number, (place, kind) in enumerate(cases):
        if place != CORPUS_PATH:
            name = f"plain/{payload(kind)}.wav" if place == FILE else f"{payload(kind)}/take.wav"
            wanted[place, kind] = (root / name, LENGTH + number)
    for path, frames in [*wanted.values(), *((root / f"anna/{n}.wav", LENGTH) for n in range(20))]:
        path.parent.mkdir(parents=True, exist_ok=True)
        # write_wav is for names that are text; others are given to the file afterwards.
        write_wav(root / "written.wav", sound(frames, 1), RATE)
        os.replace(root / "written.wav", path)
    return wanted


def _can_be_taken(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and is_utf8(str(path)) and not any(c in str(path) for c in "\t\r\n")


def can_be_corpus_path(kind: str) -> bool:
    """Whether an option may name such a folder; else it is refused, which `hostile_options` tries."""
    return is_line(payload(kind))
