"""Programs on a disk that fails: forked, each with a failure of its own, from a process that has all imported.

The process has `failing_disk.c` preloaded, which the system loads only when a program starts: so it is started once,
reads requests as lines of JSON, and answers each with the exit status of a child that has done it.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.reliability.promises import ROOT

SOURCE = Path(__file__).with_name("failing_disk.c")
LIMIT = 120.0
"""Seconds that a program may take: some hundred times what it does."""
HUNG = -1
PRELOADED = (
    "torch._dynamo", "torch.utils.tensorboard", "vqaudio.cli.main", "vqaudio.api", "vqaudio.corpus.format",
    "vqaudio.corpus.transform", "vqaudio.corpus.fixing", "vqaudio.training.vqvae", "vqaudio.training.prior",
    "vqaudio.units.extract", "vqaudio.evaluation.scorecard", "vqaudio.evaluation.listening.page",
    "vqaudio.cli.speech", "vqaudio.generation.stream", "matplotlib.backends.backend_agg", "data_prep.writing",
    "data_prep.archives", "scipy.signal", "PIL.PngImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin",
    "tests.reliability.disk_writers",
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """From the `first` call of a kind on, calls on files whose paths match a pattern fail with an error."""

    call: str
    """open, write, fsync, rename, truncate or close."""
    error: int
    first: int
    pattern: str
    """As the shell's, but that * stands for the beginning of hidden names, too."""
    told: Path
    """A file that is made when the first call fails."""


def compile_library(folder: Path) -> Path | None:
    """Compile the library into a folder; None where there is no compiler."""
    library = folder / "failing_disk.so"
    command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        return None
    return library


class DiskServer:
    """The warm process, as seen from here."""

    def __init__(self, library: Path) -> None:
        environment = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.disk_server", str(library)], cwd=ROOT, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, call: str, words: list[Any], output: Path, failure: Failure | None = None) -> int:
        """Call `call`, as module:function, with `words`; return its exit status, HUNG where it had to be killed.

        What it prints goes to the file `output`.
        """
        given = None if failure is None else [failure.error, failure.first, failure.call, str(failure.told),
                                              failure.pattern]  # fmt: skip
        request = {"call": call, "words": [str(word) for word in words], "output": str(output), "failure": given}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """End the process."""
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def serve(library: ctypes.CDLL) -> None:
    """Do what standard input asks for, until its end."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            do(request, library)
        print(json.dumps(status_of(child)), flush=True)


def do(request: dict[str, Any], library: ctypes.CDLL) -> None:
    """Do a request in this process, which ends with it as an interpreter does."""
    status = 1
    try:
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.setpgid(0, 0)
        if request["failure"]:
            error, first, call, told, pattern = request["failure"]
            library.fail_disk(error, ctypes.c_long(first), call.encode(), told.encode(), pattern.encode())
            # For programs that it starts:
            os.environ["FAILING_DISK"] = f"{error}\t{first}\t{call}\t{told}\t{pattern}"
            os.environ["LD_PRELOAD"] = library._name
        module, _, name = request["call"].partition(":")
        status = getattr(importlib.import_module(module), name)(request["words"]) or 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def status_of(child: int) -> int:
    """Return the exit status of a child, -N for the signal N; HUNG where it has not ended in time."""
    deadline = time.monotonic() + LIMIT
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return HUNG
        time.sleep(0.002)


def main(path: str) -> None:
    """Import all, and serve."""
    os.environ.pop("LD_PRELOAD")  # programs that are started from here are none of this
    library = ctypes.CDLL(path)
    for name in PRELOADED:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    serve(library)


if __name__ == "__main__":
    main(sys.argv[1])
