"""WAV data that is valid while it is written: by our own reader, libsndfile and ffmpeg's demuxer."""

import io
import os
import struct
import threading
import time

import av
import numpy as np
import pytest
import soundfile

from vqaudio.audio import probe, read_audio, write_wav
from vqaudio.audio.riff import find_data_chunk
from vqaudio.audio.wav_stream import UNKNOWN, GrowingWav, PcmPipe
from vqaudio.errors import VQAudioError

RATE = 8000


def pieces(sizes=(3, 500, 1, 0, 4096), seed=0):
    return [np.random.default_rng(seed).uniform(-0.9, 0.9, n).astype(np.float32) for n in sizes]


def test_a_growing_file_ends_as_the_file_written_at_once(tmp_path):
    with GrowingWav(tmp_path / "grown.wav", RATE) as wav:
        for piece in pieces():
            wav.write(piece)
    write_wav(tmp_path / "once.wav", np.concatenate(pieces()), RATE)
    assert (tmp_path / "grown.wav").read_bytes() == (tmp_path / "once.wav").read_bytes()
    assert wav.frames == sum(map(len, pieces())) and wav.clipped == 0


def test_it_can_be_read_after_every_piece(tmp_path):
    path, so_far = tmp_path / "grown.wav", 0
    with GrowingWav(path, RATE) as wav:
        for piece in pieces():
            wav.write(piece)
            so_far += len(piece)
            assert probe(path).frames == soundfile.info(path).frames == so_far
            np.testing.assert_allclose(read_audio(path)[0][-len(piece) or so_far :], piece, atol=2**-16 + 1e-7)


def test_it_can_be_read_at_any_moment_of_the_writing(tmp_path):
    """Another thread reads as fast as it can: the header never promises what is not there."""
    path, seen, done = tmp_path / "grown.wav", [], threading.Event()

    def read() -> None:
        while not done.is_set():
            if path.exists():
                chunk = find_data_chunk(path)
                seen.append((chunk.promised, chunk.missing))

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + 60  # the reader's turns come when the machine likes
    with GrowingWav(path, RATE) as wav:
        while len({promised for promised, _ in seen}) <= 10 and time.monotonic() < deadline:
            for piece in pieces([50] * 100):
                wav.write(piece)
    done.set()
    reader.join()
    assert len({promised for promised, _ in seen}) > 10, "read while it grew"
    assert all(promised > 0 and missing == 0 for promised, missing in seen)


def test_what_was_there_stays_until_the_first_samples_and_what_was_written_stays_after_an_error(tmp_path):
    path = tmp_path / "grown.wav"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), GrowingWav(path, RATE) as wav:
        wav.write(np.zeros(0, np.float32))
        assert path.read_bytes() == b"before"
        wav.write(pieces()[1])
        raise KeyboardInterrupt
    assert probe(path).frames == 500
    assert os.listdir(tmp_path) == ["grown.wav"]


def test_clipping_is_counted(tmp_path):
    loud = np.array([0.5, 1.5, -2.0, 1.0, -1.0], np.float32)
    with GrowingWav(tmp_path / "loud.wav", RATE) as wav:
        wav.write(loud)
        wav.write(loud)
    pipe = PcmPipe(io.BytesIO(), "pipe")
    pipe.write(loud)
    assert (wav.frames, wav.clipped, pipe.frames, pipe.clipped) == (10, 4, 5, 2)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(VQAudioError, match=f"cannot write {tmp_path}/file/x.wav"),
        GrowingWav(tmp_path / "file/x.wav", RATE) as wav,
    ):
        wav.write(pieces()[0])


def test_more_than_a_wav_file_holds_is_refused(tmp_path):
    with GrowingWav(tmp_path / "long.wav", RATE) as wav:
        wav.write(pieces()[0])
        wav.frames = (UNKNOWN - 44) // 2  # as if so many had been written
        with pytest.raises(VQAudioError, match="do not fit into a WAV file"):
            wav.write(pieces()[0])
    assert probe(tmp_path / "long.wav").frames == 3


def test_a_pipe_gets_a_header_of_unknown_length_and_then_the_samples():
    file = io.BytesIO()
    pipe = PcmPipe.with_header(file, "standard output", RATE)
    for piece in pieces():
        pipe.write(piece)
    written = file.getvalue()
    assert struct.unpack("<4sI4s", written[:12]) == (b"RIFF", 0xFFFFFFFF, b"WAVE")
    assert struct.unpack("<4sI", written[36:44]) == (b"data", 0xFFFFFFFF)
    expected = np.rint(np.concatenate(pieces()) * 32768).astype("<i2")
    assert written[44:] == expected.tobytes()
    assert pipe.frames == len(expected)


def test_such_a_pipe_is_understood(tmp_path):
    """By ffmpeg's demuxer, from what cannot seek; saved to a file, also by libsndfile and by our own reader."""
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as file:
        pipe = PcmPipe.with_header(file, "pipe", RATE)
        for piece in pieces():
            pipe.write(piece)
    with os.fdopen(read_end, "rb") as file:
        received = file.read()
    with av.open(io.BufferedReader(_NoSeek(received)), format="wav") as container:
        (stream,) = container.streams
        assert (stream.rate, stream.codec_context.name) == (RATE, "pcm_s16le")
        decoded = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])
    expected = np.rint(np.concatenate(pieces()) * 32768)
    np.testing.assert_array_equal(decoded, expected)
    (tmp_path / "saved.wav").write_bytes(received)
    np.testing.assert_array_equal(read_audio(tmp_path / "saved.wav")[0] * 32768, expected)


class _NoSeek(io.RawIOBase):
    """Bytes that come as from a pipe."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._file.readinto(buffer)


def test_raw_samples_have_no_header_and_come_at_once():
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as file:
        PcmPipe(file, "player").write(np.array([0.5, -0.5], np.float32))
        assert os.read(read_end, 100) == np.array([16384, -16384], "<i2").tobytes()
    os.close(read_end)


def test_a_pipe_that_nobody_reads_is_said_to_be_broken():
    read_end, write_end = os.pipe()
    os.close(read_end)
    file = os.fdopen(write_end, "wb")
    with pytest.raises(BrokenPipeError):
        PcmPipe.with_header(file, "pipe", RATE)
    with pytest.raises(BrokenPipeError):
        file.close()


def test_a_full_disk_behind_a_pipe_is_named():
    with open("/dev/full", "wb", buffering=0) as full:
        pipe = PcmPipe(full, "standard output")
        with pytest.raises(VQAudioError, match="cannot write standard output: No space left on device"):
            pipe.write(np.zeros(4, np.float32))
