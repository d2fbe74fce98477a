"""Jobs of Slurm: one array of them, or one job on several machines.

A job's worker says by a file how it ended; of jobs that left none, Slurm is asked what became of them.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

from jobs.configuration import SlurmConfiguration, find_configuration
from jobs.report import Outcome, Report, last_lines
from jobs.request import Request, UsageError, refuse_others, resources
from jobs.slurm_queue import Queue, State, ask
from jobs.stopping import Stopping
from jobs.task import Task, python, refresh

LOOK_EVERY, LOOK_LEAST = 0.2, 2.0
"""Seconds between looks at files, at the beginning and later."""
ASK_AT_LEAST_EVERY = 10.0
"""Seconds between questions to Slurm; less at the beginning: a twentieth of the time gone by."""
ASK_SOON = 1.0
"""Seconds between questions to Slurm while it may tell why a job has failed."""
FILES_LAG = 10.0
"""Seconds that a file may take until another machine sees it."""
STATE_LAG = 5.0
"""Seconds that Slurm may take to say why it ended a job."""
PATIENCE = 15.0
"""Seconds that killed jobs may take to go; then we go without them."""
EARLY_WARNING = 120
"""Seconds before its time limit at which a job is asked to end; at most a sixth of the limit."""
INTERRUPTED = 128 + signal.SIGUSR1
"""What a worker ends with whose job was asked to end for that reason, and did so before it was all done."""
SLURMS_OWN = ("TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL")
"""States of jobs that Slurm has ended for reasons of its own; nobody has cancelled them."""


def run(request: Request, task: Task, report: Report, stopping: Stopping) -> dict[int, Outcome]:
    """Run the jobs; return how those ended that were begun."""
    configuration = SlurmConfiguration(find_configuration(request, "slurm.conf"))
    refuse_others(request, configuration.names, f", neither of the launcher nor of {configuration.path}")
    for sent in range(request.restarts + 1):
        job_id = submit(request, task, configuration)
        report.say(f"is Slurm job {job_id}" + (f", an array of {len(request.jobs)}" if request.jobs else ""))
        watch = Watch(Queue(job_id), request, task, report, stopping)
        outcomes = watch.to_the_end()
        if stopping.count or not watch.cut_short or sent == request.restarts:
            break
        report.say(f"{outcomes[watch.cut_short[0]]}. It goes on as another job ({sent + 1} of {request.restarts})")
        task.forget_status(0)
    return outcomes


def submit(request: Request, task: Task, configuration: SlurmConfiguration) -> str:
    """Hand the jobs to Slurm; return its number for them. Raises UsageError with Slurm's words where it refuses."""
    script = Path(task.folder) / "script.sh"
    script.write_text(f"#!/bin/sh\nexec {_script(request, task)}\n", encoding="utf-8", errors="surrogateescape")
    words = [
        *configuration.words(resources(request)),
        *("--parsable", f"--job-name={request.name}", f"--output={_output(request, task)}"),
        f"--chdir={task.directory}",
        *_array(request),
        *early_warning(request),
        *(["--requeue", "--open-mode=append"] if request.restarts else []),
        str(script),
    ]
    if not shutil.which(words[0]):
        raise UsageError(f"there is no program '{words[0]}' here: Slurm jobs are sent from a cluster's login node. "
                         f"(The command is that of {configuration.path})")  # fmt: skip
    result = ask(words)
    match = re.search(r"^([0-9]+)(;.*)?$", result.stdout.strip(), re.MULTILINE)
    if result.returncode or not match:
        raise UsageError(f"Slurm did not take the jobs: {result.stderr.strip() or result.stdout.strip()}\n"
                         f"They were sent by: {shlex.join(words)}\n"
                         f"What jobs ask for is written in {configuration.path}")  # fmt: skip
    return match[1]


def _script(request: Request, task: Task) -> str:
    if request.num_nodes > 1:
        return shlex.join([*python(), "run-nodes", str(task.file)])
    return shlex.join([*python(), "run-job", str(task.file)]) + ' "${SLURM_ARRAY_TASK_ID:-0}"'


def _output(request: Request, task: Task) -> str:
    """Return where Slurm writes what it says itself, in its pattern: '%a' is a job's number, '%%' a '%'.

    A path with a backslash would be no pattern, and there is no other way to write one.
    """
    if "\\" in task.folder:
        return "/dev/null"
    return f"{task.folder.replace('%', '%%')}/slurm.{'%a' if request.jobs else '0'}.out"


def _array(request: Request) -> list[str]:
    if request.jobs is None:
        return []
    return [
        f"--array={request.jobs[0]}-{request.jobs[-1]}" + (f"%{request.max_jobs_run}" if request.max_jobs_run else "")
    ]


def early_warning(request: Request) -> list[str]:
    """Have Slurm send SIGUSR1 to our worker before the time limit comes, so that a training saves itself.

    Slurm looks at limits every half a minute, and may send it up to a minute earlier (`man sbatch`).
    """
    if request.time is None:
        return []
    days, _, clock = request.time.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    limit = ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    return [f"--signal=B:USR1@{min(EARLY_WARNING, limit // 6)}"]


