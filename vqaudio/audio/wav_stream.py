"""Waveforms written while they are made: to a WAV file that can be read meanwhile, or to a pipe.

16 bit, mono. What lies beyond [-1, 1] is clipped, and counted.
"""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from vqaudio.audio.atomic import cannot_write, write_whole
from vqaudio.audio.io import WavWriter, to_int16
from vqaudio.errors import VQAudioError

HEADER_BYTES = 44
RIFF_SIZE, DATA_SIZE = 4, 40
"""Where in the header of such a file its two lengths stand, unsigned 32-bit numbers: of what follows each."""
UNKNOWN = 0xFFFF_FFFF
"""What a header says of lengths that nobody knows yet, as ffmpeg and most readers understand it."""


class PcmPipe:
    """16-bit samples written to where nothing can be changed afterwards, such as a pipe, at once at each `write`."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Write raw samples, the lower byte first; `name` is what messages call it."""
        self.name, self.frames, self.clipped = name, 0, 0
        self._file = file

    @classmethod
    def with_header(cls, file: BinaryIO, name: str, sample_rate: int) -> PcmPipe:
        """Write a WAV header of unknown length first."""
        file.write(_header(sample_rate, UNKNOWN, UNKNOWN))
        file.flush()
        return cls(file, name)

    def write(self, waveform: np.ndarray) -> None:
        """Append float samples (T,).

        Raises BrokenPipeError where nobody reads any more, VQAudioError where a disk behind it is full.
        """
        samples, clipped = to_int16(waveform)
        try:
            self._file.write(samples.astype("<i2").tobytes())
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise cannot_write(self.name, error) from error
        self.frames += len(samples)
        self.clipped += clipped


class GrowingWav:
    """A WAV file that is valid whenever it is read: after each `write` its header says its length.

    It takes the name `path` with its first samples; until then, what was there stays. Whatever ends the writing, what
    has been written is a whole file. A context manager, which closes it.
    """

    def __init__(self, path: str | os.PathLike, sample_rate: int) -> None:
        self.name, self.frames, self.clipped = str(path), 0, 0
        self._path, self._rate = Path(path), sample_rate
        self._file: BinaryIO | None = None

    def __enter__(self) -> GrowingWav:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError as failed:  # what a full disk did not take
                if error is None:
                    raise cannot_write(self._path, failed) from failed

    def write(self, waveform: np.ndarray) -> None:
        """Append float samples (T,). Raises VQAudioError where the file cannot be written, or would exceed 4 GiB."""
        samples, clipped = to_int16(waveform)
        if not len(samples):
            return
        size = 2 * (self.frames + len(samples))
        if size > UNKNOWN - HEADER_BYTES:
            raise VQAudioError(f"{self._path}: {size // 2} samples do not fit into a WAV file (4 GiB)")
        try:
            if self._file is None:
                self._begin(samples.astype("<i2").tobytes())
            else:
                self._append(samples.astype("<i2").tobytes(), size)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        self.frames += len(samples)
        self.clipped += clipped

    def _begin(self, data: bytes) -> None:
        with write_whole(self._path, durable=False) as file:
            file.write(_header(self._rate, *_sizes(len(data))) + data)
        self._file = open(self._path, "r+b")  # noqa: SIM115 (__exit__ closes it)

    def _append(self, data: bytes, size: int) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(data)
        self._file.flush()  # before the header, which never promises what is not there
        for place, value in zip((RIFF_SIZE, DATA_SIZE), _sizes(size)):
            self._file.seek(place)
            self._file.write(struct.pack("<I", value))
        self._file.flush()


def _sizes(data: int) -> tuple[int, int]:
    """Return the two lengths in the header of a file with so many bytes of samples."""
    return data + HEADER_BYTES - RIFF_SIZE - 4, data


def _header(sample_rate: int, riff_size: int, data_size: int) -> bytes:
    header = io.BytesIO()
    WavWriter(header, sample_rate, "PCM_16")
    for place, value in ((RIFF_SIZE, riff_size), (DATA_SIZE, data_size)):
        header.seek(place)
        header.write(struct.pack("<I", value))
    return header.getvalue()
