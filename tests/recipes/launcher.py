"""The launcher of jobs, as tests call it: in a process of its own, or its modules in ours."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE

COMMON = Path(__file__).parents[2] / "recipes/common"
if str(COMMON) not in sys.path:
    sys.path.insert(0, str(COMMON))


def launch_command(*arguments: object) -> list[str]:
    """Return the command that a recipe calls."""
    return [sys.executable, "-S", str(COMMON / "jobs"), *map(str, arguments)]


def launch(*arguments: object, cwd: Path, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher in a folder; `environment` is added to ours."""
    result = subprocess.run(launch_command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=120,
                            env={**os.environ, **environment})  # fmt: skip
    assert result.returncode == status, result.stdout + result.stderr
    return result


def start(*arguments: object, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """Start the launcher, and return at once."""
    return subprocess.Popen(launch_command(*arguments), cwd=cwd, text=True, start_new_session=True,
                            stdout=PIPE, stderr=PIPE, env={**os.environ, **environment})  # fmt: skip


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until the condition holds; a failure of the test where it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


SAVES = 'trap "echo saved >result; kill $!; exit 3" INT; touch begun; sleep 60 & wait'
"""A job for `bash -c` that saves its work when it is interrupted."""


def counted(number: int) -> str:
    """Return a job for `bash -c` that notes how many of its kind run, once there have been `number` of them."""
    return (
        f"mkdir on.JOB; until [ -e full ] || [ $(ls -d on.* | wc -l) -ge {number} ]; do sleep 0.05; done; touch full; "
        "ls -d on.* | wc -l >>seen; sleep 0.2; rmdir on.JOB"
    )


def most_at_once(folder: Path) -> int:
    """Return how many jobs of `counted` ran at the same time, at most."""
    return max(map(int, (folder / "seen").read_text().split()))
