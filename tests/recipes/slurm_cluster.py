"""A Slurm cluster of our own: a controller and two nodes on this machine, with a folder and ports of their own.

Debian's packages slurmctld, slurmd, slurm-client and munge are enough. It runs as whoever starts it, root or not, and
touches nothing of a cluster that this machine may belong to.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "srun")
NODES = ("n1", "n2")
# https://slurm.schedmd.com/slurm.conf.html; several nodes on one machine: https://slurm.schedmd.com/faq.html#multi_slurmd
CONFIGURATION = """
ClusterName=vqaudio
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
GresTypes=gpu
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=4000 Gres=gpu:2 State=UNKNOWN
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=4000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
GPUS = "NodeName=n[1-2] Name=gpu File={folder}/gpu[0-1]\n"
START_WITHIN = 60.0  # seconds


class CannotStart(Exception):
    """Slurm is not installed here, or does not run; the message says which."""


def find_program(name: str) -> str:
    """Return the path of a program, also of those that only root has on the path."""
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        raise CannotStart(f"Slurm is not installed: there is no program '{name}'")
    return found


@contextmanager
def running_cluster() -> Iterator[dict[str, str]]:
    """Run the cluster for the block; yield what the environment needs for Slurm's programs to find it."""
    programs = {name: find_program(name) for name in PROGRAMS}
    with ExitStack() as stack:
        # Not pytest's folder: munged wants one that all may enter, and a socket's path must be short.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True)))
        environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        _write_configuration(folder)
        for command in (
            [programs["munged"], "--foreground", "--force", f"--key-file={folder}/key",
             *(f"--{what}={folder}/munge.{what.partition('-')[0]}" for what in ("socket", "pid-file", "seed-file"))],
            [programs["slurmctld"], "-D", "-c"],
            *([programs["slurmd"], "-D", "-N", node] for node in NODES),
        ):  # fmt: skip
            stack.enter_context(_daemon(command, environment, folder))
        stack.callback(_empty, environment)
        _wait_until_idle(environment, folder)
        yield environment


def _write_configuration(folder: Path) -> None:
    folder.chmod(0o755)
    for name in ("state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir()
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o400)
    for name in ("gpu0", "gpu1"):
        (folder / name).touch()
    values = {"folder": folder, "user": getpass.getuser(), "ports": _free_ports(3)}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
    (folder / "gres.conf").write_text(GPUS.format(**values))


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _daemon(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    with open(folder / f"{Path(command[0]).name}.said", "ab") as said:
        process = subprocess.Popen(command, env={**os.environ, **environment}, cwd=folder, stdin=subprocess.DEVNULL,
                                   stdout=said, stderr=said, start_new_session=True)  # fmt: skip
    try:
        if "munged" in command[0]:
            _wait_for(lambda: (folder / "munge.socket").exists(), lambda: _complaint(folder, "munged", process))
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_idle(environment: dict[str, str], folder: Path) -> None:
    command = ["sinfo", "--noheader", "--Node", "--format=%N %T"]

    def idle() -> bool:
        result = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
        return result.stdout.split("\n") == [*(f"{node} idle" for node in NODES), ""]

    _wait_for(idle, lambda: _complaint(folder, "slurm*"))


def _wait_for(condition, complaint) -> None:
    deadline = time.monotonic() + START_WITHIN
    while not condition():
        if time.monotonic() > deadline:
            raise CannotStart(f"Slurm does not run here: {complaint()}")
        time.sleep(0.1)


def _complaint(folder: Path, name: str, process: subprocess.Popen[bytes] | None = None) -> str:
    texts = [path.read_text(errors="replace") for path in folder.glob(f"{name}.*") if path.suffix in (".said", ".log")]
    lines = [line for text in texts for line in text.splitlines() if "error" in line.lower() or "fatal" in line]
    return "; ".join(lines[-3:]) or f"{name} says nothing"


def _empty(environment: dict[str, str]) -> None:
    """End all jobs: what they run would outlive the daemons."""
    everything = {**os.environ, **environment}
    subprocess.run(["scancel", "--full", "--signal=KILL", "--user", getpass.getuser()], env=everything, check=False)
    subprocess.run(["scancel", "--user", getpass.getuser()], env=everything, check=False)
    with suppress(CannotStart):
        _wait_for(lambda: not subprocess.run(["squeue", "--noheader"], env=everything, capture_output=True,
                                             check=False).stdout.strip(), lambda: "")  # fmt: skip
