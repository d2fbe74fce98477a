"""Downloads: whole or not at all, resumed, and never unpacked outside their folder."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from data_prep import fetch
from data_prep.fetch import FetchError

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
        if start > len(CONTENT):
            self.send_error(416)
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


def test_the_digest_is_checked(server, tmp_path):
    good = hashlib.sha1(CONTENT).hexdigest()
    fetch.http_file(f"{server}/file", tmp_path / "good", sha1=good)
    with pytest.raises(FetchError, match=f"{good}, expected 0000"):
        fetch.http_file(f"{server}/file", tmp_path / "bad", sha1="0000")
    assert sorted(os.listdir(tmp_path)) == ["good"]


def test_what_is_not_there(server, tmp_path):
    with pytest.raises(FetchError, match=r"/nothing.*404"):
        fetch.http_file(f"{server}/nothing", tmp_path / "file")
    assert fetch.http_text(f"{server}/nothing") is None


def test_no_connection_is_told_and_leaves_nothing_under_the_final_name(tmp_path):
    with pytest.raises(FetchError, match=r"http://127.0.0.1:9/file.*goes on from here"):
        fetch.http_file("http://127.0.0.1:9/file", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            data = io.BytesIO(b"sound" * 100)
            member.size = 500 if member.isfile() else 0
            archive.addfile(member, data if member.isfile() else None)
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def test_an_archive_is_unpacked_once(tmp_path):
    archive = tar(tmp_path / "a.tar.gz", tarfile.TarInfo("./digits/1.g722"), tarfile.TarInfo("list.txt"))
    for _ in range(2):
        folder = fetch.unpack_tar(archive, tmp_path / "out")
    assert (folder / "digits/1.g722").read_bytes() == b"sound" * 100
    assert sorted(os.listdir(tmp_path)) == ["a.tar.gz", "out"]


@pytest.mark.parametrize(
    "evil",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("/tmp/vqaudio-outside"),
        tarfile.TarInfo("digits/../../outside"),
        link("inside", "../../outside"),
        link("inside", "/etc/passwd"),
        link("inside", "good", tarfile.LNKTYPE),
        link("pipe", "", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name}->{member.linkname}",
)
def test_a_hostile_archive_is_refused_and_leaves_nothing(tmp_path, evil):
    archive = tar(tmp_path / "a.tar.gz", tarfile.TarInfo("good"), evil)
    with pytest.raises(FetchError, match="refused"):
        fetch.unpack_tar(archive, tmp_path / "deep" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar.gz", "deep"]


def test_a_truncated_archive_leaves_nothing(tmp_path):
    archive = tar(tmp_path / "a.tar.gz", *(tarfile.TarInfo(str(number)) for number in range(50)))
    archive.write_bytes(archive.read_bytes()[:-60])
    with pytest.raises(FetchError, match="damaged"):
        fetch.unpack_tar(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
