"""Headers of uncompressed files: cut off is told from short, and what contradicts itself is refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from vqaudio.audio.io import probe, read_audio
from vqaudio.audio.riff import find_data_chunk
from vqaudio.errors import AudioError

KINDS = ["WAV", "WAVEX", "RF64", "W64", "CAF", "AIFF", "AU", "NIST"]
WAVE = np.rint(np.random.default_rng(0).uniform(-9000, 9000, 6000)) / 32768


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_whole(tmp_path, kind, subtype, channels):
    if (kind, subtype) == ("NIST", "FLOAT"):
        pytest.skip("there is no such SPHERE file")
    soundfile.write(tmp_path / "a", np.stack([WAVE] * channels, 1), 8000, subtype, format=kind)
    chunk = find_data_chunk(tmp_path / "a")
    assert chunk.missing == 0 and chunk.frames in (None, len(WAVE))
    assert np.abs(read_audio(tmp_path / "a")[0] - WAVE).max() < 2**-14


@pytest.mark.parametrize("kind", KINDS)
def test_files_cut_off_are_not_taken_for_short_ones(tmp_path, kind):
    soundfile.write(tmp_path / "a", WAVE, 8000, "PCM_16", format=kind)
    data = (tmp_path / "a").read_bytes()
    for lost in (2, 1000, 11000):
        (tmp_path / "a").write_bytes(data[: len(data) - lost])
        with pytest.raises(AudioError, match="truncated"):
            probe(tmp_path / "a")


def wav(path, fmt: bytes, *before: bytes) -> None:
    """Write a WAV file of 1000 bytes of samples with this `fmt ` chunk."""
    chunks = struct.pack("<4sI", b"fmt ", len(fmt)) + fmt + b"".join(before) + struct.pack("<4sI", b"data", 1000)
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", len(chunks) + 1004, b"WAVE") + chunks + bytes(1000))


@pytest.mark.parametrize(
    ("channels", "block", "bits"), [(1, 1, 16), (2, 3, 16), (1, 4, 16), (2, 2, 16), (1, 0, 16), (3, 4, 8)]
)
def test_samples_that_do_not_fit_their_frames(tmp_path, channels, block, bits):
    wav(tmp_path / "a.wav", struct.pack("<HHIIHH", 1, channels, 8000, 16000, block, bits))
    with pytest.raises(AudioError, match="a header that contradicts itself"):
        probe(tmp_path / "a.wav")


def test_24_bits_in_frames_of_3_bytes_fit(tmp_path):
    wav(tmp_path / "a.wav", struct.pack("<HHIIHH", 1, 1, 8000, 24000, 3, 24))
    assert probe(tmp_path / "a.wav").frames == 333


def test_many_chunks_cost_no_time(tmp_path):
    fmt = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    wav(tmp_path / "a.wav", fmt, b"note\0\0\0\0" * 900)
    assert probe(tmp_path / "a.wav").frames == 500
    wav(tmp_path / "a.wav", fmt, b"note\0\0\0\0" * 1100)
    with pytest.raises(AudioError, match="more than 1000 chunks"):
        probe(tmp_path / "a.wav")


def test_a_chunk_of_w64_that_leads_back_to_itself(tmp_path):
    soundfile.write(tmp_path / "a.w64", WAVE, 8000, "PCM_16")
    data = bytearray((tmp_path / "a.w64").read_bytes())
    data[56:64] = bytes(8)
    (tmp_path / "a.w64").write_bytes(data)
    with pytest.raises(AudioError, match="a chunk of 0 bytes, expected at least 24"):
        probe(tmp_path / "a.w64")