class Watch:
    """Waits for the jobs of one Slurm number."""

    def __init__(self, queue: Queue, request: Request, task: Task, report: Report, stopping: Stopping) -> None:
        self.queue, self.request, self.task, self.report, self.stopping = queue, request, task, report, stopping
        self.open = list(request.numbers)
        """Jobs of which we do not know yet what came of them."""
        self.outcomes: dict[int, Outcome] = {}
        self.cut_short: list[int] = []
        """Jobs that might go on: their time was over, or Slurm took their machine away."""
        self._failed: dict[int, float] = {}
        """When we learnt that a job has failed; Slurm may still put it back into its queue."""
        self._gone: dict[int, float] = {}
        """When we learnt that a job is gone that has not said how it ended."""
        self._tried = self._heard = float("-inf")
        """When Slurm was asked last, and when it was asked what it has answered last."""
        self._asked, self._deadline = 0, float("inf")

    def to_the_end(self) -> dict[int, Outcome]:
        """Wait until all have ended; return how those ended that were begun."""
        began = time.monotonic()
        while self.open:
            pause = min(ASK_SOON if self._failed else ASK_AT_LEAST_EVERY, 0.4 + (time.monotonic() - began) / 20)
            if time.monotonic() >= self._tried + pause:
                self._look()
            ended = self.task.jobs_ended()
            for job in list(self.open):
                self._settle(job, self.task.status_of(job) if job in ended else None)
            self._heed_signals()
            self.report.follow()
            self._show()
            time.sleep(min(LOOK_LEAST, LOOK_EVERY + (time.monotonic() - began) / 60))
        return self.outcomes

    def _look(self) -> None:
        before, self._tried = self.queue.trouble, time.monotonic()
        if self.queue.look():
            self._heard = self._tried
        elif not before:
            self.report.say(f"Slurm does not answer; waiting ({self.queue.trouble})")
        refresh(Path(self.task.folder))

    def _settle(self, job: int, left: tuple[int, int] | None) -> None:
        """Find out whether a job has ended, and how; `left` is what it has said of that, if anything."""
        state, gone = self.queue[job], self.queue.is_gone(job)
        if left is not None:
            status, node = left
            if status == 0:
                self._end(job, Outcome(0))
            else:
                self._settle_failed(job, status, node)
        elif state.held:
            self.queue.cancel(job=job)
            self._end(job, Outcome(None, "", str(state), self._words(job)))
        elif gone and self._was_withdrawn(state):
            self.open.remove(job)
        elif gone and (state.never_began or self._gone_for(job) > FILES_LAG):
            self._note_cut(job, state.state in SLURMS_OWN)
            self._end(job, Outcome(None, state.nodes, str(state), self._words(job)))

    def _settle_failed(self, job: int, status: int, node: int) -> None:
        """Find out what Slurm makes of a job that says that it has failed.

        Only what Slurm is asked from then on counts: what it has said before may be older than the whole run, which
        waited then.
        """
        state = self.queue[job]
        told = self._heard - self._failed.setdefault(job, time.monotonic())  # by Slurm, so many seconds later
        if told > 0 and state.waiting:  # Slurm has put it back into the queue: it will run again
            self.task.forget_status(job)
            del self._failed[job]
        elif self.queue.is_gone(job) or told > STATE_LAG:
            nearly = "its time was nearly over; --time gives it more" if status == INTERRUPTED else ""
            reason = str(state) if state.explains else nearly
            self._note_cut(job or node, state.state in SLURMS_OWN or status == INTERRUPTED)
            self._end(job, Outcome(status, state.nodes, reason, self._words(job)), node)

    def _gone_for(self, job: int) -> float:
        return time.monotonic() - self._gone.setdefault(job, time.monotonic())

    def _note_cut(self, job: int, so: bool) -> None:
        if so:
            self.cut_short.append(job)

    def _was_withdrawn(self, state: State) -> bool:
        """Whether a job is gone because we took it back: after Ctrl-C, or, not begun yet, after another's failure."""
        failed = any(outcome.status != 0 for outcome in self.outcomes.values())
        return self.stopping.count > 0 or (failed and state.never_began)

    def _words(self, job: int) -> tuple[str, ...]:
        """Return what Slurm itself, and not the job, has written."""
        return tuple(last_lines(Path(self.task.folder) / f"slurm.{job}.out", 5))

    def _end(self, job: int, outcome: Outcome, node: int = 0) -> None:
        self.open.remove(job)
        self._failed.pop(job, None)
        self.outcomes[job or node] = outcome
        if outcome.status != 0 and self.request.jobs:
            self.queue.cancel("--state=PENDING")

    def _heed_signals(self) -> None:
        late = time.monotonic() > self._deadline
        if self.stopping.count > self._asked or late:
            gently = self._asked == 0 and self.stopping.count == 1
            if self._asked > 1 and late:
                self.report.say(f"jobs are still ending: squeue --jobs={self.queue.job_id}")
                self.open.clear()
                return
            self._asked = max(self.stopping.count, self._asked + 1)
            self.report.stopping(self.stopping, gently)
            self._stop(gently)
            self._deadline = time.monotonic() + (self.task.grace if gently else PATIENCE)

    def _stop(self, gently: bool) -> None:
        """Ask the jobs to end, or kill them. SIGINT goes to the workers alone, who pass it on once."""
        self.queue.cancel("--state=PENDING")
        if gently:
            self.queue.cancel("--batch", "--signal=INT")
        else:
            self.queue.cancel("--full", "--signal=KILL")
            self.queue.cancel()

    def _show(self) -> None:
        states = [self.queue[job] for job in self.open]
        waiting = [state for state in states if state.waiting or not state.state]
        reasons = Counter(state.reason for state in waiting if state.reason not in ("", "None"))
        why = f" ({reasons.most_common(1)[0][0]})" if reasons else ""
        if self.request.jobs:
            self.report.counts(len(waiting), len(states) - len(waiting), len(self.outcomes), why)
        elif states and states[0].alive:
            self.report.progress(f"waits{why}" if waiting else f"runs on {states[0].nodes}")
