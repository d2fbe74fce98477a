"""Archives that somebody made to do harm, and such as break off: what they hold, and what has to become of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SOUND = np.random.default_rng(0).bytes(1500)
GOOD = {"corpus/a.wav": SOUND, "corpus/deep/b.wav": SOUND[::-1], "corpus/text": b"a one\nb two\n"}
"""What a sound archive holds; hostile ones have it too, before the hostile member."""
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes, "tar.gz": lambda data: gzip.compress(data, mtime=0), "tar.bz2": bz2.compress, "tar.xz": lzma.compress,
}  # fmt: skip
ZIP_METHODS = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}
BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class Hostile:
    """An archive: its bytes, the end of its name, and what it becomes where it is not refused."""

    name: str
    suffix: str
    make: Callable[[], bytes]
    becomes: dict[str, bytes] | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.suffix})"


# -------------------------------------------------------------------------------------------------- tar


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644, **pax: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode, made.pax_headers = kind, link, mode, pax
    return made


def tar(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], good: bool = True) -> bytes:
    """Return a tar of the good files and these members, with their content."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as made:
        for name, content in GOOD.items() if good else ():
            _add(made, entry(name), content)
        for member in members:
            _add(made, *(member if isinstance(member, tuple) else (member, SOUND if member.isreg() else b"")))
    return sink.getvalue()


def _add(made: tarfile.TarFile, member: tarfile.TarInfo, content: bytes) -> None:
    member.size = len(content)
    made.addfile(member, io.BytesIO(content))


