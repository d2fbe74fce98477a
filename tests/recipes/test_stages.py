"""The stages' marks: what is done is not repeated, what changed is, and what broke off goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

COMMON = Path(__file__).parents[2] / "recipes/common"
# first -> second -> third, and aside, which depends on nothing. Each stage notes that it ran.
RECIPE = f"""#!/usr/bin/env bash
set -euo pipefail
. {COMMON}/parse_options.sh
. {COMMON}/stages.sh

# Options.
stage=1
stop_stage=9
force=false
depth=3
extra=
config=config.yaml
skip_first=false
skip_second=false
break=
# End of options.

read_options "$0"
parse_options "$@"

stage 1 first "Do first" folder=exp options="depth" keeps="exp/first"
stage 2 second "Do second" folder=exp after="first" options="config" makes="exp/second"
stage 3 third "Do third" folder=exp after="second" files="notes"
stage 4 aside "Do aside" folder=exp
stage 5 summary "Say" always=true folder=exp log=exp/elsewhere

work() {{
    echo "$1" >>ran
    echo "working on $1"
    mkdir -p "exp/$1"; echo "$depth" >"exp/$1/result"
    case $break in
        "$1") false; echo "not reached" ;;
        "$1-pipe") false | cat; echo "not reached" ;;
        "$1-wait") touch waiting; sleep 30 ;;
        "$1-save") bash saves.sh; echo "not reached" ;;
    esac
    echo whole >"exp/$1/whole"
}}
stage_first() {{ work first; }}
stage_second() {{ work second; }}
stage_third() {{ work third; }}
stage_aside() {{ work aside; }}
stage_summary() {{ echo "look here"; }}
run_stages "$stage" "$stop_stage" "$force"
"""


class Recipe:
    """A recipe of four small stages in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "run.sh").write_text(RECIPE)
        (folder / "config.yaml").write_text("a: 1\n")

    def command(self, *arguments: str) -> list[str]:
        return ["bash", str(self.folder / "run.sh"), *arguments]

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run; return what it said."""
        (self.folder / "ran").write_text("")
        result = subprocess.run(self.command(*arguments), cwd=self.folder, capture_output=True, text=True)
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout + result.stderr

    @property
    def ran(self) -> list[str]:
        """The stages that the last run worked on."""
        return (self.folder / "ran").read_text().split()


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    return Recipe(tmp_path)


# What a training does: it takes a moment to save itself, whatever asks it to end, and so does what it has started.
SAVES = """
save() { sleep 0.3; echo "$1" >>saved; exit $2; }
trap 'save INT 130' INT; trap 'save TERM 143' TERM; trap 'save HUP 129' HUP
(trap 'save child 1' INT TERM HUP; touch waiting; while true; do sleep 0.05; done) &
while true; do sleep 0.05; done
"""


def of_the_run(mark: str) -> dict[int, str]:
    """Return the processes that have `mark` in their environment, and their command lines."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"MARK={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return {pid: command for pid, command in found.items() if command}


ALL = ["first", "second", "third", "aside"]


def test_stages_run_once(recipe):
    said = recipe()
    assert recipe.ran == ALL
    assert "stage 1 (first): Do first" in said and "stage 1 (first): done in 0 s" in said and "look here" in said
    said = recipe()
    assert recipe.ran == []
    assert "stage 3 (third): done already" in said and "look here" in said


def test_each_stage_has_a_log(recipe):
    recipe()
    assert "working on second" in (recipe.folder / "exp/log/second.log").read_text()
    assert "look here" in (recipe.folder / "exp/elsewhere/summary.log").read_text()


def test_a_changed_option_runs_its_stage_and_what_depends_on_it(recipe):
    recipe()
    said = recipe("--depth", "5")
    assert recipe.ran == ["first", "second", "third"]
    assert "stage 1 (first): runs again: --depth was '3' and is '5'\n" in said
    assert "stage 2 (second): runs again: stage 1 (first) was done anew" in said
    assert "stage 4 (aside): done already" in said
    recipe("--depth", "5")
    assert recipe.ran == []


def test_an_option_that_a_newer_version_adds_counts_once_it_has_a_value(recipe):
    recipe()
    script = recipe.folder / "run.sh"
    script.write_text(script.read_text().replace('options="depth"', 'options="depth extra"'))
    recipe()
    assert recipe.ran == []
    said = recipe("--extra", "more")
    assert "stage 1 (first): runs again: --extra was '' and is 'more'\n" in said
    recipe("--extra", "more")
    assert recipe.ran == []
    assert "--extra was 'more' and is ''" in recipe()


def test_a_configurations_base_counts_too(recipe):
    (recipe.folder / "deep").mkdir()
    (recipe.folder / "deep/base.yaml").write_text("base: ../root.yaml\nb: 1\n")
    (recipe.folder / "root.yaml").write_text("c: 1\nbase: config.yaml\n")  # a circle, which must not hang
    (recipe.folder / "config.yaml").write_text("base: deep/base.yaml\n")
    recipe()
    (recipe.folder / "root.yaml").write_text("c: 2\n")
    assert "stage 2 (second): runs again: the content of config.yaml changed" in recipe()
    assert recipe.ran == ["second", "third"]


def test_a_changed_file_counts_as_a_changed_option(recipe):
    recipe()
    (recipe.folder / "config.yaml").write_text("a: 2\n")
    said = recipe()
    assert recipe.ran == ["second", "third"]
    assert "stage 2 (second): runs again: the content of config.yaml changed" in said


def test_a_changed_input_counts_too(recipe):
    recipe()
    (recipe.folder / "notes").write_text("new")
    assert "stage 3 (third): runs again: notes changed" in recipe()
    assert recipe.ran == ["third"]


def test_what_was_made_with_other_options_is_kept_or_cleared(recipe):
    recipe()
    (recipe.folder / "exp/second/old").touch()
    said = recipe("--depth", "5")
    (aside,) = (recipe.folder / "exp").glob("first.old-*")
    assert (aside / "result").read_text() == "3\n" and f"kept as exp/{aside.name}" in said
    assert (recipe.folder / "exp/first/result").read_text() == "5\n"
    assert not (recipe.folder / "exp/second/old").exists()


def test_a_range_of_stages(recipe):
    recipe("--stop_stage", "2")
    assert recipe.ran == ["first", "second"]
    recipe("--stage", "3", "--stop_stage", "3")
    assert recipe.ran == ["third"]


def test_force_runs_what_is_done(recipe):
    recipe()
    recipe("--stage", "2", "--stop_stage", "2", "--force")
    assert recipe.ran == ["second"]
    recipe()
    assert recipe.ran == []  # the same options made the same result


def test_a_stage_that_needs_an_earlier_one_says_so(recipe):
    said = recipe("--stage", "2", status=2)
    assert "stage 2 (second) needs stage 1 (first), which is not done. Start with --stage 1" in said


def test_a_stage_refuses_what_other_options_made(recipe):
    recipe()
    said = recipe("--stage", "2", "--depth", "5", status=2)
    assert (
        "was done with other options: --depth was '3' and is '5'. Start with --stage 1" in said
        and "--skip_first" in said
    )
    assert recipe.ran == []


def test_skipping_takes_what_is_there(recipe):
    said = recipe("--skip_first")
    assert recipe.ran == ["second", "third", "aside"] and "stage 1 (first): skipped" in said
    recipe("--skip_first", "--depth", "5")
    assert recipe.ran == []


@pytest.mark.parametrize("where", ["second", "second-pipe"])
def test_a_failure_stops_the_run_and_names_stage_and_log(recipe, where):
    said = recipe("--break", where, status=1)
    assert "stage 2 (second): failed after 0 s with exit status 1. Its log: exp/log/second.log" in said
    assert "not reached" not in said and recipe.ran == ["first", "second"]


def test_after_a_failure_the_stage_goes_on_where_it_stood(recipe):
    recipe("--break", "second", status=1)
    said = recipe()
    assert recipe.ran == ["second", "third", "aside"]
    assert "stage 2 (second): was interrupted; goes on where it stood" in said
    assert "working on second" in (recipe.folder / "exp/log/second.log").read_text()


def test_a_stage_begun_with_other_options_starts_afresh(recipe):
    recipe("--break", "first", status=1)
    said = recipe("--depth", "5")
    assert "stage 1 (first): runs again: --depth was '3' and is '5'" in said
    assert len(list((recipe.folder / "exp").glob("first.old-*"))) == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_stage_is_not_taken_for_done(recipe, number, status):
    recipe("--stop_stage", "1")
    process = subprocess.Popen(
        recipe.command("--break", "second-wait"),
        cwd=recipe.folder,
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 20
    while not (recipe.folder / "waiting").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)  # the shell needs a moment from there to its waiting for `sleep`
    os.killpg(process.pid, number)  # as Ctrl-C does: the whole group
    error = process.communicate(timeout=20)[1].decode()
    assert process.returncode == status
    if number == signal.SIGINT:
        assert "stage 2 (second): interrupted after" in error and "The same command goes on" in error
    said = recipe()
    assert "stage 2 (second): was interrupted; goes on where it stood" in said
    assert recipe.ran == ["second", "third", "aside"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "status", "saved"),
    [
        (signal.SIGTERM, 143, "TERM"),
        (signal.SIGINT, 130, "INT"),
        (signal.SIGHUP, 129, "HUP"),
        (signal.SIGKILL, -9, "TERM"),
    ],
)
def test_a_signal_to_the_script_alone_ends_all_that_it_has_started(recipe, number, status, saved):
    """As of `kill`, `timeout`, systemd or a lost terminal; of `kill -9` the guard tells the stage."""
    mark = uuid.uuid4().hex
    (recipe.folder / "saves.sh").write_text(SAVES)
    process = subprocess.Popen(
        recipe.command("--break", "second-save"), cwd=recipe.folder, env={**os.environ, "MARK": mark},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # these tests may run under nohup
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (recipe.folder / "waiting").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, number)
        said, _ = process.communicate(timeout=60)  # to the end of whatever could still write there
    finally:
        left = of_the_run(mark)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert process.returncode == status and "not reached" not in said
    assert sorted((recipe.folder / "saved").read_text().split()) == [saved, "child"]
    if number != signal.SIGKILL:
        assert "stage 2 (second): interrupted after" in said
    assert left == {}
    said = recipe()
    assert "stage 2 (second): was interrupted; goes on where it stood" in said


def test_a_run_that_nohup_started_outlives_its_terminal(recipe):
    (recipe.folder / "saves.sh").write_text("touch waiting; sleep 1")
    process = subprocess.Popen(
        ["nohup", *recipe.command("--break", "second-save")], cwd=recipe.folder, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 20
    while not (recipe.folder / "waiting").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGHUP)
    assert "stage 4 (aside): done in" in process.communicate(timeout=20)[0] and process.returncode == 0
