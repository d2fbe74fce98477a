"""Two runs of a recipe at once: the second is told who is at work, and touches nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recipes.launcher import wait_for

ROOT = Path(__file__).parents[2]
# Prepares data until it is told to end.
DATA = """#!/usr/bin/env bash
# Options.
# End of options.
touch waiting
until [ -e go ]; do sleep 0.05; done
mkdir -p data
"""


class Recipe:
    """A copy of the toy recipe whose preparation waits for a file `go`."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        shutil.copytree(ROOT / "recipes/common", folder / "recipes/common")
        shutil.copytree(
            ROOT / "recipes/toy", folder / "recipes/toy", ignore=shutil.ignore_patterns("data", "dump", "exp")
        )
        self.folder, self.environment = folder / "recipes/toy", {**os.environ, **environment}
        (self.folder / "local/data.sh").write_text(DATA)
        self.runs: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start stage 1, or what the options say."""
        fixed = ("--python", sys.executable, "--ngpu", "0", "--nj", "1", "--stage", "1", "--stop_stage", "1")
        command = ["bash", str(self.folder / "run.sh"), *fixed, *options]
        run = subprocess.Popen(command, env=self.environment, start_new_session=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)  # fmt: skip
        self.runs.append(run)
        return run

    def at_work(self, *options: str) -> subprocess.Popen[str]:
        """Start it, and wait until it is at work."""
        (self.folder / "waiting").unlink(missing_ok=True)
        run = self.start(*options)
        wait_for((self.folder / "waiting").exists)
        return run

    def files(self) -> dict[str, int]:
        """Return when each file was written, but for the log that the first run goes on with."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".log"]
        return {str(path): path.stat().st_mtime_ns for path in files}


@pytest.fixture
def recipe(tmp_path) -> Iterator[Recipe]:
    """A recipe, whose runs are ended."""
    recipe = Recipe(tmp_path, {})
    yield recipe
    (recipe.folder / "go").touch()
    for run in recipe.runs:
        run.communicate(timeout=30)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ((), "exp"),
        (("--dumpdir", "other"), "exp"),
        (("--tag", "other"), "exp"),
        (("--expdir", "other"), "data/ or dump"),
        (("--expdir", "other", "--dumpdir", "other"), "data/ or other"),
        (("--expdir", "other", "--stage", "12", "--stop_stage", "12"), "data/ or dump"),
    ],
)
def test_a_second_run_is_refused_with_the_first_ones_process_and_start(recipe, options, where):
    first, since = recipe.at_work(), time.strftime("%F")
    before = recipe.files()
    second = recipe.start(*options)
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 2
    assert re.search(
        rf"another run is at work in {where}: process {first.pid} on .*, since {since} \d\d:\d\d:\d\d\. Wait", said
    )
    assert {path: at for path, at in recipe.files().items() if "other" not in path} == before
    (recipe.folder / "go").touch()
    assert "stage 1 (data): done in" in first.communicate(timeout=30)[0]


def test_those_who_read_the_data_may_do_so_together(recipe):
    (recipe.folder / "go").touch()
    recipe.start().communicate(timeout=30)
    with open(recipe.folder / ".data.lock") as lock:
        fcntl = pytest.importorskip("fcntl")
        fcntl.flock(lock, fcntl.LOCK_SH)  # a run that trains on it
        reader = recipe.start("--expdir", "other")
        assert "stage 1 (data): done already" in reader.communicate(timeout=30)[0]
        writer = recipe.start("--force")
        assert "another run is at work in data/" in writer.communicate(timeout=30)[0] and writer.returncode == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_run_that_was_killed_blocks_nobody(recipe, number):
    first = recipe.at_work()
    os.kill(first.pid, number)
    first.communicate(timeout=30)  # to the end of what it had started
    (recipe.folder / "go").touch()
    assert "stage 1 (data): done in" in recipe.start().communicate(timeout=30)[0]


def test_without_the_program_flock_python_takes_the_locks(recipe, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    names = "awk bash basename cat comm cut date df dirname grep mkdir mv rm sed sha256sum sleep sort tee touch tr wc"
    for name in names.split():
        (programs / name).symlink_to(shutil.which(name))
    (programs / "python3").symlink_to(sys.executable)
    recipe.environment["PATH"] = str(programs)
    first = recipe.at_work()
    second = recipe.start("--expdir", "other")
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 2 and f"another run is at work in data/ or dump: process {first.pid} on " in said
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=30)
    (recipe.folder / "go").touch()
    assert "stage 1 (data): done in" in recipe.start().communicate(timeout=30)[0]
