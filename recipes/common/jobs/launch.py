"""The launcher: reads what is asked, has a backend do it, and says what came of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jobs import local, slurm, ssh
from jobs.report import Report
from jobs.request import UsageError, parse
from jobs.stopping import Stopping
from jobs.task import Task

HELP = """usage: launch {local|slurm|ssh} [options] [JOB=1:N] LOG COMMAND [ARGUMENTS...]

Runs a command, waits for it and passes on its exit status. Its output goes to LOG, and to the terminal too. With
JOB=1:N it runs N jobs, each with its number in place of the word JOB in LOG and COMMAND. When one of them fails, no
more are begun, the running ones end, the failed one's last lines are shown, and the exit status is 1. The command is
not given to a shell; where one is wanted: bash -c '... | ...'.

    launch local --max_jobs_run 4 JOB=1:8 exp/log/extract.JOB.log \\
        vqaudio extract --model exp/model --data_dir dump/train --out exp/units --shard JOB/8

where
  local   on this machine
  slurm   as jobs of Slurm; --config names what they ask of it (conf/slurm.conf)
  ssh     on the machines that --config lists (conf/ssh_hosts)

options, of each job
  --gpu N            GPUs
  --num_threads T    processor cores; sets OMP_NUM_THREADS
  --mem 4G           memory (slurm alone)
  --time H:MM:SS     longest duration (slurm alone)
  --num_nodes M      run a single job on M machines at once, each with NODE_RANK, NUM_NODES, MASTER_ADDR, MASTER_PORT
                     in its environment (slurm, ssh)
  --restarts R       send a single job that goes on where it stood again, at most R times, when its time is over or
                     Slurm gives its machine to another (slurm alone)

options, of all jobs
  --max_jobs_run K   at most K at a time (local: cores / num_threads, or as many as find GPUs; ssh: all slots)
  --config FILE      the backend's configuration: conf/slurm.conf or conf/ssh_hosts of the folder where you are, or else
                     of recipes/common
  --grace 60         seconds between Ctrl-C, on which a job may save what it has, and its being killed

docs/clusters.md says more.
"""
BACKENDS = {"local": local.run, "slurm": slurm.run, "ssh": ssh.run}


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; return the exit status."""
    if not arguments or "--help" in arguments[:2] or "-h" in arguments[:1]:
        print(HELP, end="")
        return 0 if arguments else 2
    try:
        request = parse(arguments)
        with Stopping() as stopping:
            task = Task.create(request)
            report = Report(request, task)
            try:
                outcomes = BACKENDS[request.backend](request, task, report, stopping)
            except UsageError:
                task.remove()
                raise
            status = report.conclude(outcomes, stopping)
    except UsageError as error:
        print(f"launch {arguments[0]}: {error}", file=sys.stderr)
        return 2
    if status == 0 or request.backend != "slurm":  # else Slurm's own words, and the script that it was given, may help
        task.remove()
    return status
