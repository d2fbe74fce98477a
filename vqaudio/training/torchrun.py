"""Ranks that torchrun starts: how they find each other, and how they end when one of them fails.

    torchrun ─┬─▶ rank 0 ─┐  RANK, LOCAL_RANK, WORLD_SIZE,   ┌─▶ process groups ─▶ training
              └─▶ rank 1 ─┴─ MASTER_ADDR, MASTER_PORT ─▶ store
                                                             └─▶ "failed": who ends first says so, and why; once

https://docs.pytorch.org/docs/stable/elastic/run.html documents the variables.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from vqaudio.errors import TrainingError, VQAudioError

if TYPE_CHECKING:
    import torch
    import torch.distributed as dist

    from vqaudio.training.distributed import Ranks

logger = logging.getLogger(__name__)
VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
LOOK_EVERY, GRACE, HEARING = 1.0, 10.0, 3.0
"""Seconds: between looks for a failure elsewhere; then, to end in good order; and for which a rank leaves it to
another to tell an error."""
USER_ERROR, INTERRUPTED = 2, 130
"""Exit statuses, as of the command (`vqaudio.cli.main`)."""
SILENCE = 300
"""Looks at the next rank, without a sign of life, after which it is given up. Not seconds: where all processes are
suspended together, none looks."""
FAILED, FOR_GOOD, ALIVE = "failed", "for good", "alive"
"""Keys of the store: that a rank has failed; that trying once more would be in vain; signs of life, counted."""
LOST = ("Connection closed", "Connection reset", "Broken pipe", "Socket", "gloo", "NCCL", "unhandled system error")


@contextmanager
def joined() -> Iterator[Member]:
    """Join the ranks that torchrun started, for the block; without its variables this does nothing.

    An error of any rank ends all of them within seconds. It is raised on one rank alone, the others exit silently.
    """
    size = int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in VARIABLES) else 1
    if size == 1:
        yield Member()
        return
    if _failed_for_good():
        raise SystemExit(USER_ERROR)
    member = Member(int(os.environ["RANK"]), size, _meet())
    _speak_as(member.rank)
    try:
        yield member
        member.leave()
    except BaseException as error:
        member.end_by(error)
        raise


class Member:
    """This process among those that torchrun started: `connect` makes process groups of them."""

    def __init__(self, rank: int = 0, world_size: int = 1, store: dist.Store | None = None) -> None:
        self.rank, self.world_size, self._store = rank, world_size, store
        self._watch = _Watch(rank, world_size) if store else None
        self._ranks: Ranks | None = None
        self._for_good = False

    def connect(self, device: torch.device) -> Ranks:
        """Make the process groups for computing on `device`, and return this rank's place in them."""
        import torch
        import torch.distributed as dist

        from vqaudio.training.distributed import ALONE, COMPUTE_PATIENCE, CONTROL_PATIENCE, Ranks
        from vqaudio.training.rendezvous import keep_to_loopback

        if self._store is None:
            return ALONE
        machines = _machines(self.world_size)
        if machines == 1:
            keep_to_loopback()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=self._store, rank=self.rank, world_size=self.world_size, timeout=COMPUTE_PATIENCE,
        )  # fmt: skip
        control = dist.new_group(backend="gloo", timeout=CONTROL_PATIENCE)
        self._ranks = Ranks(self.rank, self.world_size, machines, control)
        return self._ranks

    def leave(self) -> None:
        """End together with the others, none of whom has failed."""
        import torch.distributed as dist

        if self._ranks is not None:
            self._ranks.wait()
        self._watch.stop()  # until here the others want signs of life
        if self._ranks is not None:
            dist.destroy_process_group()

    def end_by(self, error: BaseException) -> None:
        """Make the others end, and raise what takes the place of this rank's error: SystemExit where it need not speak.

        Whoever is first to say so speaks. A lost connection is but the trace of another's end, and a mistake that all
        have in common is for rank 0 to tell: both wait for somebody else's word before.
        """
        lost = isinstance(error, RuntimeError) and any(sign in str(error) for sign in LOST)
        if (lost or self.rank > 0) and not isinstance(error, (SystemExit, KeyboardInterrupt)):
            self._watch.wait_for_failure(HEARING)
        said = self._in_words(error, lost)
        told = self._tell_failure(said, for_good=not lost and isinstance(error, (VQAudioError, OSError)))
        self._watch.stop()
        if isinstance(error, SystemExit):
            return
        if isinstance(error, KeyboardInterrupt) and self.rank > 0:
            raise SystemExit(INTERRUPTED) from error
        if told:
            raise SystemExit(USER_ERROR if self._for_good else 1) from error
        if said is not error:
            raise said from error

    def _in_words(self, error: BaseException, lost: bool) -> BaseException:
        """Return the error as this rank tells it."""
        if lost:
            reason = str(error).strip().splitlines()[0]
            return TrainingError(
                f"another rank has ended without a word (killed, for its memory?): rank {self.rank} has lost the "
                f"connection ({reason}). The same command goes on from the last checkpoint"
            )
        if self.rank > 0 and isinstance(error, (VQAudioError, OSError)):
            return TrainingError(f"rank {self.rank}: {error}")
        return error

    def _tell_failure(self, error: BaseException, for_good: bool) -> bool:
        """Mark this run as failed; return whether another rank had done so before."""
        try:
            if for_good:
                self._store.set(FOR_GOOD, "")
            before = self._store.add(FAILED, 1) > 1
            self._for_good = self._store.check([FOR_GOOD])
            _leave_note("another rank has failed" if before else str(error), self._for_good)
        except RuntimeError:  # the store was rank 0's and has gone with it
            return self._watch.failed or self.rank != 1  # without a word? Then the next one speaks
        if self.rank == 0 and not _is_agents():
            time.sleep(2 * LOOK_EVERY)  # the store ends with this process: let the others read it first
        return before


