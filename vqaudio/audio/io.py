"""Reading and writing audio files: mono float32 waveforms in [-1, 1], always beside their sample rate in Hz.

WAV, FLAC, OGG, Opus, MP3, AIFF and whatever else libsndfile knows; raw `.g722` through PyAV. Files are read
in bounded blocks, and nothing that is wrong with one passes silently: see `probe` and `iter_blocks`.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from vqaudio.audio.atomic import write_whole
from vqaudio.audio.g722 import G722_RATE, count_frames, decode_blocks
from vqaudio.audio.ogg import lacks_end
from vqaudio.audio.riff import find_data_chunk
from vqaudio.errors import AudioError, VQAudioError, did_you_mean

logger = logging.getLogger(__name__)
BLOCK_FRAMES = 1 << 16  # frames read at a time: 256 KiB of float32 a channel
_WAV_FORMATS = {"PCM_16": (1, 16), "FLOAT": (3, 32)}  # subtype -> (format tag, bits per sample)


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file says of itself. `frames` counts samples per channel."""

    path: str
    sample_rate: int
    channels: int
    frames: int
    format: str
    subtype: str

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


# ---------------------------------------------------------------------------------------------- reading


def probe(path: str | os.PathLike) -> AudioInfo:
    """Read the header of an audio file.

    Raises AudioError where the file is missing, a directory, empty, of unknown format or without samples, and
    where a WAV, AIFF or Ogg file was cut off; with other formats that shows on reading.
    """
    path = _readable_file(path)
    if _is_g722(path):
        return AudioInfo(str(path), G722_RATE, 1, count_frames(path), "G722", "G722")
    with _open(path) as file:
        info = AudioInfo(str(path), file.samplerate, file.channels, file.frames, file.format, file.subtype)
    _check_length(info)
    return info


def read_audio(path: str | os.PathLike, start: int = 0, frames: int | None = None) -> tuple[np.ndarray, int]:
    """Read `frames` samples (all, without it) from sample `start` on: float32 mono (T,), and the rate in Hz.

    Channels are mixed down by their mean. Raises AudioError like `iter_blocks`.
    """
    info = probe(path)
    blocks = list(iter_blocks(info, BLOCK_FRAMES, start, frames))
    return (np.concatenate(blocks) if len(blocks) != 1 else blocks[0]), info.sample_rate


def iter_blocks(
    source: str | os.PathLike | AudioInfo,
    block_frames: int = BLOCK_FRAMES,
    start: int = 0,
    frames: int | None = None,
) -> Iterator[np.ndarray]:
    """Read a file as consecutive blocks of at most `block_frames` samples, float32 mono.

    `source` is a path, or what `probe` said of it, which spares reading the header again. Raises AudioError
    where `probe` does; where fewer samples can be decoded than the header says; where a sample is NaN or
    infinite; and where the samples asked for lie outside the file.
    """
    info = source if isinstance(source, AudioInfo) else probe(source)
    wanted = info.frames - start if frames is None else frames
    if start < 0 or wanted <= 0 or start + wanted > info.frames:
        end = "the end" if frames is None else start + wanted
        raise AudioError(info.path, f"samples {start} to {end} were asked for; the file holds {info.frames}")
    read = 0
    for block in _decode(info, block_frames, start, wanted):
        if not np.isfinite(block).all():
            bad = start + read + int(np.flatnonzero(~np.isfinite(block))[0])
            raise AudioError(info.path, f"sample {bad} is NaN or infinite")
        read += len(block)
        yield block
    if read < wanted:
        raise AudioError(
            info.path, f"truncated: the header says {info.frames} samples, only {start + read} can be decoded"
        )


def _decode(info: AudioInfo, block_frames: int, start: int, wanted: int) -> Iterator[np.ndarray]:
    if info.format == "G722":
        yield from decode_blocks(info.path, block_frames, start, wanted)
        return
    with _open(Path(info.path)) as file:
        if start:
            file.seek(start)
        while wanted > 0:
            block = file.read(min(block_frames, wanted), dtype="float32", always_2d=True)  # (frames, channels)
            if not len(block):
                return
            wanted -= len(block)
            yield block[:, 0] if info.channels == 1 else block.mean(axis=1, dtype=np.float32)


