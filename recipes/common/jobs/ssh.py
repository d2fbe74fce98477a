"""Jobs on machines that SSH reaches, which see the same files under the same paths.

The local end of each connection keeps the standard input of a worker open. When that closes, because the launcher says
so or because launcher or network are no more, the worker ends the job: nothing runs on unseen.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from jobs.configuration import find_configuration
from jobs.local import deal_gpus
from jobs.nodes import port
from jobs.pool import Place, Pool
from jobs.report import Outcome, Report
from jobs.request import Request, UsageError, refuse_others
from jobs.stopping import Stopping
from jobs.task import Task

SSH = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15", "-o",
       "ServerAliveCountMax=4"]  # fmt: skip
"""Asks for no password, and notices within a minute that a machine has gone."""


def run(request: Request, task: Task, report: Report, stopping: Stopping) -> dict[int, Outcome]:
    """Run the jobs; return how those ended that were begun."""
    refuse_others(request)
    if not shutil.which("ssh"):
        raise UsageError("there is no program 'ssh' here")
    places = read_hosts(find_configuration(request, "ssh_hosts"), task, request.gpu or 0)
    if request.num_nodes > 1:
        return _run_together(request, task, places, report, stopping)
    most = request.max_jobs_run or sum(len(place.slots) for place in places)
    return Pool(task, places, report, stopping, most).run(request.numbers)


def _run_together(
    request: Request, task: Task, places: list[Place], report: Report, stopping: Stopping
) -> dict[int, Outcome]:
    """Run the parts of one job on the first machines of the list that answer."""
    number = request.num_nodes
    with ThreadPoolExecutor(max_workers=8) as threads:
        reasons = list(threads.map(_refusal, places))
    for place, reason in zip(places, reasons):
        if reason:
            report.say(f"{place.name} cannot be used ({reason})")
    usable = [Place(place.name, place.slots[:1], place.reach) for place, reason in zip(places, reasons) if not reason]
    if len(usable) < number:
        raise UsageError(f"--num_nodes {number}: {len(usable)} of the {len(places)} machines listed can be used")
    master = f"{usable[0].name.rpartition('@')[2]}:{port(os.getpid())}"
    report.say(f"on {', '.join(place.name for place in usable[:number])}")
    options = ["--num_nodes", str(number), "--master", master]
    pool = Pool(task, usable[:number], report, stopping, number, together=True,
                options=lambda node: ["--node", str(node), *options])  # fmt: skip
    return pool.run(range(number))


def read_hosts(path: Path, task: Task, gpu: int) -> list[Place]:
    """Read `host [slots [gpus]]` lines; jobs that take GPUs go where there are some, as many as find theirs."""
    places = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        match = re.fullmatch(r"([^-]\S*)(?: ([0-9]{1,4}))?(?: ([0-9]{1,4}))?", " ".join(words))
        if not match:
            raise UsageError(f"{path}:{number}: got '{line.strip()}', expected HOST [SLOTS [GPUS]], such as node1 8 2")
        host, slots, gpus = match[1], int(match[2] or 1), int(match[3] or 0)
        room: list[str | None] = [None] * slots
        if gpu:
            room = list(deal_gpus([str(i) for i in range(gpus)], gpu))[:slots]
        if room:
            places.append(Place(host, room, partial(_reach, host, task), shy=True))
    if not places:
        wanted = f"with {gpu} GPUs (the third column)" if gpu else "yet: write a line 'HOST SLOTS' for each"
        raise UsageError(f"{path} lists no machine {wanted}")
    return places


def _reach(host: str, task: Task, command: list[str]) -> list[str]:
    """Return the command that runs `command` on the host. Whatever shell is there hands it to sh."""
    directory, python = shlex.quote(task.directory), shlex.quote(sys.executable)
    script = (
        f"cd {directory} || exit 255; "
        f"for file in {python} {shlex.quote(str(task.file))}; do "
        '[ -r "$file" ] || { echo "there is no $file; all machines must see the same files" >&2; exit 255; }; done; '
        f"exec {shlex.join(command)}"
    )
    return [*SSH, host, f"exec sh -c {shlex.quote(script)}"]


def _refusal(place: Place) -> str:
    """Return why a machine cannot be used; nothing where it can."""
    result = subprocess.run(place.reach(["true"]), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            errors="replace", check=False, start_new_session=True)  # fmt: skip
    words = (result.stderr or result.stdout).strip().splitlines()
    return (words[-1] if words else f"status {result.returncode}") if result.returncode else ""
