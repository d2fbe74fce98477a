"""The launcher of jobs on other machines: with an `ssh` that runs them here, and with a real server of our own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recipes.launcher import SAVES, counted, launch, most_at_once, start, wait_for

# Runs the command here, with hardly any environment, as sshd would; HOST tells where it would have been.
FAKE_SSH = """#!/usr/bin/env bash
while [ "$1" = -o ]; do shift 2; done
case $1 in
    breaks*) echo job-has-started; sleep 0.3; echo "Timeout, server $1 not responding." >&2; exit 255 ;;
    down*) echo "ssh: connect to host $1 port 22: Connection refused" >&2; exit 255 ;;
    lost*) cd / && exec env -i HOST="$1" PATH=/usr/bin:/bin bash -c "${2//task.json/none.json}" ;;
    *) echo "Welcome to $1!"; cd / && exec env -i HOST="$1" PATH=/usr/bin:/bin bash -c "$2" ;;
esac
"""


class Machines:
    """A folder with an `ssh` of its own and a list of machines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a folder's"
        (folder / "bin").mkdir()
        self.folder.mkdir()
        (folder / "bin/ssh").write_text(FAKE_SSH)
        (folder / "bin/ssh").chmod(0o755)
        self.environment = {"PATH": f"{folder}/bin{os.pathsep}{os.environ['PATH']}"}

    def list(self, *lines: str) -> None:
        (self.folder / "conf").mkdir(exist_ok=True)
        (self.folder / "conf/ssh_hosts").write_text("".join(f"{line}\n" for line in ("# host slots gpus", *lines)))

    def launch(self, *arguments: object, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **environment}
        return launch("ssh", *arguments, cwd=self.folder, status=status, **environment)

    def texts(self, pattern: str) -> list[str]:
        return [path.read_text().strip() for path in sorted(self.folder.glob(pattern))]


@pytest.fixture
def machines(tmp_path) -> Machines:
    return Machines(tmp_path)


def test_jobs_go_where_slots_are_free(machines):
    machines.list("a 2", "b", "# c 9")
    script = (
        f"echo $HOST >host.JOB; mkdir $HOST.JOB; ls -d $HOST.* | wc -l >>slots.$HOST; {counted(3)}; rmdir $HOST.JOB"
    )
    machines.launch("JOB=1:7", "log/x.JOB.log", "bash", "-c", script)
    assert set(machines.texts("host.*")) == {"a", "b"} and most_at_once(machines.folder) == 3
    assert max(machines.texts("slots.a")[0].split()) == "2" and max(machines.texts("slots.b")[0].split()) == "1"
    assert (machines.folder / "log/x.7.log").read_text().count("# Ended (code 0)") == 1


def test_a_job_finds_folder_and_environment_as_they_are_here(machines):
    machines.list("user@a")
    value = '/opt/it\'s "$HOME" here:/x'
    script = "import os; print(os.getcwd(), os.environ['PYTHONPATH'], os.environ['PATH'], os.environ.get('TOKEN'))"
    result = machines.launch("x.log", sys.executable, "-c", script, PYTHONPATH=value, TOKEN="secret")
    assert result.stdout == f"{machines.folder} {value} {machines.environment['PATH']} None\n"
    assert result.stderr == ""


def test_the_jobs_of_machines_that_cannot_be_reached_go_to_others(machines):
    machines.list("down1 4", "lost 4", "a 2")
    error = machines.launch("JOB=1:4", "x.JOB.log", "bash", "-c", "echo $HOST >host.JOB").stderr
    assert machines.texts("host.*") == ["a"] * 4
    reason = "ssh: connect to host down1 port 22: Connection refused"
    assert f"x: down1 cannot be used ({reason}); its jobs go to other machines\n" in error
    assert "x: lost cannot be used (there is no " in error and "all machines must see the same files" in error


def test_no_machine_can_be_reached(machines):
    machines.list("down1", "down2 3")
    error = machines.launch("JOB=1:4", "x.JOB.log", "true", status=1).stderr
    assert re.search(r"down[12] port 22: Connection refused\), and no other machine is left\n", error)
    assert re.search("x: job . could not be run: .*\nx: 1 of 4 jobs failed: .; not run: ", error)
    error = machines.launch("x.log", "true", status=1).stderr
    assert "no other machine is left" in error and "Traceback" not in error


def test_a_failure_is_told_with_the_machine(machines):
    machines.list("a")
    error = machines.launch("JOB=1:2", "x.JOB.log", "bash", "-c", "echo broken; exit 3", status=1).stderr
    assert "x: job 1 failed with status 3 on a. The end of its log, x.1.log:" in error and "  | broken" in error
    assert machines.launch("x.log", "bash", "-c", "exit 255", status=255).stderr.startswith(
        "x: failed with status 255 on a"
    )


def test_a_connection_that_breaks_is_told(machines):
    machines.list("breaks")
    error = machines.launch("x.log", "true", status=255).stderr
    assert error == "x: failed with status 255 on breaks: Timeout, server breaks not responding.\n"