def header(name: bytes, size: int | bytes, kind: bytes = tarfile.REGTYPE, link: bytes = b"") -> bytes:
    """Return a tar header of any size, also such as tarfile would not write."""
    quoted = size if isinstance(size, bytes) else b"%011o\0" % size if 0 <= size < 8**11 else _base256(size)
    fields = (name, b"0000644\0", b"0000000\0", b"0000000\0", quoted, b"00000000000\0", b" " * 8, kind, link,
              b"ustar\x0000", b"", b"", b"", b"", b"", b"")  # fmt: skip
    block = struct.pack("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12s", *fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _base256(size: int) -> bytes:
    return (b"\x80" if size >= 0 else b"\xff") + (size % 256**11).to_bytes(11, "big")


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def pax(records: bytes, size: int | None = None) -> bytes:
    """Return an extended header with these records."""
    return header(b"pax", len(records) if size is None else size, tarfile.XHDTYPE) + padded(records)


def record(key: str, value: str) -> bytes:
    text = f" {key}={value}\n".encode("utf-8", "surrogateescape")
    size = len(text) + len(str(len(text) + len(str(len(text)))))
    return f"{size}".encode() + text


def before_end(*blocks: bytes) -> bytes:
    """Return the good files, then these blocks, then the end of an archive."""
    return _without_end(tar()) + b"".join(blocks) + bytes(1024)


def _without_end(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as made:
        last = made.getmembers()[-1]
    return data[: last.offset_data + last.size + -last.size % BLOCK]


def sparse(size: int, *, name: str = "sparse.wav") -> bytes:
    """Return a member of 512 bytes that says to become `size`, with holes."""
    records = record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0")
    records += record("GNU.sparse.name", name) + record("GNU.sparse.realsize", str(size))
    return pax(records) + header(b"GNUSparseFile.0/x", 2 * BLOCK) + padded(b"1\n0\n512\n") + b"s" * BLOCK


OUTSIDE = ["../escaped", "a/../../escaped", "/tmp/vqaudio-escaped", "//tmp/vqaudio-escaped", "..\\escaped",
           "a\\..\\..\\escaped", "./../escaped", "a/./../../escaped", "../../../../../../../../tmp/vqaudio-escaped",
           "corpus/../../escaped", ".."]  # fmt: skip
UNUSABLE = ["", ".", "a\0b", "x" * 300, "y/" * 150 + "z", "/".join(["w" * 200] * 30), "corpus/a.wav/below"]
USABLE = {"-rf": "-rf", "$(touch executed)": "$(touch executed)", "a\nb": "a\nb", "C:\\x": "C:/x", "~/x": "~/x",
          "\udcff\udcfe": "\udcff\udcfe", "CORPUS/A.WAV": "CORPUS/A.WAV", "a/./b//c": "a/b/c",
          "corpus/x/../y": "corpus/y", "\u202egpj.exe": "\u202egpj.exe", "con": "con"}  # fmt: skip


def hostile_tars() -> dict[str, tuple[Callable[[], bytes], dict[str, bytes] | None]]:
    """Return what makes each tar, and what it becomes; None where it has to be refused."""
    sym, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    made: dict[str, tuple[Callable[[], bytes], dict[str, bytes] | None]] = {}
    for name in OUTSIDE + UNUSABLE:
        made[f"file {name[:40]!r}"] = (lambda n=name: tar(entry("x", path=n) if "\0" in n else entry(n)), None)
    for name in OUTSIDE:
        made[f"folder {name!r}"] = (lambda n=name: tar(entry(n, tarfile.DIRTYPE)), None)
        for kind, word in ((sym, "symbolic link"), (hard, "hard link")):
            made[f"{word} to {name!r}"] = (lambda n=name, k=kind: tar(entry("link", k, n)), None)
            made[f"{word} called {name!r}"] = (lambda n=name, k=kind: tar(entry(n, k, "corpus/a.wav")), None)
        made[f"{name!r} through a link"] = (lambda n=name: tar(entry("d", sym, n), entry("d/escaped")), None)
        made[f"chain of links to {name!r}"] = (lambda n=name: tar(entry("a", sym, "b"), entry("b", sym, n)), None)
    for name, path in USABLE.items():
        made[f"file {name!r}"] = (lambda n=name: tar(entry(n)), {**GOOD, path: SOUND})
    link_cases = {
        "link in a circle": ([entry("a", sym, "b"), entry("b", sym, "a")], None),
        "link to itself": ([entry("a", sym, "a")], None),
        "link to nothing": ([entry("a", sym, "nothing")], None),
        "link to a folder": ([entry("a", sym, "corpus")], None),
        "link to its own folder": ([entry("corpus/a", sym, ".")], None),
        "file below a link": ([entry("a", sym, "corpus/a.wav"), entry("a/b")], None),
        "chain of links backwards": ([entry("a", sym, "b"), entry("b", sym, "corpus/a.wav")], {"a": SOUND, "b": SOUND}),
        "link, then a file of its name": ([entry("a", sym, "x"), (entry("a"), b"new")], {"a": b"new"}),
        "file, then a link of its name": ([(entry("a"), b"old"), entry("a", sym, "corpus/a.wav")], {"a": SOUND}),
        "two files of one name": ([(entry("a"), b"one"), (entry("a"), b"two")], {"a": b"two"}),
        "set-uid bits": ([entry("a", mode=0o7777)], {"a": SOUND}),
        "device": ([entry("a", tarfile.CHRTYPE)], None),
        "block device": ([entry("a", tarfile.BLKTYPE)], None),
        "pipe": ([entry("a", tarfile.FIFOTYPE)], None),
        "contiguous file": ([entry("a", tarfile.CONTTYPE)], {"a": SOUND}),
    }
    for name, (members, more) in link_cases.items():
        made[name] = (lambda m=members: tar(*m), None if more is None else GOOD | more)
    return made | _odd_tars()


def _odd_tars() -> dict[str, tuple[Callable[[], bytes], dict[str, bytes] | None]]:
    x, small = header(b"x", 5) + padded(b"sound"), zipped({"y": b"z"})
    return {
        "unknown kind": (lambda: before_end(header(b"x", 0, b"Z")), None),
        "further volume": (lambda: before_end(header(b"x", 0, b"M")), None),
        "negative size": (lambda: before_end(header(b"x", -BLOCK), x), None),
        "very negative size": (lambda: before_end(header(b"x", -(2**60)), x), None),
        "negative size of a header": (lambda: before_end(header(b"p", -BLOCK, tarfile.XHDTYPE), x), None),
        "negative size of a long name": (lambda: before_end(header(b"p", -BLOCK, tarfile.GNUTYPE_LONGNAME), x), None),
        "8 EB": (lambda: before_end(header(b"x", 2**63 - 1), x), None),
        "1 TB": (lambda: before_end(header(b"x", 2**40), x), None),
        "pax size of 1 TB": (lambda: before_end(pax(record("size", str(2**40))), x), None),
        "pax size below 0": (lambda: before_end(pax(record("size", "-1024")), x), None),
        "pax size beyond all": (lambda: before_end(pax(record("size", "9" * 40)), x), None),
        "pax path outside": (lambda: before_end(pax(record("path", "../escaped")), x), None),
        "pax path absolute": (lambda: before_end(pax(record("path", "/tmp/vqaudio-escaped")), x), None),
        "pax target outside": (
            lambda: before_end(pax(record("linkpath", "../escaped")), header(b"l", 0, tarfile.SYMTYPE, b"ok")), None),
        "pax record of no length": (lambda: before_end(pax(b"0 path=x\n"), x), None),
        "pax record beyond its header": (lambda: before_end(pax(b"999999999 path=x\n"), x), None),
        "pax header of 1 GB": (lambda: before_end(header(b"p", 2**30, tarfile.XHDTYPE), bytes(BLOCK)), None),
        "pax header of many digits": (lambda: before_end(pax(b"1" * 65000), x), None),
        "long name of 1 GB": (lambda: before_end(header(b"p", 2**30, tarfile.GNUTYPE_LONGNAME), bytes(BLOCK)), None),
        "two thousand headers in a row": (lambda: before_end(pax(record("comment", "x")) * 2000, x), None),
        "holes": (lambda: before_end(sparse(5000)), GOOD | {"sparse.wav": b"s" * BLOCK + bytes(5000 - BLOCK)}),
        "holes of 1 TB": (lambda: before_end(sparse(2**40)), None),
        "holes below 0": (lambda: before_end(sparse(-5)), None),
        "holes outside": (lambda: before_end(sparse(5000, name="../escaped")), None),
        "header with a wrong sum": (lambda: before_end(x[:150] + b"7" + x[151:], x), None),
        "nothing": (lambda: bytes(10240), None),
        "folders alone": (lambda: tar(entry("a", tarfile.DIRTYPE), good=False), None),
        "no end": (lambda: _without_end(tar()), None),
        "a zip as its last member": (lambda: tar((entry("x.zip"), small)), GOOD | {"x.zip": small}),
    }  # fmt: skip


def tar_bombs() -> dict[str, Callable[[], bytes]]:
    """Return what makes compressed bombs: a few megabytes that go on for gigabytes, whatever sizes they announce."""
    zeros = bytes(1 << 24)
    megabytes = gzip.compress(zeros, mtime=0)

    def after(first: bytes, count: int, unit: bytes = megabytes) -> bytes:
        return gzip.compress(first, mtime=0) + unit * count

    member = gzip.compress(header(b"zeros", len(zeros)) + zeros, mtime=0)
    empty = gzip.compress(b"".join(header(b"%d" % i, 0) for i in range(20_000)), mtime=0)
    extents = gzip.compress(pax(record("comment", "x" * 60_000)) * 200, mtime=0)
    return {
        "one file of 16 GB": lambda: after(_without_end(tar()) + header(b"zeros", 2**34), 1000),
        "two hundred files of 16 MB": lambda: after(_without_end(tar()), 200, member),
        "twenty thousand empty files": lambda: after(_without_end(tar()), 1, empty),
        "3 GB behind the end": lambda: after(tar(), 200),
        "a pax header of 16 GB": lambda: after(_without_end(tar()) + header(b"p", 2**34, tarfile.XHDTYPE), 1000),
        "a long name of 4 GB": lambda: after(_without_end(tar()) + header(b"p", 2**32, tarfile.GNUTYPE_LONGNAME), 250),
        "many long pax headers": lambda: after(_without_end(tar()), 50, extents),
        "ten thousand links to a file": lambda: gzip.compress(
            tar((entry("big"), bytes(1 << 20)), *(entry(f"l{i}", tarfile.LNKTYPE, "big") for i in range(10_000)))
        ),
    }


# -------------------------------------------------------------------------------------------------- zip


def zip_entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo("placeholder" if "\0" in name else name)
    made.filename = name
    made.external_attr = mode << 16
    return made


def zipped(files: dict[str, bytes], *more: tuple[zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of files and further entries."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as made:
        for name, content in files.items():
            made.writestr(zip_entry(name), content, method)
        for info, content in more:
            made.writestr(info, content, info.compress_type or method)
    return sink.getvalue()


def hostile_zips() -> dict[str, tuple[Callable[[int], bytes], dict[str, bytes] | None]]:
    """Return what makes each zip by a method, and what it becomes; None where it has to be refused."""
    made: dict[str, tuple[Callable[[int], bytes], dict[str, bytes] | None]] = {}

    def add(name: str, *more: tuple[zipfile.ZipInfo, bytes], becomes: dict[str, bytes] | None = None) -> None:
        made[name] = (lambda method, more=more: zipped(GOOD, *more, method=method), becomes)

    for name in OUTSIDE + [name for name in UNUSABLE if name and "\0" not in name]:
        add(f"file {name[:40]!r}", (zip_entry(name), SOUND))
    for name in OUTSIDE:
        add(f"folder {name!r}", (zip_entry(f"{name}/", 0o40755), b""))
        add(f"symbolic link to {name!r}", (zip_entry("l", stat.S_IFLNK | 0o777), name.encode()))
        add(f"{name!r} through a link", (zip_entry("d", stat.S_IFLNK), name.encode()), (zip_entry("d/escaped"), SOUND))
    for name, path in USABLE.items():
        if name.isprintable() or "\n" in name:
            add(f"file {name!r}", (zip_entry(name), SOUND), becomes={**GOOD, path: SOUND})
    add("device", (zip_entry("d", stat.S_IFCHR | 0o666), SOUND), becomes={**GOOD, "d": SOUND})
    add("set-uid bits", (zip_entry("s", 0o107777), SOUND), becomes={**GOOD, "s": SOUND})
    add("link within", (zip_entry("l", stat.S_IFLNK), b"corpus/a.wav"), becomes={**GOOD, "l": SOUND})
    add("link whose target is long", (zip_entry("l", stat.S_IFLNK), b"x" * 10_000_000))
    add("link in a circle", (zip_entry("l", stat.S_IFLNK), b"l"))
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        info = zip_entry("x")
        info.compress_type = method
        add(f"method {method}", (info, SOUND))
    patches = {"size of 1 TB": _size_of(2**40 - 1), "size that is too small": _size_of(10), "a password": _flag(0x1),
               "a name that is not UTF-8": _flag(0x800, b"\xff\xfe")}  # fmt: skip
    for name, patch in patches.items():
        made[name] = (lambda method, patch=patch: patch(zipped(GOOD, (zip_entry("AB"), SOUND), method=method)), None)
    made["overlapping entries"] = (lambda method: overlapping(300, bytes(1 << 22)), None)
    made["a zip in it"] = (lambda method: zipped({"x.zip": zipped({"../y": b"z"})}), {"x.zip": zipped({"../y": b"z"})})
    return made


def _size_of(size: int) -> Callable[[bytes], bytes]:
    """Return what writes another size into the last entry of the central directory."""

    def patch(data: bytes) -> bytes:
        place = data.rindex(b"PK\x01\x02")
        if size >= 2**32:  # as zip64 has it
            extra = struct.pack("<HHQ", 1, 8, size)
            name = place + 46 + struct.unpack_from("<H", data, place + 28)[0]
            changed = data[: place + 24] + b"\xff" * 4 + data[place + 28 : place + 30] + struct.pack("<H", len(extra))
            central = changed[place:] + data[place + 32 : name] + extra
            end = data.rindex(b"PK\x05\x06")
            tail = bytearray(data[end:])
            struct.pack_into("<I", tail, 12, struct.unpack_from("<I", tail, 12)[0] + len(extra))
            return data[:place] + central + data[name:end] + bytes(tail)
        return data[: place + 24] + struct.pack("<I", size) + data[place + 28 :]

    return patch


def _flag(bits: int, name: bytes = b"AB") -> Callable[[bytes], bytes]:
    def patch(data: bytes) -> bytes:
        place = data.rindex(b"PK\x01\x02")
        local = data.rindex(b"PK\x03\x04")
        changed = bytearray(data)
        struct.pack_into("<H", changed, place + 8, bits)
        struct.pack_into("<H", changed, local + 6, bits)
        changed[place + 46 : place + 48] = changed[local + 30 : local + 32] = name
        return bytes(changed)

    return patch


def overlapping(count: int, content: bytes) -> bytes:
    """Return a zip whose entries are all the same bytes: David Fifield's bomb in its simplest form."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    crc, size = zlib.crc32(content), len(content)
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, crc, len(packed), size, 4, 0) + b"0000" + packed
    central = b"".join(
        struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, crc, len(packed), size, 4, 0, 0, 0, 0, 0, 0)
        + b"0000"
        for _ in range(count)
    )
    return local + central + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(central), len(local), 0)


# ---------------------------------------------------------------------------------------------- all of them


def hostile() -> list[Hostile]:
    """Return all hostile archives."""
    made = [
        Hostile(name, suffix, lambda make=make, pack=pack: pack(make()), becomes)
        for name, (make, becomes) in hostile_tars().items()
        for suffix, pack in COMPRESSIONS.items()
    ]
    made += [Hostile(name, "tar.gz", make) for name, make in tar_bombs().items()]
    return made + [
        Hostile(f"{name}, {word}", "zip", lambda make=make, method=method: make(method), becomes)
        for name, (make, becomes) in hostile_zips().items()
        for word, method in ZIP_METHODS.items()
    ]


def sound_archives() -> dict[str, bytes]:
    """Return an archive of GOOD of each kind, by the end of its name."""
    made = {suffix: pack(tar()) for suffix, pack in COMPRESSIONS.items()}
    return made | {f"{word}.zip": zipped(GOOD, method=method) for word, method in ZIP_METHODS.items()}
