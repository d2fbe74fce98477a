"""What Slurm says of the jobs of one call, asked of squeue; accounting (sacct) is not needed.

https://slurm.schedmd.com/squeue.html describes formats and states.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace

WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
ALIVE = (*WAITING, "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")
MEANINGS = {
    "TIMEOUT": "its time was over; --time gives it more",
    "OUT_OF_MEMORY": "it took more memory than it had asked for; --mem gives it more",
    "NODE_FAIL": "its machine failed",
    "BOOT_FAIL": "its machine did not start",
    "CANCELLED": "somebody cancelled it",
    "PREEMPTED": "a job of higher priority took its place",
    "DEADLINE": "its deadline was over",
}


@dataclass(frozen=True)
class State:
    """The state of a job in Slurm's word; "" where nothing is known."""

    state: str = ""
    reason: str = ""
    nodes: str = ""

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self.state in ALIVE

    @property
    def waiting(self) -> bool:
        """Whether it has not begun yet."""
        return self.state in WAITING

    @property
    def never_began(self) -> bool:
        """Whether it has ended before it had a machine."""
        return bool(self.state) and not self.alive and not self.nodes

    @property
    def held(self) -> bool:
        """Whether it will wait until somebody releases it: Slurm does that to a job that it failed to start."""
        return self.waiting and ("launch failed" in self.reason or self.reason == "JobHoldMaxRequeue")

    @property
    def explains(self) -> bool:
        """Whether it says more of a failure than an exit status does."""
        return self.state in MEANINGS

    def __str__(self) -> str:
        """Return what is to be told of it beside its exit status."""
        if not self.state:
            return "Slurm knows nothing of it any more"
        if self.held:
            return f"Slurm could not start it ({self.reason})"
        if self.state in MEANINGS:
            return f"Slurm says {self.state}: {MEANINGS[self.state]}"
        reason = "" if self.reason in ("", "None", "NonZeroExitCode") else f" ({self.reason})"
        return f"Slurm says {self.state}{reason}"


def ask(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's programs, out of reach of Ctrl-C."""
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=120, start_new_session=True, check=False)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(words, 1, "", str(error))


class Queue:
    """The jobs of one number of Slurm's: an array, or a single job."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.trouble = ""
        """Why the last look failed."""
        self._states: dict[int | None, State] = {}
        """Of each job that was ever listed; None stands for all that are listed as one."""
        self._listed: set[int | None] = set()
        """What Slurm has not forgotten, as of the last look."""

    def look(self) -> bool:
        """Ask for the states of all jobs; return whether Slurm has answered."""
        result = ask(
            ["squeue", "--noheader", "--array", "--states=all", f"--jobs={self.job_id}", "--format=%K|%T|%N|%r"]
        )
        forgotten = "Invalid job id" in result.stderr  # a few minutes after its end
        self.trouble = "" if result.returncode == 0 or forgotten else result.stderr.strip() or "squeue failed"
        if self.trouble:
            return False
        rows = [line.strip().split("|", 3) for line in result.stdout.splitlines() if line.count("|") >= 3]
        # A job that is no array has no index, and the part of an array that was cancelled before it began neither.
        now = {int(job) if job.isdigit() else None: State(state, reason, nodes) for job, state, nodes, reason in rows}
        self._listed = set(now)
        self._states |= now
        return True

    def __getitem__(self, job: int) -> State:
        """Return the last known state of a job; a blank one where it was alive when it was last heard of."""
        known = self._states.get(job)
        if known and (job in self._listed or not known.alive):
            return known
        rest = self._states.get(None, State())
        return rest if None in self._listed or not rest.alive else replace(rest, state="")

    def is_gone(self, job: int) -> bool:
        """Whether Slurm has done with a job."""
        return self._listed.isdisjoint((job, None)) or not self[job].alive

    def cancel(self, *options: str, job: int = 0) -> None:
        """Cancel the jobs that `options` of scancel select, or one job of the array."""
        ask(["scancel", *options, f"{self.job_id}_{job}" if job else self.job_id])
