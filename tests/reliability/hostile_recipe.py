"""Hostile ids, speakers, transcripts and paths through a whole recipe, from a ready data directory to the report.

<clone's path>/recipes/toy/data/{train,dev,test,it's…}    utterances and speakers named PAYLOAD, who say PAYLOAD
                          /exp/<path>/<tag>               the experiment
                          /dump/<path>                    the audio
"""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.reliability.hostile_names import PAYLOADS, Sandbox, as_id, as_path, as_text, payload, trouble
from tests.small import sound
from vqaudio.audio.io import probe, write_wav
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.units import read_units

UTTERANCE, SPEAKER, TEXT = "utterance", "speaker", "transcript"
CLONE, EXPDIR, DUMPDIR = "path of the repository", "--expdir", "--dumpdir"
RATE, HOP = 8000, 64
LEAST_SPEAKERS, OF_THE_SET = 4, 3  # the voice that the set is converted to is none of its own
PATIENCE = 1800.0
"""Seconds that the run may take: it takes two minutes of two cores, ten and more of a machine that others use."""
TAG = "-$(canary tag)' \" ; # JOB"
SET = "it's;$(canary${IFS}set)"
SHORT = (
    "--train_args",
    "--set training.max_steps=20 --set training.checkpoint_interval=10 --set model.quantizer.start_step=5",
    "--prior_args", "--set training.max_steps=10 --set training.checkpoint_interval=10",
    "--num_samples", "1", "--max_utterances", "99", "--num_voices", "1",
    "--score_args", "--num_samples 2 --num_spoken 1 --skip speed baselines",
)  # fmt: skip