def test_gpus_are_dealt_among_those_of_each_machine(machines):
    machines.list("a 8 4", "b 1 4", "c 8")
    script = "echo $HOST $CUDA_VISIBLE_DEVICES >gpus.JOB; sleep 0.6"
    machines.launch("--gpu", "2", "JOB=1:3", "x.JOB.log", "bash", "-c", script)
    assert sorted(machines.texts("gpus.*")) == ["a 0,1", "a 2,3", "b 0,1"]
    error = machines.launch("--gpu", "8", "x.log", "true", status=2).stderr
    assert "conf/ssh_hosts lists no machine with 8 GPUs (the third column)" in error


@pytest.mark.parametrize("line", ["a b", "a 1 2 3", "-oProxyCommand=x 1", "a -1"])
def test_mistakes_in_the_list_of_machines(machines, line):
    machines.list(line)
    assert f"conf/ssh_hosts:2: got '{line}', expected HOST" in machines.launch("x.log", "true", status=2).stderr


def test_one_job_on_several_machines(machines):
    machines.list("down", "me@a 4", "b", "c")
    script = (
        "echo $HOST $NODE_RANK/$NUM_NODES $MASTER_ADDR:$MASTER_PORT $PET_NODE_RANK >node.$NODE_RANK; echo $NODE_RANK"
    )
    result = machines.launch("--num_nodes", "2", "x.log", "bash", "-c", script)
    first, second = machines.texts("node.*")
    assert first.startswith("me@a 0/2 a:") and second == first.replace("me@a 0", "b 1").removesuffix("0") + "1"
    assert result.stdout == "0\n" and "\n1\n" in (machines.folder / "x.node1.log").read_text()
    assert "x: down cannot be used (ssh: connect" in result.stderr and "x: on me@a, b\n" in result.stderr
    error = machines.launch("--num_nodes", "4", "x.log", "true", status=2).stderr
    assert "--num_nodes 4: 3 of the 4 machines listed can be used" in error


def test_when_one_of_several_machines_fails_the_others_are_stopped(machines):
    machines.list("a", "b")
    script = f"if [ $NODE_RANK = 1 ]; then sleep 0.3; echo broken; exit 5; fi; {SAVES}"
    error = machines.launch("--num_nodes", "2", "x.log", "bash", "-c", script, status=5).stderr
    assert "  | broken\n" in error and "x: failed with status 5 on b. Its log: x.node1.log" in error
    assert (machines.folder / "result").read_text() == "saved\n"


def test_an_interrupt_ends_what_runs_elsewhere(machines):
    machines.list("a")
    process = start("ssh", "x.log", "bash", "-c", SAVES, cwd=machines.folder, **machines.environment)
    wait_for((machines.folder / "begun").exists)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130 and (machines.folder / "result").read_text() == "saved\n"


SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
SSHD_CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PidFile none
"""
SSH_CONFIG = """
Host nowhere
    HostName 127.0.0.1
    Port 1
Host *.here
    HostName 127.0.0.1
    Port {port}
    IdentityFile {keys}/user
    IdentitiesOnly yes
    UserKnownHostsFile /dev/null
    StrictHostKeyChecking no
    LogLevel ERROR
"""


@pytest.fixture
def server(machines, tmp_path) -> Iterator[Machines]:
    """A server on a port of its own, that an `ssh` of its own reaches under all names that end in .here."""
    real = shutil.which("ssh")
    if SSHD is None or real is None:
        pytest.skip("OpenSSH's server or client is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        values = {"port": probe.getsockname()[1], "keys": tmp_path}
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    (tmp_path / "sshd_config").write_text(SSHD_CONFIG.format(**values))
    (tmp_path / "ssh_config").write_text(SSH_CONFIG.format(**values))
    (tmp_path / "bin/ssh").write_text(f'#!/bin/sh\nexec {real} -F "{tmp_path}/ssh_config" "$@"\n')
    if os.getuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # sshd of root insists on this folder
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", tmp_path / "sshd_config"], stderr=subprocess.PIPE, text=True)
    test = [tmp_path / "bin/ssh", "-o", "BatchMode=yes", "x.here", "true"]
    try:
        said = process.stderr.readline()  # "Server listening on …"
        reached = subprocess.run(test, capture_output=True, text=True, check=False)
        if reached.returncode:
            pytest.skip(f"no SSH server can be run here: {said.strip()} {reached.stderr.strip()}")
        yield machines
    finally:
        process.kill()
        process.communicate()


def test_with_a_real_server(server):
    server.list("a.here 3", "nowhere 2")
    command = ("--max_jobs_run", "9", "JOB=1:3", "log/x.JOB.log", "bash", "-c", "echo job JOB; pwd >at.JOB")
    error = server.launch(*command).stderr
    assert (
        server.texts("at.*") == [str(server.folder)] * 3 and "\njob 2\n" in (server.folder / "log/x.2.log").read_text()
    )
    assert "x: nowhere cannot be used (ssh: connect to host 127.0.0.1 port 1: Connection refused" in error
    result = server.launch("y.log", "bash", "-c", "echo here; exit 3", status=3)
    assert result.stdout == "here\n" and "y: failed with status 3 on a.here" in result.stderr


def test_what_a_real_server_runs_ends_with_the_launcher(server):
    server.list("a.here")
    process = start("ssh", "x.log", "bash", "-c", SAVES, cwd=server.folder, **server.environment)
    wait_for((server.folder / "begun").exists)
    process.kill()
    wait_for((server.folder / "result").exists)
