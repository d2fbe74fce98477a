"""An Ogg file is read whole or not at all: libsndfile would leave out what is damaged."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from vqaudio.audio.io import probe
from vqaudio.audio.ogg import find_damage, page_checksum
from vqaudio.errors import AudioError


@pytest.fixture(params=["VORBIS", "OPUS"])
def ogg(tmp_path, request):
    """A file of several pages."""
    wave = np.random.default_rng(0).uniform(-0.3, 0.3, 60000)
    soundfile.write(tmp_path / "a.ogg", wave, 16000, request.param, format="OGG")
    return tmp_path / "a.ogg"


def pages(path) -> list[bytes]:
    data = path.read_bytes()
    starts = [match.start() for match in re.finditer(b"OggS", data)] + [len(data)]
    return [data[first:last] for first, last in pairwise(starts)]


def damage(path) -> str | None:
    with open(path, "rb") as file:
        return find_damage(file)


def test_the_checksum_is_libogg_s(ogg):
    assert len(pages(ogg)) >= 4
    for page in pages(ogg):
        assert page_checksum(page[:22] + bytes(4) + page[26:]) == int.from_bytes(page[22:26], "little")
    assert damage(ogg) is None


def test_a_flipped_bit_anywhere_is_found(ogg):
    data = ogg.read_bytes()
    for place in np.random.default_rng(1).integers(4, len(data), 60):
        ogg.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        assert damage(ogg) is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: parts[:2] + parts[3:], "Ogg page 2 is missing"),
        (lambda parts: parts + parts, "comes after the end of the stream"),
        (lambda parts: [*parts, b"tail"], "breaks off|no Ogg page"),
        (lambda parts: parts[:-1], "truncated: the Ogg stream breaks off before its end"),
        (lambda parts: [*parts[:2], b"junk" * 20, *parts[2:]], "no Ogg page at byte"),
    ],
)
def test_missing_and_strange_pages(ogg, change, message):
    ogg.write_bytes(b"".join(change(pages(ogg))))
    with pytest.raises(AudioError, match=message):
        probe(ogg)


def test_two_streams_at_once_are_refused(ogg, tmp_path):
    soundfile.write(tmp_path / "b.ogg", np.zeros(9000), 16000)
    mixed = [page for pair in zip(pages(ogg), pages(tmp_path / "b.ogg"), strict=False) for page in pair]
    ogg.write_bytes(b"".join(mixed))
    with pytest.raises(AudioError, match="several Ogg streams"):
        probe(ogg)