@contextmanager
def _open(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open with libsndfile, and turn its errors, on opening or reading, into AudioError."""
    try:
        with soundfile.SoundFile(path) as file:
            yield file
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip(" .").removeprefix("Error : ")
        raise AudioError(path, f"unreadable: {reason}") from error


def _readable_file(path: str | os.PathLike) -> Path:
    path = Path(path)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise AudioError(path, f"no such file.{_similar_name(path)}") from None
    except OSError as error:
        raise AudioError(path, f"unreadable: {error.strerror}") from error
    if path.is_dir():
        raise AudioError(path, "is a directory, expected an audio file")
    if size == 0:
        raise AudioError(path, "the file is empty (0 bytes)")
    if not os.access(path, os.R_OK):
        raise AudioError(path, "unreadable: Permission denied")
    return path


def _similar_name(path: Path) -> str:
    return did_you_mean(path.name, os.listdir(path.parent)) if path.parent.is_dir() else ""


def _is_g722(path: Path) -> bool:
    return path.suffix.lower() == ".g722"


def _check_length(info: AudioInfo) -> None:
    chunk = find_data_chunk(info.path)
    if chunk is not None and chunk.missing:
        share = chunk.present / chunk.promised
        raise AudioError(
            info.path,
            f"truncated: the header says {chunk.promised} bytes of samples, {chunk.present} are there ({share:.0%})",
        )
    if info.frames == 0 and chunk is not None and chunk.present > chunk.promised:
        raise AudioError(
            info.path,
            f"the header says 0 samples, yet {chunk.present} bytes follow it: writing was interrupted "
            "before the header was completed",
        )
    if info.frames == 0:
        raise AudioError(info.path, "holds no samples")
    if lacks_end(info.path):
        raise AudioError(info.path, "truncated: the Ogg stream breaks off before its end")


# ---------------------------------------------------------------------------------------------- writing


def to_int16(waveform: np.ndarray) -> tuple[np.ndarray, int]:
    """Round float samples in [-1, 1] to 16 bit: (int16, number of samples that had to be clipped).

    The scale is 2^15, as in reading, so that 16-bit audio read and written again is unchanged. A sample is
    counted as clipped where it lies more than half a step beyond the largest 16-bit value.
    """
    scaled = np.rint(np.asarray(waveform, dtype=np.float32) * np.float32(32768.0))
    clipped = int(np.count_nonzero((scaled < -32768) | (scaled > 32768)))
    return np.clip(scaled, -32768, 32767).astype(np.int16), clipped


class WavWriter:
    """A WAV file in the making: `write` appends blocks; `clipped` and `frames` count samples so far."""

    def __init__(self, file: BinaryIO, sample_rate: int, subtype: str) -> None:
        self.frames = 0
        self.clipped = 0
        self._file, self._rate, self._subtype = file, sample_rate, subtype
        file.write(self._header())

    def write(self, waveform: np.ndarray) -> None:
        """Append float samples, shape (T,); 16-bit output is rounded and, beyond [-1, 1], clipped."""
        if self._subtype == "PCM_16":
            samples, clipped = to_int16(waveform)
            self.clipped += clipped
        else:
            samples = np.asarray(waveform, dtype=np.float32)
        self._file.write(samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes())
        self.frames += len(samples)

    def finish(self) -> None:
        """Write the final lengths into the header."""
        self._file.seek(0)
        self._file.write(self._header())

    def _header(self) -> bytes:
        tag, bits = _WAV_FORMATS[self._subtype]
        size, width = self.frames * bits // 8, bits // 8
        if size > 0xFFFF_FFFF - 36:
            raise VQAudioError(f"{self.frames} samples do not fit into a WAV file (4 GiB)")
        fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, 1, self._rate, self._rate * width, width, bits)
        return struct.pack("<4sI4s", b"RIFF", size + 36, b"WAVE") + fmt + struct.pack("<4sI", b"data", size)


@contextmanager
def open_wav(path: str | os.PathLike, sample_rate: int, subtype: str = "PCM_16") -> Iterator[WavWriter]:
    """Yield a WavWriter whose mono file takes the name `path` when the block ends without an exception.

    Raises VQAudioError where the file cannot be written; what was at `path` before then stays.
    """
    if subtype not in _WAV_FORMATS:
        raise VQAudioError(f"WAV subtype {subtype!r}: expected one of {', '.join(_WAV_FORMATS)}")
    with write_whole(path, durable=False) as file:
        writer = WavWriter(file, sample_rate, subtype)
        yield writer
        writer.finish()


def write_wav(path: str | os.PathLike, waveform: np.ndarray, sample_rate: int, subtype: str = "PCM_16") -> int:
    """Write a mono waveform, shape (T,), in [-1, 1], as a WAV file, whole or not at all.

    Returns the number of samples that were clipped to fit 16 bits, and logs it where it is not 0.
    """
    waveform = np.asarray(waveform)
    if waveform.ndim != 1:
        raise VQAudioError(f"{path}: waveform to write has shape {waveform.shape}, expected one channel, shape (T,)")
    if not np.isfinite(waveform).all():
        raise VQAudioError(f"{path}: waveform to write holds NaN or infinite samples")
    with open_wav(path, sample_rate, subtype) as writer:
        writer.write(waveform)
    if writer.clipped:
        logger.warning("%s: %d of %d samples clipped", path, writer.clipped, writer.frames)
    return writer.clipped
