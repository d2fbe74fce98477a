"""`vqaudio train` with an ear to the wall: it tells where it is, and can be made to stay there.

`python -m tests.reliability.preemption_child train …` with the variables TOLD (a path) and STAY (a place, or nothing).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reliability.small_training import Told, say_into, tell_steps
from vqaudio.cli.main import main
from vqaudio.training import loop, vqvae
from vqaudio.training.signals import StopRequest

PLACES = ("start", "steps", "codebook", "scores", "audio", "end", "publishing")
"""Before anything; between two steps; while the codebook is initialised; in an evaluation, at its likelihoods, at its
audio; in that at the end; and after that."""
SLOW = "slow"
"""Steps of SLOW_STEP seconds instead of a place."""
SLOW_STEP = 3.0


def run_command(words: list[str], told: Path, stay: str, said: Path | None = None) -> None:
    """Be the command, and end with its status. At the place `stay` real work is done over and over, without end."""
    if said is not None:
        say_into(said)
    tell_steps(told)
    _tell_places(Told(told.with_name(f"{told.name}.place")))
    _tell_signal(told.with_name(f"{told.name}.signal"))
    _stay(stay)
    status = main(words)
    sys.stderr.flush()
    told.with_name(f"{told.name}.end").write_text(repr(time.time()))
    os._exit(status)  # at once: the tests' process, of which this one is a copy, would have more to do at its end


def _tell_places(told: Told) -> None:
    """Tell the last place entered, as its number in PLACES."""
    told.tell(0)

    def telling(owner: Any, name: str, place: Callable[..., str]) -> None:
        original = getattr(owner, name)

        def told_first(*args: Any, **options: Any) -> Any:
            told.tell(PLACES.index(place(*args, **options)))
            return original(*args, **options)

        setattr(owner, name, told_first)

    telling(loop.Trainer, "_step", lambda *_: "steps")
    telling(vqvae.VQVAETask, "_initialise_codebook", lambda *_: "codebook")
    telling(vqvae.VQVAETask, "evaluate", lambda task, monitor, step, last: "end" if last else "scores")
    telling(vqvae.VQVAETask, "_show_audio", lambda task, *_: PLACES[max(told.heard(), PLACES.index("audio"))])
    telling(loop.Trainer, "_publish", lambda *_: "publishing")


def _tell_signal(path: Path) -> None:
    """Write down when the first signal arrives."""
    original = StopRequest._handle

    def handle(request: StopRequest, number: int, frame: Any) -> None:
        if not path.exists():
            path.write_text(repr(time.time()))
        original(request, number, frame)

    StopRequest._handle = handle


def _stay(place: str) -> None:
    def for_ever(owner: Any, name: str, where: Callable[..., bool] = lambda *_, **__: True) -> None:
        original = getattr(owner, name)

        def again_and_again(*args: Any, **options: Any) -> Any:
            while where(*args, **options):
                original(*args, **options)
            return original(*args, **options)

        setattr(owner, name, again_and_again)

    match place:
        case "codebook":
            for_ever(vqvae.VQVAETask, "_encoder_outputs")
        case "scores":
            for_ever(vqvae, "bits_per_sample")
        case "audio":
            for_ever(vqvae.VQVAETask, "_show_audio")
        case "end":
            for_ever(vqvae.VQVAETask, "evaluate", lambda task, monitor, step, last: last)
        case "slow":
            original = loop.Trainer._step
            loop.Trainer._step = lambda trainer, batch: (time.sleep(SLOW_STEP), original(trainer, batch))[1]


if __name__ == "__main__":
    run_command(sys.argv[1:], Path(os.environ["TOLD"]), os.environ["STAY"])
