"""Archives: unpacked once and whole, and never outside their folder."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import shutil
import stat
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from data_prep import archives
from data_prep.archives import Archive, obtain
from data_prep.fetch import FetchError
from tests.reliability.archives_hostile import hostile_tars, sound_archives
from vqaudio.audio import space
from vqaudio.audio.lock_file import locked
from vqaudio.errors import VQAudioError

SOUND_ARCHIVES = sound_archives()


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
        folder = archives.unpack(archive, tmp_path / "out")
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
        link("deep/inside", "../../good"),
        link("inside", "nothing"),
        link("inside", "nothing", tarfile.LNKTYPE),
        link("pipe", "", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name}->{member.linkname}",
)
def test_a_hostile_archive_is_refused_and_leaves_nothing(tmp_path, evil):
    archive = tar(tmp_path / "a.tar.gz", tarfile.TarInfo("good"), evil)
    with pytest.raises(FetchError, match="refused"):
        archives.unpack(archive, tmp_path / "deep" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar.gz", "deep"]


def test_a_truncated_archive_leaves_nothing(tmp_path):
    archive = tar(tmp_path / "a.tar.gz", *(tarfile.TarInfo(str(number)) for number in range(50)))
    archive.write_bytes(archive.read_bytes()[:-60])
    with pytest.raises(FetchError, match="damaged"):
        archives.unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_within_become_copies(tmp_path):
    members = [tarfile.TarInfo("a/one"), link("a/two", "one"), link("b/three", "../a/one"),
               link("four", "a/one", tarfile.LNKTYPE)]  # fmt: skip
    folder = archives.unpack(tar(tmp_path / "a.tar.gz", *members), tmp_path / "out")
    for name in ("a/two", "b/three", "four"):
        assert (folder / name).read_bytes() == b"sound" * 100 and not (folder / name).is_symlink()


def zipped(path: Path, *entries: zipfile.ZipInfo | str, content: bytes = b"sound") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            archive.writestr(entry, content)
    return path


def zip_link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def test_a_zip_archive_is_unpacked(tmp_path):
    folder = archives.unpack(zipped(tmp_path / "a.zip", "wav/", "wav/1.wav", "list.txt"), tmp_path / "out")
    assert (folder / "wav/1.wav").read_bytes() == b"sound" and (folder / "list.txt").is_file()


def test_a_link_in_a_zip_archive_becomes_a_copy_or_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good", b"sound")
        archive.writestr(zip_link("same"), b"good")
    assert (archives.unpack(tmp_path / "a.zip", tmp_path / "out") / "same").read_bytes() == b"sound"
    with pytest.raises(FetchError, match=r"refused, because .*etc/passwd.*outside the folder"):
        archives.unpack(zipped(tmp_path / "b.zip", zip_link("evil"), content=b"/etc/passwd"), tmp_path / "evil")


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a\\..\\..\\outside"])
def test_a_hostile_zip_archive_is_refused(tmp_path, name):
    with pytest.raises(FetchError, match="outside the folder"):
        archives.unpack(zipped(tmp_path / "a.zip", "good", name), tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_an_archive_that_holds_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ALLOWANCE_BYTES", 0)
    with pytest.raises(FetchError, match="refused, because it holds more than"):
        archives.unpack(zipped(tmp_path / "bomb.zip", "zeros", content=bytes(10**6)), tmp_path / "out")
    assert os.listdir(tmp_path) == ["bomb.zip"]


def test_what_is_no_archive_is_told(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"<html>moved</html>")
    with pytest.raises(FetchError, match=r"a\.tar\.gz: damaged, or not an archive"):
        archives.unpack(tmp_path / "a.tar.gz", tmp_path / "out")


@pytest.mark.parametrize("name", [suffix for suffix in SOUND_ARCHIVES])
def test_an_archive_that_breaks_off_between_members_is_not_whole(tmp_path, name):
    data = SOUND_ARCHIVES[name]
    for size in range(0, len(data), 512):
        (tmp_path / f"a.{name}").write_bytes(data[:size])
        try:
            archives.unpack(tmp_path / f"a.{name}", tmp_path / "out")
        except FetchError as error:
            assert "damaged" in str(error) and not (tmp_path / "out").exists()
        else:  # what is cut off is the padding behind the end of a tar
            assert (tmp_path / "out/corpus/text").is_file()
            shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize("name", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_changed_byte_of_what_is_compressed_is_found(tmp_path, name):
    data = bytearray(SOUND_ARCHIVES[name])
    data[-6] ^= 0x10  # in the checksum at the end, behind all members
    (tmp_path / f"a.{name}").write_bytes(data)
    with pytest.raises(FetchError, match="damaged"):
        archives.unpack(tmp_path / f"a.{name}", tmp_path / "out")


def test_links_are_followed_in_any_order_and_count_what_they_copy(tmp_path, monkeypatch):
    members = [link("first", "second"), link("second", "a"), tarfile.TarInfo("a"), link("b", "a"), tarfile.TarInfo("b")]
    folder = archives.unpack(tar(tmp_path / "a.tar.gz", *members), tmp_path / "out")
    assert all((folder / name).read_bytes() == b"sound" * 100 for name in ("first", "second", "b"))
    monkeypatch.setattr(archives, "ALLOWANCE_BYTES", 50_000)
    links = [link(str(number), "a", tarfile.LNKTYPE) for number in range(100)]
    with pytest.raises(FetchError, match="refused, because it holds more than"):
        archives.unpack(tar(tmp_path / "b.tar.gz", tarfile.TarInfo("a"), *links), tmp_path / "bomb")


@pytest.mark.parametrize("kind", ["pax header of 1 GB", "negative size of a header", "holes of 1 TB", "8 EB"])
def test_sizes_that_a_tar_lies_about_are_refused_at_once(tmp_path, kind):
    (tmp_path / "a.tar").write_bytes(hostile_tars()[kind][0]())
    with pytest.raises(FetchError, match=r"refused|damaged"):
        archives.unpack(tmp_path / "a.tar", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.tar"]


def test_a_tar_is_no_zip_because_it_ends_with_one(tmp_path):
    make, becomes = hostile_tars()["a zip as its last member"]
    (tmp_path / "a.tar").write_bytes(make())
    folder = archives.unpack(tmp_path / "a.tar", tmp_path / "out")
    assert (folder / "x.zip").read_bytes() == becomes["x.zip"]


def test_what_a_killed_run_left_is_removed_and_another_job_is_waited_for(tmp_path):
    archive = tar(tmp_path / "a.tar.gz", tarfile.TarInfo("a"))
    (tmp_path / ".out-unpacking/old").mkdir(parents=True)
    with (
        locked(tmp_path / ".out.lock", VQAudioError, remove=True),
        pytest.raises(FetchError, match=r"another job is unpacking it \(process \d+"),
    ):
        archives.unpack(archive, tmp_path / "out")
    archives.unpack(archive, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["a.tar.gz", "out"] and os.listdir(tmp_path / "out") == ["a"]


def test_room_is_asked_for_where_the_archive_says_what_it_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(space, "free_bytes", lambda folder: 10_000)
    with pytest.raises(VQAudioError, match=r"unpacking a\.zip would take 20 kB"):
        archives.unpack(zipped(tmp_path / "a.zip", "1.wav", content=bytes(20_000)), tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.zip"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/a/corpus-1.0.tar.gz", "corpus-1.0"),
        ("https://host/corpus.zip?download=1", "corpus"),
        ("https://host/data.tar.bz2", "data"),
    ],
)
def test_an_archive_is_unpacked_under_its_name(url, name):
    assert Archive(url).name == name
    assert Archive(url, folder="other").name == "other"


@pytest.fixture
def publisher(tmp_path):
    """Serves the folder tmp_path/published; the address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    (tmp_path / "published").mkdir()
    handler = functools.partial(Quiet, directory=tmp_path / "published")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_archives_are_obtained_from_mirrors_checked_and_removed(publisher, tmp_path):
    file = zipped(tmp_path / "published/a.zip", "1.wav")
    wanted = Archive(f"{publisher}/gone/a.zip", f"md5:{hashlib.md5(file.read_bytes()).hexdigest()}",
                     mirrors=(f"{publisher}/a.zip",), folder="corpus")  # fmt: skip
    assert obtain([wanted], tmp_path / "downloads") == tmp_path / "downloads"
    file.unlink()  # it is not asked for again
    obtain([wanted], tmp_path / "downloads")
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["corpus"]


def test_where_no_address_works_the_user_is_told_what_to_do(publisher, tmp_path):
    with pytest.raises(
        FetchError, match=r"a\.zip cannot be fetched:\n[\s\S]*404[\s\S]*put it into .*downloads under that name"
    ):
        obtain([Archive(f"{publisher}/a.zip")], tmp_path / "downloads")
