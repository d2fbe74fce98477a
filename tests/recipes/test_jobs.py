"""The launcher of jobs on this machine: logs, bounds, failures, signals, and what it says to its users."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recipes.launcher import COMMON, SAVES, counted, launch, most_at_once, start, wait_for

from jobs.configuration import SlurmConfiguration  # isort: skip   (on the path because of the line before)
from jobs.report import last_lines, ranges  # isort: skip
from jobs.request import OPTIONS, UsageError, parse, replace_job  # isort: skip


def test_a_single_job_speaks_in_the_terminal_and_in_its_log(tmp_path):
    script = "printf 'a\\rb\\n# not a comment of ours\\n'; echo c >&2; printf 'no newline'"
    result = launch("local", "log/x.log", "bash", "-c", script, cwd=tmp_path)
    said = "a\rb\n# not a comment of ours\nc\nno newline\n"
    assert result.stdout == said.replace("\r", "\n") and result.stderr == ""  # Python reads \r as a new line
    header, body = (tmp_path / "log/x.log").read_bytes().decode().split("\n#\n")
    assert re.fullmatch(r"# bash -c 'printf .*\n# Running on \S+, in \S+\n# Started at .*", header)
    assert re.fullmatch(re.escape(said) + r"# Ended \(code 0\) at .*, elapsed time \d+ seconds\n", body)
    assert os.listdir(tmp_path / "log") == ["x.log"]


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137)])
def test_a_single_jobs_exit_status_is_passed_on(tmp_path, script, status):
    error = launch("local", "x.log", "bash", "-c", script, cwd=tmp_path, status=status).stderr
    assert re.match(rf"x: failed with status {status}( \(Killed\))?\. Its log: x\.log\n", error)
    assert f"# Ended (code {status})" in (tmp_path / "x.log").read_text()


def test_a_log_is_of_the_last_run(tmp_path):
    for word in ("first", "second"):
        launch("local", "x.log", "echo", word, cwd=tmp_path)
    assert "first" not in (tmp_path / "x.log").read_text()


def test_a_command_that_is_not_there(tmp_path):
    result = launch("local", "x.log", "vqaudi", cwd=tmp_path, status=127)
    assert "cannot run vqaudi: No such file or directory" in result.stdout


def test_a_job_goes_on_when_nobody_reads_what_it_says(tmp_path):
    process = start("local", "x.log", "bash", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done", cwd=tmp_path)
    process.stdout.close()
    assert process.wait(timeout=20) == 0 and "Traceback" not in process.stderr.read()
    assert "\n3\n# Ended (code 0)" in (tmp_path / "x.log").read_text()


def test_jobs_have_numbers_and_logs_of_their_own(tmp_path):
    result = launch("local", "JOB=3:5", "log/x.JOB.log", "echo", "shard JOB of JOBS", cwd=tmp_path)
    assert result.stdout == ""
    assert sorted(os.listdir(tmp_path / "log")) == ["x.3.log", "x.4.log", "x.5.log"]
    assert "\nshard 4 of JOBS\n" in (tmp_path / "log/x.4.log").read_text()


def test_arguments_reach_the_command_as_they_are(tmp_path):
    words = ["a b", "$HOME", "it's", '"', "*", "--mem", "", "ü\n"]
    print_words = "import sys; print(sys.argv[1:])"
    result = launch("local", "x.log", "python3", "-c", print_words, *words, cwd=tmp_path)
    assert result.stdout == f"{words}\n"


def test_a_word_of_its_own_leaves_paths_with_the_word_job_alone(tmp_path):
    command = ("local", "SHARD_JOB=1:2", "JOB/x.SHARD_JOB.log", "echo", "JOB/units SHARD_JOB/2")
    launch(*command, cwd=tmp_path)
    assert sorted(os.listdir(tmp_path / "JOB")) == ["x.1.log", "x.2.log"]
    assert "\nJOB/units 2/2\n" in (tmp_path / "JOB/x.2.log").read_text()


def test_no_more_jobs_run_at_once_than_allowed(tmp_path):
    launch("local", "--max-jobs-run=2", "JOB=1:5", "x.JOB.log", "bash", "-c", counted(2), cwd=tmp_path)
    assert most_at_once(tmp_path) == 2 and len((tmp_path / "seen").read_text().split()) == 5


def test_after_a_failure_running_jobs_end_and_no_others_begin(tmp_path):
    script = "if [ JOB = 1 ]; then seq 30; echo broken; exit 4; fi; sleep 0.5; touch done.JOB"
    command = ("local", "--max_jobs_run", "2", "JOB=1:5", "log/x.JOB.log", "bash", "-c", script)
    error = launch(*command, cwd=tmp_path, status=1).stderr
    assert sorted(path.name for path in tmp_path.glob("done.*")) == ["done.2"]
    shown = error[error.index("x: job 1 failed") :].splitlines()
    assert shown[0] == "x: job 1 failed with status 4. The end of its log, log/x.1.log:"
    assert shown[1] == "  | 18" and shown[14] == "  | broken" and shown[15].startswith("  | # Ended (code 4)")
    assert shown[16:] == ["x: 1 of 5 jobs failed: 1; not run: 3-5"]


def test_jobs_at_a_time_have_gpus_of_their_own(tmp_path):
    script = "gpus=$CUDA_VISIBLE_DEVICES; echo $gpus >gpus.JOB; mkdir on.$gpus; sleep 0.2; rmdir on.$gpus"
    command = ("local", "--gpu", "2", "--num_threads", "999", "JOB=1:4", "x.JOB.log", "bash", "-ec", script)
    launch(*command, cwd=tmp_path, CUDA_VISIBLE_DEVICES="0,3,5,6,7")  # fails where two jobs have the same ones
    assert {path.read_text().strip() for path in tmp_path.glob("gpus.*")} == {"0,3", "5,6"}
    error = launch(*command, cwd=tmp_path, status=2, CUDA_VISIBLE_DEVICES="3").stderr
    assert "launch local: --gpu 2: this machine has 1, says" in error


def test_num_threads_is_what_libraries_take(tmp_path):
    result = launch("local", "--num_threads", "3", "x.log", "bash", "-c", "echo $OMP_NUM_THREADS", cwd=tmp_path)
    assert result.stdout == "3\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_jobs_that_are_stopped_may_save_what_they_have(tmp_path, number, status):
    process = start("local", "x.log", "bash", "-c", SAVES, cwd=tmp_path)
    wait_for((tmp_path / "begun").exists)
    os.kill(process.pid, number)
    error = process.communicate(timeout=20)[1]
    assert process.returncode == status and (tmp_path / "result").read_text() == "saved\n"
    assert f"x: {number.name}: jobs have 60 s to end" in error and f"x: stopped by {number.name}" in error


def test_jobs_that_do_not_stop_are_killed(tmp_path):
    script = "trap '' INT; sleep 61.7 & echo $! >child; echo begun; wait; sleep 60"
    process = start(
        "local", "--grace", "1", "JOB=1:3", "--max_jobs_run", "2", "x.JOB.log", "bash", "-c", script, cwd=tmp_path
    )
    wait_for((tmp_path / "child").exists)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 130
    wait_for(lambda: not is_alive(int((tmp_path / "child").read_text())))
    assert not (tmp_path / "x.3.log").exists()


def test_a_second_interrupt_kills_at_once(tmp_path):
    process = start(
        "local", "x.log", "bash", "-c", "trap '' INT; touch begun; while true; do sleep 1; done", cwd=tmp_path
    )
    wait_for((tmp_path / "begun").exists)
    os.kill(process.pid, signal.SIGINT)
    assert "a second Ctrl-C kills them" in process.stderr.readline()
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 130  # far less than the 60 s of grace


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "log/x.1.log").mkdir(parents=True)
    error = launch("local", "JOB=1:1", "log/x.JOB.log", "touch", "begun", cwd=tmp_path, status=2).stderr
    assert re.search(r"cannot write \S*log/x\.1\.log: Is a directory", error)
    assert os.listdir(tmp_path / "log") == ["x.1.log"] and not (tmp_path / "begun").exists()


def test_jobs_end_when_the_launcher_is_no_more(tmp_path):
    process = start("local", "x.log", "bash", "-c", SAVES, cwd=tmp_path)
    wait_for((tmp_path / "begun").exists)
    process.kill()
    wait_for((tmp_path / "result").exists)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has asked about its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "where the jobs run comes first, one of local, slurm, ssh; nothing was given"),
        ("sge x.log true", "one of local, slurm, ssh; got 'sge'"),
        ("local x.log", "a log and a command come last, got x.log"),
        ("local --mem 4GB x.log true", "--mem: got '4GB', expected a size such as 4G or 500M"),
        ("local --time 90 x.log true", "--time: got '90', expected H:MM:SS"),
        ("local --num_threads 0 x.log true", "--num_threads: got '0', expected a whole number, at least 1"),
        ("local --gpu --mem 4G x.log true", "--gpu needs a value: --gpu VALUE"),
        ("local JOB=1:4 x.log true", "the 4 jobs would all write the log x.log: put JOB into its name"),
        ("local JOB=4:1 x.JOB.log true", "got 'JOB=4:1', expected JOB=1:N"),
        ("local JB=1:4 x.JB.log true", "got 'JB=1:4', expected JOB=1:N"),
        ("slurm --restarts 2 JOB=1:4 x.JOB.log true", "--restarts is for a single job, and JOB=… was given too"),
        ("local --num_nodes 2 JOB=1:4 x.JOB.log true", "--num_nodes is for a single job, and JOB=… was given too"),
    ],
)
def test_mistakes_on_the_command_line(command, message):
    with pytest.raises(UsageError) as error:
        parse(command.split())
    assert message in str(error.value)


def test_mistakes_are_told_without_a_traceback(tmp_path):
    for command, message in {
        "local --max_job_run 2 x.log true": "unknown option '--max_job_run': did you mean '--max_jobs_run'?",
        "local --num_nodes 2 x.log true": "launch local: --num_nodes 2: local is one machine; slurm and ssh have more",
        "local /proc/none/x.log true": "launch local: cannot write logs to /proc/none",
        "ssh --config hosts x.log true": "launch ssh: --config: there is no file 'hosts'",
        "ssh x.log true": "ssh_hosts lists no machine yet: write a line 'HOST SLOTS' for each",
    }.items():
        error = launch(*command.split(), cwd=tmp_path, status=2).stderr
        assert error.count("\n") == 1 and message in error
    assert list(tmp_path.iterdir()) == []


def test_help_and_manual_list_all_options():
    listed = {*OPTIONS}
    help_lines = launch("--help", cwd=COMMON).stdout
    assert set(re.findall(r"^  --(\w+)", help_lines, re.MULTILINE)) == listed
    assert all(len(line) <= 120 for line in help_lines.splitlines())
    manual = (COMMON.parents[1] / "docs/clusters.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `--(\w+) [^`]+` \|", manual, re.MULTILINE)) == listed


def test_the_configurations_that_are_shipped_can_be_read(tmp_path):
    manual = (COMMON.parents[1] / "docs/clusters.md").read_text(encoding="utf-8")
    (tmp_path / "slurm.conf").write_text(re.search(r"```\n(command sbatch.*?)```", manual, re.DOTALL)[1])
    given = {"gpu": "2", "mem": "4G", "time": "1:00:00", "num_threads": "3", "num_nodes": "2"}
    shipped = SlurmConfiguration(COMMON / "conf/slurm.conf").words(given)
    assert set(shipped[2:]) == {
        *("--gres=gpu:2", "--mem=4G", "--time=1:00:00", "--cpus-per-task=3", "--nodes=2", "--ntasks-per-node=1")
    }
    assert {*shipped, "-p", "gpu", "--account=speech"} == set(SlurmConfiguration(tmp_path / "slurm.conf").words(given))


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("JOB", "7"),
        ("log/x.JOB.log split8/JOB/wav.scp", "log/x.7.log split8/7/wav.scp"),
        ("units_JOB.txt splitJOB", "units_7.txt split7"),
        ("JOBS MYJOB $SLURM_JOB_ID $JOB_ID MY_JOB job", "JOBS MYJOB $SLURM_JOB_ID $JOB_ID MY_JOB job"),
    ],
)
def test_job_is_replaced_where_it_is_a_word(text, replaced):
    assert replace_job(text, 7) == replaced


@given(st.sets(st.integers(1, 40)))
def test_ranges_name_every_number(numbers):
    named = set()
    for part in filter(None, ranges(numbers).split(", ")):
        first, _, last = part.partition("-")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == numbers and ranges({1, 2, 3, 7}) == "1-3, 7"


def test_of_a_progress_bar_its_last_state_is_shown(tmp_path):
    (tmp_path / "log").write_bytes(b"begin\n 10%|#\r 90%|####\r100%|#####\nno space left\xff\n\n")
    assert last_lines(tmp_path / "log") == ["begin", "100%|#####", "no space left\ufffd"]
    assert last_lines(tmp_path / "absent") == []


CONFIGURATION = """
command sbatch --account "our group"   # ours
option mem=* --mem=$0
option gpu=0 -p cpu
option gpu=* -p gpu --gres=gpu:$0
default gpu=0
option queue=day,night
option queue=night --partition=night
"""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "-p cpu"),
        ({"gpu": "2", "mem": "4G"}, "--mem=4G -p gpu --gres=gpu:2"),
        ({"queue": "night"}, "-p cpu --partition=night"),
    ],
)
def test_slurm_conf_says_what_options_become(tmp_path, options, words):
    (tmp_path / "slurm.conf").write_text(CONFIGURATION)
    configuration = SlurmConfiguration(tmp_path / "slurm.conf")
    assert configuration.words(options) == ["sbatch", "--account", "our group", *words.split()]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("option mem --mem=$0", {}, "slurm.conf:1: got 'option mem --mem=$0', expected 'command sbatch …'"),
        ("\npartition gpu", {}, "slurm.conf:2: got 'partition gpu'"),
        ("option gpu=1 -p gpu", {"gpu": "2"}, "--gpu 2: {path} has only 1 for it"),
        ("option mem=* --mem=$0", {"gpu": "2"}, "--gpu 2: {path} does not say what it means"),
        ("option mem=* --mem=$0", {"queue": "day"}, "--queue day: {path} does not say what it means"),
    ],
)
def test_mistakes_in_slurm_conf(tmp_path, text, options, message):
    path = tmp_path / "slurm.conf"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        SlurmConfiguration(path).words(options)
    assert message.replace("{path}", str(path)) in str(error.value)
