"""Servers of archives that lie, break off or send something else, and downloads from them that are killed."""

from __future__ import annotations

import hashlib
import http.server
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from data_prep import fetch
from data_prep.archives import Archive, obtain
from tests.reliability.archives_hostile import GOOD, sound_archives
from tests.reliability.archives_unpacking import snapshot, sound_archives_of
from tests.reliability.promises import HELD
from vqaudio.audio import space
from vqaudio.errors import VQAudioError

DATA = sound_archives()["tar.gz"]
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
PAGE = b"<html><body>Please agree to the terms</body></html>"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /<way>/a.tar.gz as the way of its name does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        way = self.path.strip("/").split("/")[0]
        with suppress(BrokenPipeError, ConnectionResetError):
            WAYS[way](self)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass

    def start(self) -> int:
        """Return the first byte that is asked for."""
        return int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def answer(self, status: int, body: bytes, length: int | None = -1, **headers: str) -> None:
        """Send an answer; `length` is what it says, None for saying nothing."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length == -1 else length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def by_ranges(self, body: bytes = DATA, **headers: str) -> None:
        """Answer as servers do."""
        start = self.start()
        if self.headers["Range"] is None:
            self.answer(200, body, **headers)
        elif start >= len(body):
            self.answer(416, b"", Content_Range=f"bytes */{len(body)}")
        else:
            self.answer(206, body[start:], Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")


def _chunked(handler: Handler, cut: bool) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for first in range(0, len(DATA), 100):
        chunk = DATA[first : first + 100]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if cut and first > len(DATA) // 2:
            return
    handler.wfile.write(b"0\r\n\r\n")


def _cut_then(handler: Handler, then: Callable[[Handler], None]) -> None:
    """Break off the first answer and go on in another way."""
    if handler.headers["Range"] is None:
        handler.answer(200, DATA[: len(DATA) // 2], length=len(DATA))
    else:
        then(handler)


def _endless(handler: Handler) -> None:
    handler.answer(200, b"", length=None)
    while True:
        handler.wfile.write(bytes(1 << 20))


def _other_range(handler: Handler) -> None:
    handler.answer(206, DATA[7:], Content_Range=f"bytes 7-{len(DATA) - 1}/{len(DATA)}")


def _redirect(to: str) -> Callable[[Handler], None]:
    return lambda handler: handler.answer(302, b"", Location=to)


WAYS: dict[str, Callable[[Handler], None]] = {
    "sound": Handler.by_ranges,
    "no-length": lambda h: h.answer(200, DATA, length=None),
    "chunked": lambda h: _chunked(h, cut=False),
    "cut-then-goes-on": lambda h: _cut_then(h, Handler.by_ranges),
    "cut-then-begins-anew": lambda h: _cut_then(h, lambda h: h.answer(200, DATA)),
    "cut-then-other-range": lambda h: _cut_then(h, _other_range),
    "cut-then-unknown-range": lambda h: _cut_then(h, lambda h: h.answer(206, DATA[h.start() :])),
    "cut-then-shorter": lambda h: _cut_then(h, lambda h: h.answer(416, b"", Content_Range="bytes */3")),
    "always-cut": lambda h: h.answer(200, DATA[: len(DATA) // 2], length=len(DATA)),
    "cut-without-length": lambda h: h.answer(200, DATA[: len(DATA) // 2], length=None),
    "cut-chunks": lambda h: _chunked(h, cut=True),
    "says-too-little": lambda h: h.answer(200, DATA, length=len(DATA) // 3),
    "says-too-much": lambda h: h.answer(200, DATA, length=len(DATA) + 1000),
    "says-a-petabyte": lambda h: h.answer(200, DATA, length=10**15),
    "says-less-than-nothing": lambda h: h.answer(200, DATA, length=-5),
    "more-than-the-file": lambda h: h.answer(200, DATA + b"more"),
    "endless": _endless,
    "page": lambda h: h.answer(200, PAGE, Content_Type="text/html; charset=utf-8"),
    "page-of-no-type": lambda h: h.answer(200, PAGE),
    "empty": lambda h: h.answer(200, b""),
    "other-archive": lambda h: h.by_ranges(sound_archives()["tar.xz"]),
    "gone": lambda h: h.answer(404, PAGE),
    "broken": lambda h: h.answer(500, PAGE),
    "redirected": _redirect("/sound/a.tar.gz"),
    "in-a-circle": _redirect("/in-a-circle/a.tar.gz"),
    "to-a-file": _redirect("file:///etc/passwd"),
    "to-nowhere": _redirect("http://127.0.0.1:9/a.tar.gz"),
    "to-nonsense": _redirect("http://[::/a.tar.gz"),
    "no-http": lambda h: h.wfile.write(b"220 mail ready\r\n"),
    "nothing": lambda h: None,
    "long-header": lambda h: h.answer(200, DATA, X="x" * 100_000),
    "many-headers": lambda h: h.answer(200, DATA, **{f"X{i}": "x" for i in range(500)}),
}
"""How servers answer."""
GOES_WELL = {"sound", "no-length", "chunked", "cut-then-goes-on", "cut-then-begins-anew", "redirected"}
PARTS = {"nothing": None, "half": DATA[:500], "all": DATA, "too much": DATA + b"more"}
"""What an earlier run has left of the file."""


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on this machine within the block; yields the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


@dataclass(frozen=True)
class Download:
    """A case: a server's way, whether the publisher's digest is known, and what is there of an earlier run."""

    way: str
    digest: bool
    part: str


def download_cases() -> list[Download]:
    return [Download(way, digest, part) for way in WAYS for digest in (True, False) for part in PARTS]


def try_download(case: Download, folder: Path) -> str:
    """Obtain an archive as the case says, then from a sound server."""
    downloads = folder / "downloads"
    downloads.mkdir(parents=True)
    if PARTS[case.part] is not None:
        (downloads / "a.tar.gz.part").write_bytes(PARTS[case.part])
    digest = DIGEST if case.digest else None
    with serving(Handler) as address, _little_room(downloads):
        refusal = _obtain(Archive(f"{address}/{case.way}/a.tar.gz", digest), downloads)
        if fault := _fault_after(case, downloads, refusal):
            return f"{case}: {fault}"
        if not case.digest and refusal is not None:  # as the message says: delete it and try again
            for left in downloads.iterdir():
                left.unlink()
        again = _obtain(Archive(f"{address}/sound/a.tar.gz", digest), downloads)
    if snapshot(downloads) != {f"a/{name}": content for name, content in GOOD.items()}:
        return f"{case}: afterwards, from a sound server: {again}, {sorted(snapshot(downloads))}"
    return HELD


def _obtain(archive: Archive, downloads: Path) -> str | None:
    try:
        obtain([archive], downloads)
    except VQAudioError as error:
        return str(error)
    return None


def _fault_after(case: Download, downloads: Path, refusal: str | None) -> str:
    done = (downloads / "a").exists()
    if refusal is not None:
        if done:
            return "refused, but it counts as done"
        if case.way in GOES_WELL:
            return f"refused without need: {refusal}"
        return "" if len(refusal) < 4000 else "nobody reads a message as long as this"
    if snapshot(downloads / "a") != GOOD:
        return f"something else counts as done: {sorted(snapshot(downloads))}"
    return ""


@contextmanager
def _little_room(folder: Path) -> Iterator[None]:
    """Let the disk have 100 MB left at first, within the block."""
    before, check = space.free_bytes, fetch._CHECKED

    def free(path: object) -> int:
        return space.MARGIN + 100_000_000 - sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())

    space.free_bytes, fetch._CHECKED = free, 1 << 24
    try:
        yield
    finally:
        space.free_bytes, fetch._CHECKED = before, check


# -------------------------------------------------------------------------------------------- interruptions

SLOW_FILES = {f"corpus/{i}.wav": os.urandom(5000) for i in range(40)}
SLOW = sound_archives_of(SLOW_FILES)
SLOW_SECONDS = 0.6


class SlowHandler(Handler):
    """Takes its time."""

    def do_GET(self) -> None:
        start = self.start()
        if start >= len(SLOW):
            self.answer(416, b"", Content_Range=f"bytes */{len(SLOW)}")
            return
        status = 206 if self.headers["Range"] else 200
        self.answer(status, b"", length=len(SLOW) - start, Content_Range=f"bytes {start}-{len(SLOW) - 1}/{len(SLOW)}")
        try:
            for first in range(start, len(SLOW), 4096):
                self.wfile.write(SLOW[first : first + 4096])
                time.sleep(SLOW_SECONDS * 4096 / len(SLOW))
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.close_connection = True


@dataclass(frozen=True)
class Interruption:
    """A case: a download that is killed after so many seconds, twice."""

    seconds: tuple[float, float]
    digest: bool


def try_interruption(case: Interruption, folder: Path) -> str:
    """Kill a download twice and look at what is there, then let it end."""
    folder.mkdir(parents=True)
    digest = f"md5:{hashlib.md5(SLOW).hexdigest()}" if case.digest else None
    expected = {f"a/{name}": content for name, content in SLOW_FILES.items()}
    with serving(SlowHandler) as address:
        archive = Archive(f"{address}/a.tar.gz", digest)
        for seconds in case.seconds:
            child = os.fork()
            if child == 0:
                fetch.BLOCK_BYTES = 1 << 12
                _obtain(archive, folder)
                os._exit(0)
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            there = snapshot(folder)
            if there.get("a.tar.gz", SLOW) != SLOW or (
                (folder / "a").exists() and not expected.items() <= there.items()
            ):
                return f"{case}: half of it counts as done"
        again = _obtain(archive, folder)
    found = {name: content for name, content in snapshot(folder).items() if name != "a.tar.gz"}
    return HELD if again is None and found == expected else f"{case}: in the end {again}, {sorted(found)[:3]}"
