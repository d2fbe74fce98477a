"""The template, on somebody's own files: from a tree of audio to what training reads."""

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


@pytest.fixture
def workplace(tmp_path) -> Path:
    """A copy of the recipes, and 24 files of two speakers in audio/."""
    for name in ("common", "template"):
        shutil.copytree(ROOT / "recipes" / name, tmp_path / "recipes" / name)
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    for number in range(12):
        for speaker in ("anna", "boris"):
            write_wav(tmp_path / f"audio/{speaker}/{number}.wav", noise, 16000)
    return tmp_path


def run(workplace: Path, *arguments: str, status: int = 0) -> str:
    """Run the data stages from `workplace`; return what was said."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    fixed = ["--python", sys.executable, "--skip_setup", "--nj", "1", "--stop_stage", "2"]
    result = subprocess.run(
        ["bash", "recipes/template/run.sh", *fixed, *arguments],
        cwd=workplace, env=os.environ | {"PYTHONPATH": ":".join(paths)}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_a_tree_of_audio_becomes_training_data(workplace):
    run(workplace, "--audio-dir", "audio")  # as the user calls it from where the user stands
    parts = {name: DataDir.load(workplace / "recipes/template/dump/8k" / name) for name in ("train", "dev", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 22, "dev": 1, "test": 1}
    assert parts["train"].speakers == ["anna", "boris"]


def test_where_the_audio_is_need_not_be_said_again(workplace):
    run(workplace, "--audio_dir", "audio")
    said = run(workplace)
    assert f"--audio_dir {workplace}/audio, as before" in said
    assert "stage 1 (data): done already" in said and "stage 2 (format): done already" in said


def test_another_table_of_speakers_does_it_again(workplace):
    table = workplace / "who"
    table.write_text("anna clara\nboris david\n")
    run(workplace, "--audio_dir", "audio", "--speaker_table", "who")
    table.write_text("anna clara\nboris emil\n")
    said = run(workplace)
    assert f"stage 1 (data): runs again: the content of {table} changed" in said
    assert DataDir.load(workplace / "recipes/template/dump/8k/train").speakers == ["clara", "emil"]


def test_what_is_missing_is_named(workplace):
    said = run(workplace, status=2)
    assert "--audio_dir is missing" in said and "stage 1 (data): failed" in said


def test_bad_audio_fails_the_format_stage_with_its_reason(workplace):
    for number in range(12):
        (workplace / f"audio/anna/{number}.wav").write_bytes(b"")
    said = run(workplace, "--audio_dir", "audio", status=2)
    assert "stage 2 (format): failed" in said and "rejected.tsv" in said
