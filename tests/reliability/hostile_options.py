"""Hostile names as options of run.sh, and as the words and folders of jobs that launchers run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.recipes.test_jobs_ssh import FAKE_SSH
from tests.reliability.hostile_names import Sandbox, as_path, is_line, payload, trouble
from tests.reliability.promises import ROOT

PRINT = "import json, os, sys; json.dump([os.getcwd(), *sys.argv[2:]], open(sys.argv[1], 'w'))"
BACKENDS = ("local", "ssh", "slurm")


def try_options(box: Sandbox, kinds: Sequence[str]) -> Callable[[str], str]:
    """Return what gives a name to all options of run.sh that name folders, and tells how it went.

    The stage run is the last one, which needs nothing of the others: marks, locks and logs are the shell's own work.
    """
    recipe = box.copy_recipes(box.folder / "clone", "toy") / "toy"
    script = ["bash", str(recipe / "run.sh"), "--python", sys.executable, "--stage", "12", "--ngpu", "0", "--nj", "1"]

    def look(kind: str) -> str:
        name, before = payload(kind), set(os.listdir(recipe))
        done = box.run([*script, f"--expdir={name}", f"--dumpdir={name}/d", f"--tag={name}", f"--eval_speaker={name}"])
        new = set(os.listdir(recipe)) - before - {".data.lock"}
        if harm := box.harm(kind):
            return harm
        if (done.returncode == 2 and done.stdout.startswith("run.sh: --")) or "is too long" in done.stdout:
            fit = is_line(name) and len(name.encode()) <= 200
            return f"refused, and yet written: {new}" if new else f"refused: {done.stdout}" if fit else ""
        right = (recipe / name / name / "log/summary.log").is_file() and (recipe / name / "d").is_dir()
        return "" if done.returncode == 0 and right and new == {name} else f"{new}: {trouble(done.stdout)}"

    return look


def try_launcher(box: Sandbox, backend: str, kinds: Sequence[str], environment: dict[str, str]) -> Callable[[str], str]:
    """Run jobs whose words, folder and log have these names; return what tells of each kind how it went."""
    folder = box.folder / "jobs" / as_path(kinds)
    folder.mkdir(parents=True)
    box.program("ssh", FAKE_SSH)
    (box.folder / "hosts").write_text("here 2\n")
    options = ["--config", str(box.folder / "hosts")] if backend == "ssh" else []
    words = [payload(kind) for kind in kinds]
    log = Path("logs", as_path(kinds[:5]), "x.SHARD_JOB.log")
    command = [sys.executable, "-S", str(ROOT / "recipes/common/jobs"), backend, *options, "SHARD_JOB=1:2", str(log),
               sys.executable, "-c", PRINT, str(box.folder / "got.SHARD_JOB"), *words]  # fmt: skip
    done = box.run(command, cwd=folder, env={**box.environment, **environment})
    got = [_read(box.folder / f"got.{job}") for job in (1, 2)]
    logged = all((folder / str(log).replace("SHARD_JOB", job)).is_file() for job in ("1", "2"))

    def look(kind: str) -> str:
        if harm := box.harm(kind):
            return harm
        place = list(kinds).index(kind)
        if done.returncode or not logged:
            return f"the launcher ended with {done.returncode}: {trouble(done.stdout)}"
        wrong = [words_[1 + place] for words_ in got if words_[0] != str(folder) or words_[1 + place] != words[place]]
        return f"{words[place]!r} came as {wrong}" if wrong else ""

    return look


def _read(path: Path) -> list[str]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
