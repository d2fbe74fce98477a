"""Downloads: whole or not at all, resumed, and never unpacked outside their folder."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from data_prep import fetch
from data_prep.fetch import FetchError
from tests.reliability import archives_server
from tests.reliability.archives_server import serving
from vqaudio.audio import space
from vqaudio.errors import VQAudioError

CONTENT = bytes(range(256)) * 4000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT at /file, by ranges; /cut ends the connection half-way until it is asked for a range."""

    ranges: ClassVar[list[str | None]] = []

    def do_GET(self):
        if self.path not in ("/file", "/cut"):
            self.send_error(404)
            return
        asked = self.headers["Range"]
        self.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        body = CONTENT[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/cut" and not asked else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    Handler.ranges = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def test_a_file_arrives_whole_and_is_not_fetched_again(server, tmp_path):
    for _ in range(2):
        path = fetch.http_file(f"{server}/file", tmp_path / "new" / "file")
    assert path.read_bytes() == CONTENT
    assert Handler.ranges == [None]


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    assert fetch.http_file(f"{server}/cut", tmp_path / "file").read_bytes() == CONTENT
    assert Handler.ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_an_earlier_runs_part_is_continued(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    assert fetch.http_file(f"{server}/file", tmp_path / "file").read_bytes() == CONTENT
    assert Handler.ranges == ["bytes=1000-"]


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    assert fetch.http_file(f"{server}/file", tmp_path / "file").read_bytes() == CONTENT


def test_a_part_that_is_all_of_the_file_is_not_fetched_again(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert fetch.http_file(f"{server}/file", tmp_path / "file").read_bytes() == CONTENT
    assert Handler.ranges == [f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("page", "a web page came in place of a.tar.gz"),
        ("cut-chunks", "goes on from here"),
        ("no-http", "220 mail ready"),
        ("long-header", "got more than"),
        ("to-a-file", "not allowed"),
        ("to-nonsense", "IPv6"),
        ("says-a-petabyte", r"would take 1e\+03 TB"),
    ],
)
def test_what_servers_do_besides_is_told_in_words(tmp_path, way, words):
    with serving(archives_server.Handler) as address, pytest.raises(VQAudioError, match=words):
        fetch.http_file(f"{address}/{way}/a.tar.gz", tmp_path / "a.tar.gz")
    assert not (tmp_path / "a.tar.gz").exists()


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
def test_the_digest_is_checked(server, tmp_path, kind):
    good = hashlib.new(kind, CONTENT).hexdigest()
    fetch.http_file(f"{server}/file", tmp_path / "good", f"{kind}:{good.upper()}")
    with pytest.raises(FetchError, match=f"{kind} digest is {good}, expected 0000"):
        fetch.http_file(f"{server}/file", tmp_path / "bad", f"{kind}:0000")
    assert sorted(os.listdir(tmp_path)) == ["good"]


def test_no_room_is_told_before_anything_is_written(server, tmp_path, monkeypatch):
    monkeypatch.setattr(space, "free_bytes", lambda folder: 1000)
    with pytest.raises(VQAudioError, match=r"/file would take 1\.02 MB, 1 kB are free"):
        fetch.http_file(f"{server}/file", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there(server, tmp_path):
    with pytest.raises(FetchError, match=r"/nothing.*404"):
        fetch.http_file(f"{server}/nothing", tmp_path / "file")
    assert fetch.http_text(f"{server}/nothing") is None


def test_no_connection_is_told_and_leaves_nothing_under_the_final_name(tmp_path):
    with pytest.raises(FetchError, match=r"http://127.0.0.1:9/file.*goes on from here"):
        fetch.http_file("http://127.0.0.1:9/file", tmp_path / "file")
    assert not (tmp_path / "file").exists()


# apt-get as a shell script: knows packages only by lists that `update` fetched, as on a machine without lists.
APT_GET = """#!/bin/sh
echo "$@" >>"$LOG"
for word; do case $word in Dir::State::Lists=*) lists=${word#*=} ;; esac; last=$word; done
case " $* " in
    *" update "*) touch "$lists/known" ;;
    *) [ -e "$lists/known" ] && [ "$last" != unknown ] || { echo "E: Unable to locate package $last" >&2; exit 100; }
       echo "$last" >"${last}_1.0_all.deb" ;;
esac
"""
DPKG_DEB = """#!/bin/sh
[ -z "$BREAK" ] || { mkdir "$3"; echo "dpkg-deb: no space left" >&2; exit 2; }
mkdir -p "$3/usr" && cp "$2" "$3/usr/content"
"""


@pytest.fixture
def apt(tmp_path, monkeypatch) -> Path:
    for name, script in (("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return tmp_path


def test_packages_are_unpacked_with_lists_of_our_own_where_there_are_none(apt):
    folders = fetch.debian_packages(["sounds-en", "sounds-fr"], apt / "downloads")
    assert [(folder / "usr/content").read_text() for folder in folders] == ["sounds-en\n", "sounds-fr\n"]
    assert sorted(os.listdir(apt / "downloads")) == ["sounds-en", "sounds-fr"]
    assert (apt / "log").read_text().count("update") == 1


def test_packages_that_are_there_are_not_fetched_again(apt):
    fetch.debian_packages(["sounds-en"], apt / "downloads")
    before = (apt / "log").read_text()
    fetch.debian_packages(["sounds-en"], apt / "downloads")
    assert (apt / "log").read_text() == before


def test_an_interrupted_unpacking_leaves_nothing_under_the_final_name(apt, monkeypatch):
    monkeypatch.setenv("BREAK", "yes")
    with pytest.raises(FetchError, match="no space left"):
        fetch.debian_packages(["sounds-en"], apt / "downloads")
    assert os.listdir(apt / "downloads") == []


def test_an_unknown_package_is_named(apt):
    with pytest.raises(FetchError, match="Unable to locate package unknown"):
        fetch.debian_packages(["unknown"], apt / "downloads")


def test_no_apt_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="no apt-get"):
        fetch.debian_packages(["sounds-en"], tmp_path / "downloads")


def test_it_runs_before_anything_is_installed():
    # setup.sh fetches pip with it: -S leaves out site-packages, where all dependencies lie.
    root = Path(fetch.__file__).parents[1]
    result = subprocess.run([sys.executable, "-S", "-m", "data_prep.fetch", "--help"], cwd=root, capture_output=True)
    assert result.returncode == 0, result.stderr
