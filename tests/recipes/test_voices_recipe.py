"""The recipe that joins corpora: what other recipes prepare, as one, with the languages that are known."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vqaudio.audio.io import write_wav
from vqaudio.corpus.datadir import DataDir

ROOT = Path(__file__).parents[2]
PARTS = ("train", "dev", "test")


def add_recipe(workplace: Path, name: str, language: str | None) -> None:
    """Write a recipe whose corpus is prepared: an utterance of each of its two speakers in each part."""
    recipe = workplace / "recipes" / name
    (recipe / "local").mkdir(parents=True)
    (recipe / "local/data.sh").write_text("exit 0\n")
    for part in PARTS:
        speakers = [f"{name}a", f"{name}b"]
        ids = {speaker: f"{speaker}-{part}" for speaker in speakers}
        lines = {
            "wav.scp": [f"{id} {recipe}/{id}.wav" for id in ids.values()],
            "utt2spk": [f"{id} {speaker}" for speaker, id in ids.items()],
            "spk2utt": [f"{speaker} {id}" for speaker, id in ids.items()],
        }
        if language:
            lines["utt2lang"] = [f"{id} {language}" for id in ids.values()]
        (recipe / "data" / part).mkdir(parents=True)
        for file, rows in lines.items():
            (recipe / "data" / part / file).write_text("".join(f"{row}\n" for row in rows))
        for id in ids.values():
            write_wav(recipe / f"{id}.wav", np.zeros(8000, np.float32), 8000)


@pytest.fixture
def workplace(tmp_path) -> Path:
    for name in ("common", "voices"):
        shutil.copytree(ROOT / "recipes" / name, tmp_path / "recipes" / name)
    add_recipe(tmp_path, "north", "fi")
    add_recipe(tmp_path, "south", None)
    return tmp_path


def run(workplace: Path, *arguments: str, status: int = 0) -> str:
    """Run the data stage; return what was said."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    result = subprocess.run(
        ["bash", "recipes/voices/run.sh", "--python", sys.executable, "--skip_setup", "--stop_stage", "1", *arguments],
        cwd=workplace, env=os.environ | {"PYTHONPATH": ":".join(paths)}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_corpora_are_joined_part_by_part_with_the_languages_that_are_known(workplace):
    run(workplace, "--corpora", "north south")
    data = workplace / "recipes/voices/data"
    for part in PARTS:
        speakers = [utterance.speaker for utterance in DataDir.load(data / part).utterances]
        assert speakers == ["northa", "northb", "southa", "southb"]
        assert (data / part / "utt2lang").read_text() == f"northa-{part} fi\nnorthb-{part} fi\n"


def test_of_corpora_without_languages_none_is_said(workplace):
    run(workplace, "--corpora", "south")
    assert not (workplace / "recipes/voices/data/train/utt2lang").exists()


def test_a_corpus_without_a_recipe_is_named(workplace):
    assert "--corpora: there is no recipe 'west'" in run(workplace, "--corpora", "north west", status=2)
