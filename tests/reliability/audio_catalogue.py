"""Audio files as strangers leave them: of each kind, how one is made, and what must become of it."""

from __future__ import annotations

import errno
import io
import os
import re
import socket
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from tests.reliability.audio_mutants import RATE, g722, seal_pages, speechlike

Maker = Callable[[Path], None]
WAYS = ("reading", "format", "extraction", "training")
WAVE = speechlike()


@dataclass(frozen=True)
class Case:
    """A file of a kind. `make` writes it to a path; `reason`, where it must be refused, is a pattern of the reason.

    Where it is read, what is read differs by at most `tolerance` from `wave`; None: it is a lossy format, and alike.
    `format_reason`, where given, is for `vqaudio data format`, which wants more. `later` is done to the file between
    the look at its header and the reading.
    """

    name: str
    make: Maker
    file: str = "a.wav"
    reason: str | None = None
    wave: np.ndarray = field(default_factory=lambda: WAVE)
    tolerance: float | None = 2.0**-15
    format_reason: str | None = None
    later: Maker | None = None
    ways: tuple[str, ...] = WAYS
    unprivileged: bool = False


# ------------------------------------------------------------------------------------------------- makers


def void(*done: object) -> None:
    """Take what several calls in one expression return."""


def sound(kind: str, subtype: str, wave: np.ndarray = WAVE, rate: int = RATE) -> bytes:
    """Return a whole file as libsndfile writes it."""
    file = io.BytesIO()
    soundfile.write(file, wave, rate, subtype, format=kind)
    return file.getvalue()


def holding(data: bytes) -> Maker:
    """Return what writes these bytes."""
    return lambda path: void(path.write_bytes(data))


def whole(kind: str, subtype: str, wave: np.ndarray = WAVE) -> Maker:
    """Return what writes such a file, when it is asked to."""
    return lambda path: holding(sound(kind, subtype, wave))(path)


def cut(kind: str, subtype: str, share: float) -> Maker:
    """Return what writes the first part of such a file."""
    return lambda path: void(path.write_bytes((data := sound(kind, subtype))[: int(len(data) * share)]))


def patched(kind: str, subtype: str, place: int | bytes, change: bytes, behind: int = 0) -> Maker:
    """Return what writes a file with bytes changed: `behind` bytes behind `place`, or behind the first of these."""

    def make(path: Path) -> None:
        data = bytearray(sound(kind, subtype))
        first = (data.index(place) + len(place) if isinstance(place, bytes) else place) + behind
        data[first : first + len(change)] = change
        path.write_bytes(data)

    return make


def flac_of_samples(claimed: int) -> Maker:
    """Return what writes a FLAC file whose header claims so many samples, a number of 36 bits."""

    def make(path: Path) -> None:
        data = bytearray(sound("FLAC", "PCM_16"))
        data[21] = data[21] & 0xF0 | claimed >> 32
        data[22:26] = struct.pack(">I", claimed & 0xFFFF_FFFF)
        path.write_bytes(data)

    return make


def wav(fmt: bytes, data: bytes, *before: bytes, size: int | None = None) -> bytes:
    """Return a WAV file of these contents of its chunks."""
    chunk = struct.pack("<4sI", b"data", len(data) if size is None else size) + data
    body = b"WAVE" + struct.pack("<4sI", b"fmt ", len(fmt)) + fmt + b"".join(before) + chunk
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def fmt(tag: int = 1, channels: int = 1, rate: int = RATE, block: int = 2, bits: int = 16) -> bytes:
    """Return the content of a WAV file's `fmt ` chunk."""
    return struct.pack("<HHIIHH", tag, channels, rate, rate * block & 0xFFFF_FFFF, block, bits)


PCM = (WAVE * 32768).astype("<i2").tobytes()


def tagged_mp3(path: Path) -> None:
    """Write an MP3 file behind an ID3 tag with a picture of 200 kB in it."""
    picture = b"APIC" + struct.pack(">IH", 200_000, 0) + bytes(200_000)
    size = len(picture)
    sizes = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\x00\x00" + sizes + picture + sound("MP3", "MPEG_LAYER_III"))


def renumbered_ogg(change: Callable[[list[bytes]], list[bytes]]) -> Maker:
    """Return what writes an Ogg file with its pages changed, and their checksums right again."""

    def make(path: Path) -> None:
        data = sound("OGG", "VORBIS", np.tile(WAVE, 6))
        starts = [match.start() for match in re.finditer(b"OggS", data)] + [len(data)]
        pages = [data[first:last] for first, last in pairwise(starts)]
        path.write_bytes(seal_pages(b"".join(change(pages))))

    return make


