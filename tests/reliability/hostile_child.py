"""A process that has everything imported and forks a child for each file that it is given to read.

The child may take MEMORY bytes and so many seconds, and every sign that it executes something is written down: a
program started, a socket, source code compiled or run, a name that a pickle asks for, a file written or removed.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

MEMORY = 2 << 30
"""Bytes of address space that reading may take, beside what the imported libraries have mapped."""
ROOT = Path(__file__).parents[2]
FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "subprocess.Popen", "pty.spawn",
    "socket.connect", "socket.bind", "socket.getaddrinfo", "pickle.find_class", "marshal.loads", "ctypes.dlopen",
    "os.remove", "os.rename", "os.rmdir", "shutil.rmtree", "os.putenv",
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What came of reading one file."""

    ended: str
    """`returned`, `refused` (a VQAudioError), `failed` (any other exception), `died` or `hung`."""
    value: Any
    """What was returned; the message; the traceback; the signal; nothing."""
    events: list[str]
    """Signs that something was executed."""
    seconds: float
    """Of processor time."""


class Reader:
    """The process, from the outside. It ends with the block."""

    def __enter__(self) -> Reader:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()

    def ask(self, action: str, path: Path, seconds: float) -> None:
        """Have `path` read by an action of hostile_reading, in at most so many seconds of processor time."""
        line = json.dumps({"action": action, "path": str(path), "seconds": seconds}) + "\n"
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()

    def hear(self) -> Told:
        """Return what came of what was asked first, of what has not been heard yet."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the reading process has ended")
        return Told(**json.loads(line))


def serve() -> None:
    """Answer the lines of standard input, one by one."""
    from tests.reliability.hostile_reading import ACTIONS

    _warm_up()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        told = _in_child(lambda: ACTIONS[asked["action"]](Path(asked["path"])), asked["seconds"])  # noqa: B023
        out.write(json.dumps(vars(told)) + "\n")
        out.flush()


def _warm_up() -> None:
    """Do once what imports on first use."""
    import tempfile

    import torch

    from tests.reliability.hostile_originals import write_originals
    from tests.reliability.hostile_reading import ACTIONS

    torch.set_num_threads(1)
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        for action, path in write_originals(Path(folder)).items():
            ACTIONS[action](path)


def _in_child(act: Any, seconds: float) -> Told:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_child(act, writing, seconds)
    os.close(writing)
    data, deadline = b"", time.monotonic() + 20 * seconds  # of other processes there may be many
    while select.select([reading], [], [], max(0, deadline - time.monotonic()))[0]:
        chunk = os.read(reading, 1 << 20)
        if not chunk:
            break
        data += chunk
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reading)
    _, status, usage = os.wait4(child, 0)
    used = usage.ru_utime + usage.ru_stime
    if data.endswith(b"\n"):
        return Told(**json.loads(data), seconds=used)
    number = os.waitstatus_to_exitcode(status)
    hung = number in (-signal.SIGKILL, -signal.SIGXCPU)
    return Told("hung" if hung else "died", f"exit status {number}", [], used)


def _be_child(act: Any, writing: int, seconds: float) -> None:
    events: list[str] = []
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(lambda event, words: _note(event, words, events))
    from vqaudio.errors import VQAudioError

    try:
        ended, value = "returned", act()
        value = json.loads(json.dumps(value, default=list))
    except VQAudioError as error:
        ended, value = "refused", str(error)
    except BaseException:
        ended, value = "failed", traceback.format_exc()[-3000:]
    answer = json.dumps({"ended": ended, "value": value, "events": events[:20]}) + "\n"
    with os.fdopen(writing, "w") as file:
        file.write(answer)
    os._exit(0)


def _note(event: str, words: tuple, events: list[str]) -> None:
    try:
        if event == "marshal.loads" and _imports(sys._getframe(2)):  # as every import does
            return
        if event in FORBIDDEN:
            events.append(f"{event} {words!r}"[:300])
        elif event == "exec" and getattr(words[0], "co_filename", "<").startswith("<"):  # no module's code
            if "<frozen" not in words[0].co_filename:
                events.append(f"exec {words[0]!r}"[:300])
        elif event == "open" and isinstance(words[2], int) and words[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            events.append(f"open to write {words[0]!r}"[:300])
    except Exception as error:
        events.append(f"{event}: {error!r}")


def _imports(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_filename == "<frozen importlib._bootstrap_external>"


if __name__ == "__main__":
    serve()
