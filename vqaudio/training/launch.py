"""torchrun as a command that ends with one line and a status: `python -m vqaudio.training.launch …`.

It takes torchrun's options, and then what to run on every rank:

    python -m vqaudio.training.launch --standalone --nproc_per_node 4 --max_restarts 3 -m vqaudio train …

torchrun itself (`torchrun --standalone … -m vqaudio train …`) trains just as well. But where a rank fails, or Ctrl-C is
pressed, it ends with its own traceback and the status 1. This ends as `vqaudio train` does: 2 after a mistake of the
user's, 130 after Ctrl-C, 143 after SIGTERM, 138 after SIGUSR1, what the ranks have said being all there is to say.

And torchrun's store listens on all interfaces of the machine. On a single machine, this one's is at 127.0.0.1 alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure


def main(argv: Sequence[str] | None = None) -> int:
    """Run torchrun with the arguments `argv` (by default the process's own) and return the exit status."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    from vqaudio.training.rendezvous import ADDRESS, LoopbackRendezvous

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torchrun's own choice, of which it would make many words
    # What schedulers send before a job's time is over (signals.py) is passed on to the ranks too.
    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1")
    options = parse_args(list(sys.argv[1:] if argv is None else argv))
    if on_one_machine(options):
        options.standalone = False
        options.rdzv_backend, options.rdzv_endpoint = LoopbackRendezvous.register(), ADDRESS
    try:
        run(options)
    except SignalException as stopped:
        return 128 + stopped.sigval
    except ChildFailedError as failed:
        return failure_status(failed.failures)
    return 0


def on_one_machine(options: argparse.Namespace) -> bool:
    """Whether torchrun's options speak of one machine, and of no meeting place of the user's."""
    own_place = options.rdzv_endpoint or options.rdzv_backend != "static"  # which is the default
    return options.standalone or (options.nnodes.rpartition(":")[2] == "1" and not own_place)


def failure_status(failures: Mapping[int, ProcessFailure]) -> int:
    """Return the status that stands for those of failed ranks; say which ones were killed, for they could not."""
    terminated = 128 + signal.SIGTERM  # by torchrun, where another rank has failed
    statuses = {rank: 128 - f.exitcode if f.exitcode < 0 else f.exitcode for rank, f in failures.items()}
    for rank, failure in failures.items():
        if failure.exitcode < 0 and statuses[rank] != terminated:
            print(f"launch: rank {rank} was killed by {failure.signal_name()}", file=sys.stderr)
    return max((status for status in statuses.values() if status != terminated), default=terminated)


if __name__ == "__main__":
    sys.exit(main())
