"""The environment that the recipes make for themselves, up to the installation itself, which needs a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# An interpreter that records what pip is asked to do, and does everything else.
FAKE_PYTHON = """#!/bin/sh
case "$1 $2 $3" in
    "-m pip install") shift 3; echo "$*" >>"$PIP_LOG"; exit "${PIP_STATUS:-0}" ;;
    "-m pip --version") [ -z "$NO_PIP" ] && echo "pip 99"; exit ;;
    "-c import sys; print(sys.prefix"*) echo "$PREFIX/.vqaudio-installed"; exit ;;
esac
case "$1 $2" in *urllib*) exit 1 ;; esac
exec "$REAL_PYTHON" "$@"
"""


class Machine:
    """A copy of the repository's scripts and a fake interpreter, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.repository, self.log = folder / "repository", folder / "pip.log"
        shutil.copytree(ROOT / "recipes/common", self.repository / "recipes/common")
        for name in ("pyproject.toml", "setup.py", "constraints.txt"):
            (self.repository / name).write_text("")
        self.python = folder / "bin/python"
        self.python.parent.mkdir()
        self.python.write_text(FAKE_PYTHON)
        self.python.chmod(0o755)
        own = {"PIP_LOG": str(self.log), "PREFIX": str(folder), "REAL_PYTHON": sys.executable}
        self.environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "CONDA_PREFIX")} | own

    def setup(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run setup.sh; return what it said."""
        result = subprocess.run(
            ["bash", str(self.repository / "recipes/common/setup.sh"), *arguments],
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout + result.stderr

    @property
    def installed(self) -> list[str]:
        """What each call of pip was asked to install."""
        return [line.split("-e ")[1] for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def test_installs_once_with_the_projects_constraints(machine):
    machine.setup("--python", str(machine.python))
    assert "as it should be" in machine.setup("--python", str(machine.python))
    assert machine.installed == ["."]
    assert "-c constraints.txt" in machine.log.read_text()


@pytest.mark.parametrize("name", ["pyproject.toml", "setup.py", "constraints.txt"])
def test_installs_again_when_the_projects_files_change(machine, name):
    machine.setup("--python", str(machine.python))
    (machine.repository / name).write_text("# changed")
    machine.setup("--python", str(machine.python))
    assert machine.installed == [".", "."]


def test_extras_are_added_and_stay(machine):
    machine.setup("--python", str(machine.python))
    machine.setup("--python", str(machine.python), "--extras", "test")
    machine.setup("--python", str(machine.python))
    (machine.repository / "setup.py").write_text("# changed")
    machine.setup("--python", str(machine.python))
    assert machine.installed == [".", ".[test]", ".[test]"]


def test_a_failed_installation_is_told_and_repeated(machine):
    said = machine.setup("--python", str(machine.python), status=2, PIP_STATUS="1")
    assert "the installation failed" in said
    machine.setup("--python", str(machine.python))
    assert machine.installed == [".", "."]


def test_the_active_environment_is_used(machine):
    machine.setup(VIRTUAL_ENV=str(machine.python.parents[1]))
    assert machine.installed == ["."]
    assert not (machine.repository / ".venv").exists()


def test_a_conda_environment_is_used_but_not_condas_base(machine):
    conda = {"CONDA_PREFIX": str(machine.python.parents[1]), "CONDA_DEFAULT_ENV": "speech"}
    machine.setup(**conda)
    assert machine.installed == ["."]
    script = f". {machine.repository}/recipes/common/path.sh; choose_python; echo $python"
    conda["CONDA_DEFAULT_ENV"] = "base"
    result = subprocess.run(
        ["bash", "-c", script], env=machine.environment | conda, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str(machine.repository / ".venv/bin/python")


def test_an_interpreter_that_is_not_there_or_too_old_is_refused(machine, tmp_path):
    assert "there is no 'nowhere/python'" in machine.setup("--python", "nowhere/python", status=2)
    old = tmp_path / "old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.1" || exit 1\n')
    old.chmod(0o755)
    assert "Python 3.8.1, 3.10 or newer is needed" in machine.setup("--python", str(old), status=2)


def test_an_environment_without_pip_is_refused(machine):
    assert "has no pip" in machine.setup("--python", str(machine.python), status=2, NO_PIP="1")


def test_a_new_environment_has_pip_even_where_venv_cannot_give_it_one(machine, tmp_path):
    """As on Debian without python3-venv: ensurepip is missing, and pip comes from a package's file."""
    blocked = tmp_path / "blocked/ensurepip"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('as on Debian')")
    (machine.repository / "data_prep").mkdir()
    # Instead of a download: a package whose wheel is a pip that only says that it was called.
    (machine.repository / "data_prep/fetch.py").write_text(
        "import sys, zipfile, pathlib\n"
        "folder = pathlib.Path(sys.argv[3], 'python3-pip-whl'); folder.mkdir()\n"
        "with zipfile.ZipFile(folder / 'pip-99-py3-none-any.whl', 'w') as wheel:\n"
        "    wheel.writestr('pip/__main__.py', 'import sys; print(\"unpacked pip\", sys.argv[1])')\n"
    )
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    (tools / "apt-get").chmod(0o755)
    (tools / "python3").symlink_to(sys.executable)
    path = f"{tools}:/usr/bin:/bin"
    said = machine.setup(status=2, PATH=path, PYTHONPATH=str(blocked.parent))
    assert "unpacked pip install" in said and (machine.repository / ".venv/bin/python").exists()
    assert "has no pip" in said  # the fake wheel installs none


def test_no_suitable_python_is_told_with_what_to_install(machine, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "awk", "sed", "tee", "sha256sum", "df", "dirname", "basename", "cat", "tr", "sort"):
        (tools / name).symlink_to(shutil.which(name))
    said = machine.setup(status=2, PATH=str(tools))
    assert "Python 3.10 or newer is needed" in said and "apt-get install python3 python3-venv" in said