def long_wav(hours: float) -> Maker:
    """Return what writes a WAV file of so many hours that takes up no room: samples, and then a hole."""

    def make(path: Path) -> None:
        size = int(hours * 3600 * RATE) * 2
        with open(path, "wb") as file:
            file.write(wav(fmt(), PCM, size=size))
            file.truncate(44 + size)

    return make


def zipped(path: Path) -> None:
    """Write a ZIP archive with a WAV file in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.wav", sound("WAV", "PCM_16"))


def bound_socket(path: Path) -> None:
    """Leave a socket at `path`."""
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket may have 108 bytes
        try:
            one.bind(path.name)
        finally:
            os.chdir(here)


def link_to(target: str) -> Maker:
    """Return what makes a link."""
    return lambda path: path.symlink_to(target)


def w64_in_a_circle(path: Path) -> None:
    """Write a W64 file with a chunk that says that it takes no room."""
    data = bytearray(sound("W64", "PCM_16"))
    first = data.index(b"fmt ")
    data[first + 16 : first + 24] = bytes(8)
    path.write_bytes(data)


def sealed_without_rights(path: Path) -> None:
    """Write a file that nobody may read."""
    holding(sound("WAV", "PCM_16"))(path)
    path.chmod(0)


# ---------------------------------------------------------------------------------------------- catalogue

_HALF = WAVE[: len(WAVE) // 2]
_NAN, _INFINITE = WAVE.copy(), WAVE.copy()
_NAN[7000], _INFINITE[7000] = np.nan, -np.inf
_LOUD = np.clip(3 * WAVE, -1, 1)
_STEREO = np.stack([WAVE, -0.5 * WAVE], axis=1)
_NAMES = ("with space.wav", "-rf.wav", "--out=x.wav", "tab\there.wav", "new\nline.wav", "back\\slash.wav",
          "$(touch x); 'quoted\".wav", "ünïcodé 音.wav", "caf\udce9.wav", "wav", ".hidden")  # fmt: skip
_MISSING = r"no such file|a link to what is not there"

GOOD = [
    Case("8 bit", whole("WAV", "PCM_U8"), tolerance=2.0**-7),
    Case("16 bit", whole("WAV", "PCM_16"), tolerance=0.0),
    Case("24 bit", whole("WAV", "PCM_24"), tolerance=2.0**-23),
    Case("32 bit", whole("WAV", "PCM_32"), tolerance=2.0**-23),
    Case("float", whole("WAV", "FLOAT"), tolerance=0.0),
    Case("double", whole("WAV", "DOUBLE"), tolerance=0.0),
    Case("A-law", whole("WAV", "ALAW"), tolerance=2.0**-5),
    Case("mu-law", whole("WAV", "ULAW"), tolerance=2.0**-5),
    Case("MS ADPCM", whole("WAV", "MS_ADPCM", WAVE[:8096]), wave=WAVE[:8096], tolerance=None),
    Case("extensible", whole("WAVEX", "PCM_16"), tolerance=0.0),
    Case("two channels", whole("WAV", "FLOAT", _STEREO), wave=0.25 * WAVE, tolerance=2.0**-23),
    Case("1000 channels", whole("WAV", "PCM_16", np.repeat(WAVE[:, None], 1000, 1)), tolerance=2.0**-15),
    Case("RF64", whole("RF64", "PCM_16"), tolerance=0.0),
    Case("W64", whole("W64", "PCM_16"), "a.w64", tolerance=0.0),
    Case("CAF", whole("CAF", "PCM_16"), "a.caf", tolerance=0.0),
    Case("AIFF", whole("AIFF", "PCM_16"), "a.aiff", tolerance=0.0),
    Case("AU", whole("AU", "PCM_16"), "a.au", tolerance=0.0),
    Case("NIST SPHERE", whole("NIST", "PCM_16"), tolerance=0.0),
    Case("FLAC", whole("FLAC", "PCM_16"), "a.flac", tolerance=0.0),
    Case("FLAC of 24 bit", whole("FLAC", "PCM_24"), "a.flac", tolerance=2.0**-23),
    Case("Ogg Vorbis", whole("OGG", "VORBIS"), "a.ogg", tolerance=None),
    Case("Opus", whole("OGG", "OPUS"), "a.opus", tolerance=None),
    Case("MP3", whole("MP3", "MPEG_LAYER_III"), "a.mp3", tolerance=None),
    Case("MP3 with a picture", tagged_mp3, "a.mp3", tolerance=None),
    Case("G.722", lambda path: holding(g722(WAVE))(path), "a.g722", tolerance=None),
    Case("FLAC named .wav", whole("FLAC", "PCM_16"), tolerance=0.0),
    Case("WAV named .mp3", whole("WAV", "PCM_16"), "a.mp3", tolerance=0.0),
    Case("WAV named .g722", whole("WAV", "PCM_16"), "a.g722", tolerance=0.0),
    Case("one sample", whole("WAV", "PCM_16", WAVE[5000:5001]), wave=WAVE[5000:5001], format_reason="too short"),
    Case("silence", whole("WAV", "PCM_16", 0 * WAVE), wave=0 * WAVE, format_reason="silent"),
    Case("clipped", whole("WAV", "PCM_16", _LOUD), wave=_LOUD),
    Case("beyond full scale", whole("WAV", "FLOAT", 4 * WAVE), wave=4 * WAVE, tolerance=0.0, ways=("reading",)),
    Case("written to a pipe", holding(wav(fmt(), PCM, size=0xFFFF_FFFF)), tolerance=0.0),
    Case("chunks before the samples", holding(wav(fmt(), PCM, *[b"note\x02\0\0\0ab"] * 100)), tolerance=0.0),
    Case("wrong bytes per second", holding(wav(fmt()[:8] + b"\xff" * 4 + fmt()[12:], PCM)), tolerance=0.0),
    Case("a link", lambda path: void(whole("WAV", "PCM_16")(path.with_name("other")), link_to("other")(path))),
    Case("named like a command", whole("WAV", "PCM_16"), "a.wav|", tolerance=0.0, ways=("reading",)),
    Case("hours long", long_wav(2), ways=("reading", "format"), format_reason="too long"),
    *(Case(f"name {name!r}", whole("WAV", "PCM_16"), name, tolerance=0.0) for name in _NAMES),
]
BAD = [
    Case("zero length", holding(b""), reason="the file is empty"),
    Case("header alone", holding(wav(fmt(), b"")), reason="holds no samples"),
    Case("header cut off", holding(wav(fmt(), PCM)[:30]), reason="unreadable"),
    *(
        Case(f"{kind} cut off", cut(kind, subtype, 0.6), f"a.{kind}", "truncated|lost sync|malformed|unreadable")
        for kind, subtype in [
            ("WAV", "PCM_16"),
            ("WAV", "ULAW"),
            ("RF64", "PCM_16"),
            ("W64", "PCM_16"),
            ("CAF", "PCM_16"),
            ("AIFF", "PCM_16"),
            ("AU", "PCM_16"),
            ("NIST", "PCM_16"),
            ("FLAC", "PCM_16"),
            ("OGG", "VORBIS"),
            ("OGG", "OPUS"),
            ("MP3", "MPEG_LAYER_III"),
        ]
    ),
    Case("more samples claimed", holding(wav(fmt(), PCM, size=len(PCM) + 2)), reason="truncated"),
    Case("no samples claimed", holding(wav(fmt(), PCM, size=0)), reason="the header says 0 samples"),
    Case("samples too wide", holding(wav(fmt(block=1), PCM)), reason="contradicts itself"),
    Case("samples too narrow", holding(wav(fmt(block=8), PCM)), reason="contradicts itself"),
    Case("no channels", holding(wav(fmt(channels=0), PCM)), reason="unreadable"),
    Case("65,535 channels", holding(wav(fmt(channels=65535, block=2), PCM)), reason="contradicts itself|unreadable"),
    Case("no fmt", holding(b"RIFF\xff\0\0\0WAVEdata\xff\0\0\0" + PCM[:255]), reason="unreadable"),
    Case("unknown codec", holding(wav(fmt(tag=0x2222), PCM)), reason="unreadable"),
    Case("FLAC of 2^36 - 1 samples", flac_of_samples(2**36 - 1), "a.flac", "cannot hold"),
    Case("FLAC of unknown length", flac_of_samples(0), "a.flac", "does not say how many"),
    Case("FLAC of one more", flac_of_samples(len(WAVE) + 1), "a.flac", "truncated|unreadable"),
    Case("FLAC damaged", patched("FLAC", "PCM_16", 5000, b"\0" * 40), "a.flac", "unreadable"),
    Case("AIFF of too many bytes", patched("AIFF", "PCM_16", b"SSND", b"\x7e\xff\0\0"), "a.aiff", "truncated"),
    Case("Ogg damaged", patched("OGG", "VORBIS", 5000, b"\0" * 9), "a.ogg", "damaged: Ogg page"),
    Case("Opus damaged", patched("OGG", "OPUS", -900, b"\0" * 9), "a.opus", "damaged: Ogg page"),
    Case("Ogg without a page", renumbered_ogg(lambda pages: pages[:3] + pages[4:]), "a.ogg", "page 3 is missing"),
    Case("Ogg twice", renumbered_ogg(lambda pages: pages + pages), "a.ogg", "after the end"),
    Case("NaN", whole("WAV", "FLOAT", _NAN), reason="sample 7000 is NaN or infinite"),
    Case("infinity", whole("WAV", "FLOAT", _INFINITE), reason="sample 7000 is NaN or infinite"),
    Case("beyond float32", whole("WAV", "DOUBLE", WAVE.astype(float) * 1e300), reason="is NaN or infinite"),
    Case("scaled to 16 bit", whole("WAV", "FLOAT", WAVE * 32768), reason="not scaled"),
    Case("scaled to 1e30", whole("WAV", "FLOAT", WAVE * 1e30), reason="not scaled"),
    *(
        Case(f"{rate} Hz", holding(wav(fmt(rate=rate), PCM)), reason=f"{rate} Hz: expected|unreadable")
        for rate in (0, 1, 2_100_000_000, 0xFFFF_FFFF)
    ),
    Case("100,000 chunks", holding(wav(fmt(), PCM, b"note\0\0\0\0" * 100_000)), reason="more than 1000 chunks"),
    Case("chunk into the void", holding(wav(fmt(), PCM, b"note\xf8\xff\xff\xff")), reason="unreadable"),
    Case("W64 in a circle", w64_in_a_circle, "a.w64", "contradicts itself"),
    Case("CAF of a negative size", patched("CAF", "PCM_16", b"desc", b"\xff" * 7 + b"\xf4"), "a.caf", "unreadable"),
    Case("of another program", whole("MAT5", "PCM_16"), reason="is a file of MAT5"),
    Case("text", holding(b"what was said\n" * 500), reason="unreadable"),
    Case("HTML", holding(b"<html>404 Not Found</html>" * 40), reason="unreadable"),
    Case("ZIP", zipped, reason="unreadable"),
    Case("JPEG", holding(b"\xff\xd8\xff\xe0\0\x10JFIF" + os.urandom(4000)), reason="."),
    Case("text named .g722", holding(b"what was said\n" * 500), "a.g722", "text"),
    Case("JPEG named .g722", holding(b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(4000)), "a.g722", "a JPEG image"),
    Case("zeros", holding(bytes(5000)), reason="unreadable"),
    Case("missing", lambda path: None, reason=_MISSING),
    Case("a directory", lambda path: path.mkdir(), reason="it is a folder, expected a file"),
    Case("a pipe", lambda path: os.mkfifo(path), reason="it is a pipe"),
    Case("a socket", bound_socket, reason="unreadable|socket"),
    Case("/dev/zero", link_to("/dev/zero"), reason="it is a device"),
    Case("/dev/full", link_to("/dev/full"), reason="it is a device"),
    Case("/proc/self/mem", link_to("/proc/self/mem"), reason="empty"),
    Case("a broken link", link_to("nowhere.wav"), reason=_MISSING),
    Case("a link to itself", link_to("a.wav"), reason=os.strerror(errno.ELOOP)),
    Case("below a file", holding(b"x"), "a.wav/b.wav", "unreadable|no such file", ways=("reading", "training")),
    Case("name too long", lambda path: None, "a" * 300, os.strerror(errno.ENAMETOOLONG)),
    Case("null byte in the name", lambda path: None, "a\0.wav", "null byte", ways=("reading",)),
    Case("unreadable", sealed_without_rights, reason="Permission denied", ways=("reading",), unprivileged=True),
    *(Case(f"empty, name {name!r}", holding(b""), name, "the file is empty") for name in _NAMES),
]
LATER = [
    Case(name, whole(kind, subtype), reason=reason, later=later, ways=("reading", "training"))
    for kind, subtype in [("WAV", "PCM_16"), ("FLAC", "PCM_16")]
    for name, later, reason in [
        (f"{kind} vanishes", Path.unlink, "no such file"),
        (f"{kind} becomes empty", holding(b""), "the file is empty"),
        (f"{kind} becomes shorter", whole(kind, subtype, _HALF), "was changed"),
        (f"{kind} becomes longer", whole(kind, subtype, np.tile(WAVE, 2)), "was changed"),
        (f"{kind} is cut off", lambda path: os.truncate(path, 5000), "changed|unreadable|truncated|lost sync"),
        (f"{kind} becomes text", holding(b"what was said\n" * 500), "unreadable"),
        (f"{kind} becomes a pipe", lambda path: void(path.unlink(), os.mkfifo(path)), "it is a pipe"),
    ]
]
CATALOGUE = GOOD + BAD + LATER