class WholeRun:
    """One run of the recipe with hostile names everywhere."""

    def __init__(self, box: Sandbox, cases: Sequence[tuple[str, str]]) -> None:
        self.box = box
        paths = {place: as_path(kind for p, kind in cases if p == place) for place in (CLONE, EXPDIR, DUMPDIR)}
        self.recipe = box.copy_recipes(box.folder / "clone" / paths[CLONE], "toy") / "toy"
        self.dump, self.exp = self.recipe / "dump" / paths[DUMPDIR] / "8k", self.recipe / "exp" / paths[EXPDIR] / TAG
        chosen = {kind for place, kind in cases if place in (UTTERANCE, SPEAKER)}
        fit = [kind for kind in PAYLOADS if as_id(kind)]
        self.texts = [kind for place, kind in cases if place == TEXT] or ["markup"]
        more = max(LEAST_SPEAKERS, len(self.texts) // 3)  # each speaks at least three times: all texts are said
        self.ids = [kind for kind in fit if kind in chosen] + [kind for kind in fit if kind not in chosen][:more]
        self.utterances = _write_data(self.recipe / "data", self.ids, self.texts)
        self._before = _listing(self.recipe.parents[1])
        options = [
            *("--python", sys.executable, "--skip_setup", "--skip_data", "--nj", "1", "--ngpu", "0", "--num_jobs", "2"),
            *(f"--tag={TAG}", f"--expdir=exp/{paths[EXPDIR]}", f"--dumpdir=dump/{paths[DUMPDIR]}"),
            *("--eval_sets", SET, f"--eval_speaker={as_id(self.ids[-1])}"),
        ]
        self.done = box.run(["bash", str(self.recipe / "run.sh"), *options, *SHORT], timeout=PATIENCE)
        self.wrong = self._wrong_as_a_whole()

    def _wrong_as_a_whole(self) -> str:
        if self.done.returncode:
            return f"the recipe ended with {self.done.returncode}: {trouble(self.done.stdout)}"
        after = _listing(self.recipe.parents[1])
        changed = {path for path in self._before.keys() | after.keys() if self._before.get(path) != after.get(path)}
        if changed:
            return f"changed outside of the experiment: {sorted(changed)[:3]}"
        self.units = {part: read_units(self.exp / "units" / part)[0] for part in ("train", "dev", "test")}
        self.set_units = read_units(self.exp / "scores" / SET / "units")[0]
        self.page = (self.exp / "report.html").read_text(encoding="utf-8")
        self.conversions = {p.name.partition("-to-")[0] for p in (self.exp / "conversion").glob("*-to-*.wav")}
        self.dumped = {part: {u.id: u for u in DataDir.load(self.dump / part).utterances} for part in self.utterances}
        self.known = (self.exp / "model/speakers.txt").read_text(encoding="utf-8").splitlines()
        return ""

    def look(self, place: str, kind: str) -> str:
        """Say what went wrong with a name in a place."""
        if harm := self.box.harm(kind) or self.box.harm("tag") or self.box.harm("set") or self.wrong:
            return harm
        if place == UTTERANCE:
            return self._look_for_utterances(kind)
        if place == SPEAKER:
            heard = {u.speaker for u in self.dumped["train"].values()}
            return "" if as_id(kind) in heard and as_id(kind) in self.known else "the speaker is lost"
        if place == TEXT:
            return self._look_for_text(kind)
        folder = {CLONE: self.recipe, EXPDIR: self.exp, DUMPDIR: self.dump}[place]
        return "" if payload(kind) in folder.parts and folder.is_dir() else f"not in {folder}"

    def _look_for_utterances(self, kind: str) -> str:
        for part, originals in self.utterances.items():
            for u in (u for u in originals if u.speaker == as_id(kind)):
                frames = round(u.duration * RATE)
                if probe(self.dumped[part][u.id].recording).frames != frames:
                    return f"{u.id} of {part} is not the recording that it was"
                if len(self.units[part].get(u.id, ())) != math.ceil(frames / HOP):
                    return f"{u.id} of {part} has lost units"
        id = as_id(kind)
        made = [self.exp / "resynthesis" / name for name in (f"{id}.wav", f"{id}.original.wav")]
        if not all(path.is_file() for path in made) or len({probe(path).frames for path in made}) > 1:
            return f"{id} was not decoded"
        if id not in self.conversions or (kind in self.ids[:OF_THE_SET] and id not in self.set_units):
            return f"{id} was not converted, or is lost in the further set"
        return self._look_at_page(id)

    def _look_for_text(self, kind: str) -> str:
        said = [(part, u) for part, all in self.utterances.items() for u in all if u.text == as_text(kind)]
        if not said:
            return "nobody says it"
        lost = [u.id for part, u in said if self.dumped[part][u.id].text != u.text]
        return f"{lost[0]} says something else" if lost else self._look_at_page(as_text(kind))

    def _look_at_page(self, words: str) -> str:
        return f"unescaped in report.html: {words}" if html.escape(words) != words and "<" in words and (
            words in self.page) else ""  # fmt: skip


def _write_data(folder: Path, ids: Sequence[str], texts: Sequence[str]) -> dict[str, list[Utterance]]:
    """Write train, dev and test, of two, one and one utterance of each speaker; and test again as a further set."""
    written, number = {}, 0
    for part, endings in {"train": (".train0", ".train1"), "dev": (".dev",), "test": ("",)}.items():
        written[part] = []
        for kind in ids if part != "dev" else ids[:3]:
            for ending in endings:
                id, samples = as_id(kind) + ending, 4000 + 8 * number
                path = folder / part / "wavs" / f"{id}.wav"
                write_wav(path, sound(samples, number), RATE)
                text = as_text(texts[number % len(texts)])
                written[part].append(Utterance(id, as_id(kind), str(path), text=text, duration=samples / RATE))
                number += 1
        DataDir(written[part]).write(folder / part)
    DataDir(written["test"][:OF_THE_SET]).write(folder / SET)
    return written


def _listing(clone: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of the files that a run must leave alone: all but experiment, dump, lock and byte code."""
    found = {}
    for path in (clone / "recipes").rglob("*"):
        parts = path.relative_to(clone / "recipes").parts
        if path.is_file() and parts[1] not in ("exp", "dump", ".data.lock") and "__pycache__" not in parts:
            found["/".join(parts)] = path.stat().st_size, path.stat().st_mtime_ns
    return found


def look_at_whole_run(box: Sandbox, cases: Sequence[tuple[str, str]]) -> Callable[[str, str], str]:
    """Run the recipe; return what tells of each (place, kind) how it went."""
    return WholeRun(box, cases).look
