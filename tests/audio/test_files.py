"""What is no file is refused without waiting for it; a disk that fails is asked again, and not taken for a bad file."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from vqaudio.audio import files
from vqaudio.audio.files import open_audio
from vqaudio.audio.io import iter_blocks, probe, read_audio, write_wav
from vqaudio.errors import AudioError, StorageError

RATE = 16000


@pytest.fixture
def wav(tmp_path):
    """A file of 3000 samples that count up."""
    write_wav(tmp_path / "a.wav", np.arange(3000) / 32768, RATE)
    return tmp_path / "a.wav"


@pytest.fixture
def pauses(monkeypatch):
    """Do not wait; return what would have been waited."""
    waited: list[float] = []
    monkeypatch.setattr(files.time, "sleep", waited.append)
    return waited


def fail(monkeypatch, name: str, code: int, calls: int, first: int = 0) -> None:
    """Let the function `name` of `os` fail `calls` times with an error number, from call number `first` on."""
    real, left = getattr(os, name), iter(range(1000))

    def failing(*given, **named):
        if first <= next(left) < first + calls:
            raise OSError(code, os.strerror(code))
        return real(*given, **named)

    monkeypatch.setattr(os, name, failing)


# ----------------------------------------------------------------------------------------- what is no file


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "it is a pipe"),
        (os.mkdir, "it is a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
        (lambda path: path.symlink_to("gone.wav"), r"a link to what is not there: gone\.wav"),
        (lambda path: path.symlink_to(path.name), os.strerror(errno.ELOOP)),
        (lambda path: path.touch(), r"empty \(0 bytes\)"),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path, make, message):
    make(tmp_path / "a.wav")
    with pytest.raises(AudioError, match=message):
        probe(tmp_path / "a.wav")


def test_a_file_that_became_a_pipe_is_not_waited_for(wav):
    info = probe(wav)
    wav.unlink()
    os.mkfifo(wav)
    with pytest.raises(AudioError, match="it is a pipe"):
        next(iter_blocks(info))


@pytest.mark.parametrize("name", ["a\0.wav", "a" * 300])
def test_a_name_that_no_file_can_have(tmp_path, name):
    with pytest.raises(AudioError, match=r"null byte|too long"):
        probe(f"{tmp_path}/{name}")


# -------------------------------------------------------------------------------------- a disk that fails


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_disk_that_fails_for_a_while_is_asked_again(wav, pauses, monkeypatch, caplog, code):
    fail(monkeypatch, "open", code, calls=2)
    assert len(read_audio(wav)[0]) == 3000
    assert pauses == [1.0, 5.0]
    assert f"{wav}: could not be read: {os.strerror(code)}; trying again in 1 s" in caplog.text


@pytest.mark.parametrize("read", [probe, lambda path: list(iter_blocks(path))])
def test_a_disk_that_goes_on_failing_is_named(wav, pauses, monkeypatch, read):
    fail(monkeypatch, "open", errno.EIO, calls=99)
    with pytest.raises(StorageError, match=r"Input/output error, 4 times in 21 s.*may be whole.*run the command again"):
        read(wav)
    assert pauses == [1.0, 5.0, 15.0]


def test_what_was_read_before_the_disk_failed_is_not_read_twice(wav, pauses, monkeypatch):
    blocks = iter_blocks(probe(wav), block_frames=1000)
    first = next(blocks)
    monkeypatch.setattr("soundfile.SoundFile.read", broken_once())
    fail(monkeypatch, "pread", errno.EIO, calls=1)
    samples = np.concatenate([first, *blocks])
    np.testing.assert_array_equal(samples * 32768, np.arange(3000))
    assert pauses == [1.0]


def broken_once():
    """Return a method of libsndfile's that fails on its first call, as on a disk that does."""
    import soundfile

    real, calls = soundfile.SoundFile.read, []

    def read(self, *given, **named):
        calls.append(1)
        if len(calls) == 1:
            raise soundfile.LibsndfileError(2)  # "system error"
        return real(self, *given, **named)

    return read


def test_a_decoder_that_fails_on_a_whole_disk_speaks_of_the_file(wav, pauses, monkeypatch):
    monkeypatch.setattr("soundfile.SoundFile.read", broken_once())
    with pytest.raises(AudioError, match="unreadable: System error"):
        read_audio(wav)
    assert pauses == []


def test_the_files_own_faults_are_not_the_disks(tmp_path, pauses, monkeypatch, wav):
    fail(monkeypatch, "open", errno.EACCES, calls=1)
    with pytest.raises(AudioError, match="unreadable: Permission denied"), open_audio(wav):
        pass
    assert pauses == []