class _Watch(threading.Thread):
    """Looks out for the failure of another rank, and ends this process where it does not end by itself.

    A rank that waits for another within NCCL would notice its end only when its patience is over. And a rank that is
    stopped, or whose machine is lost, does not say so: each gives signs of life, which the rank before it looks for.
    """

    def __init__(self, rank: int, world_size: int) -> None:
        super().__init__(name="watch", daemon=True)
        self.failed = False
        self._rank, self._next = rank, (rank + 1) % world_size
        self._signs, self._silent = 0, 0
        self._stopped, self._seen = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        """Look once a second."""
        try:
            store = _client()
            while not self.failed and not self._stopped.wait(LOOK_EVERY):
                self.failed = store.check([FAILED]) or self._gives_up_next(store)
        except RuntimeError:
            pass  # whoever kept the store has gone
        self._seen.set()
        if not self._stopped.wait(GRACE):
            os._exit(1)

    def _gives_up_next(self, store: dist.Store) -> bool:
        """Give a sign of life; return whether the next rank has given none for too long, which is then said to all."""
        store.add(f"{ALIVE} {self._rank}", 1)
        signs = store.add(f"{ALIVE} {self._next}", 0)
        self._silent = self._silent + 1 if signs == self._signs else 0
        self._signs = signs
        if self._silent < SILENCE:
            return False
        reason = (
            f"rank {self._next} has given no sign of life for {SILENCE * LOOK_EVERY:.0f} s (stopped, or its machine "
            "lost?). The same command goes on from the last checkpoint"
        )
        logger.error("%s", reason)
        store.add(FAILED, 1)
        _leave_note(reason, for_good=False)
        return True

    def wait_for_failure(self, seconds: float) -> None:
        """Wait until a failure was seen, at most `seconds`."""
        self._seen.wait(seconds)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self.join(LOOK_EVERY)


def _meet() -> dist.Store:
    """Return the store through which the ranks of this attempt find each other."""
    import torch.distributed as dist

    from vqaudio.training.rendezvous import listening_store

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if rank == 0 and not _is_agents() and _machines(size) == 1:
        return _of_attempt(listening_store(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])))
    store, _, _ = next(dist.rendezvous("env://"))
    return _of_attempt(store)


def _machines(world_size: int) -> int:
    """Return the number of machines, each with as many ranks as this one."""
    return max(1, world_size // int(os.environ.get("LOCAL_WORLD_SIZE", world_size)))


def _client() -> dist.Store:
    """Return a connection of its own to the same store: one that waits holds up all others."""
    import torch.distributed as dist

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return _of_attempt(dist.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=30)))


def _of_attempt(store: dist.Store) -> dist.Store:
    """Keep what the ranks write apart from what was written before torchrun restarted them.

    Its store lives on, and ranks that met the keys of those before them would wait for processes that are no more.
    """
    import torch.distributed as dist

    return dist.PrefixStore(f"attempt{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)


def _is_agents() -> bool:
    """Whether torchrun's own process keeps the store, and not rank 0."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _speak_as(rank: int) -> None:
    """Let the log of all but rank 0 be warnings and errors alone, with the rank's name."""
    if rank == 0:
        return
    for handler in logging.getLogger("vqaudio").handlers:
        handler.setLevel(logging.WARNING)
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s rank {rank}: %(message)s", "%H:%M:%S"))


def _leave_note(reason: str, for_good: bool) -> None:
    """Write the reason where torchrun looks for it, which would otherwise report that there is none.

    In the form of torch.distributed.elastic.multiprocessing.errors, with the message in place of a traceback.
    """
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        extra = {"py_callstack": reason, "timestamp": str(int(time.time())), FOR_GOOD: for_good}
        with suppress(OSError), open(path, "w", encoding="utf-8") as file:
            json.dump({"message": {"message": reason, "extraInfo": extra}}, file)


def _failed_for_good() -> bool:
    """Whether torchrun has restarted ranks which a user's mistake had ended: it cannot know, and would tell it again.

    Looks among the notes of its last attempt on this machine, `attempt_<number>/<rank>/error.json`.
    """
    path = Path(os.environ.get("TORCHELASTIC_ERROR_FILE", ""))
    attempt = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))
    for note in path.parent.parent.parent.glob(f"attempt_{attempt - 1}/*/error.json"):
        with suppress(OSError, ValueError, LookupError, TypeError):
            if json.loads(note.read_text(encoding="utf-8"))["message"]["extraInfo"][FOR_GOOD]:
                shutil.copy(note, path)
                return True
    return False
