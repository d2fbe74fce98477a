"""Reading and writing audio files: mono float32 waveforms in [-1, 1], always beside their sample rate in Hz.

WAV (also RF64 and W64), FLAC, OGG, Opus, MP3, AIFF, AU, CAF and NIST SPHERE through libsndfile, raw `.g722` through
PyAV. What a file is, its content says; the name only of G.722, which has no header. Files are read in bounded blocks,
and nothing that is wrong with one, and can be told, passes silently: see `probe` and `iter_blocks`.
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
from vqaudio.audio.files import Patience, open_audio, require_disk
from vqaudio.audio.g722 import AUDIO, G722_RATE, decode_blocks, foreign_content
from vqaudio.audio.ogg import find_damage
from vqaudio.audio.riff import DataChunk, data_chunk_of
from vqaudio.audio.waveform import LARGEST_SAMPLE
from vqaudio.errors import AudioError, StorageError, VQAudioError

logger = logging.getLogger(__name__)
BLOCK_FRAMES = 1 << 16  # frames read at a time: 256 KiB of float32 a channel
FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "NIST")
"""As libsndfile calls them: those of which it can be told whether a file is whole. It knows others, mostly by the
first bytes alone, which any file may begin with."""
LEAST_RATE, MOST_RATE = 1000, 768_000
_BLOCK_VALUES = 1 << 20  # values of all channels read at a time: 4 MiB of float32
_MOST_SAMPLES_A_BYTE = 8192  # FLAC packs 65,535 samples of silence into 11 bytes, and nothing packs more
_MANY_SAMPLES_A_BYTE = 100  # more than speech is ever packed to: silence, or a header that claims too much
_UNKNOWN_FRAMES = 1 << 62
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
    """Read the header of an audio file; of an Ogg file, all of it, for its checksums.

    Raises AudioError where the file is missing, no file, empty, of unknown format or without samples, where its header
    claims what cannot be, and where an Ogg file or an uncompressed one was cut off; with other formats that shows on
    reading. Raises StorageError where the disk fails.
    """
    patience = Patience()
    while True:
        try:
            with open_audio(path) as file:
                return _probe(file, os.fspath(path))
        except StorageError as error:
            patience.wait(error)


def read_audio(path: str | os.PathLike, start: int = 0, frames: int | None = None) -> tuple[np.ndarray, int]:
    """Read `frames` samples (all, without it) from sample `start` on: float32 mono (T,), and the rate in Hz.

    Channels are mixed down by their mean. Raises AudioError and StorageError like `iter_blocks`.
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
    where `probe` does; where fewer samples can be decoded than the header says; where a sample is NaN, infinite or
    far beyond [-1, 1]; where the file is no longer what `probe` saw; and where the samples asked for lie outside it.
    Raises StorageError where the disk fails, having waited and tried again.
    """
    info = source if isinstance(source, AudioInfo) else probe(source)
    wanted = info.frames - start if frames is None else frames
    if start < 0 or wanted <= 0 or start + wanted > info.frames:
        end = "the end" if frames is None else start + wanted
        raise AudioError(info.path, f"samples {start} to {end} were asked for; the file holds {info.frames}")
    read, patience = 0, Patience()
    while read < wanted:
        try:
            for block in _decode(info, block_frames, start + read, wanted - read):
                read += len(block)
                patience = Patience()
                yield block
        except StorageError as error:
            patience.wait(error)


def _decode(info: AudioInfo, block_frames: int, start: int, wanted: int) -> Iterator[np.ndarray]:
    """Yield mono blocks of `wanted` samples from sample `start` on; raises AudioError where there are fewer."""
    with open_audio(info.path) as file:
        if info.format == "G722":
            pieces = decode_blocks(file, info.path, block_frames, start, wanted)
        else:
            pieces = _decode_with_libsndfile(file, info, block_frames, start, wanted)
        end = start + wanted
        for piece in pieces:  # (samples, channels)
            _require_scale(info, piece, start)
            start += len(piece)
            yield piece[:, 0] if info.channels == 1 else piece.mean(axis=1, dtype=np.float32)
        if start < end:
            require_disk(info.path, file)
            told = f"the header says {info.frames} samples, only {start} can be decoded"
            raise AudioError(info.path, f"truncated: {told}")


def _decode_with_libsndfile(
    file: BinaryIO, info: AudioInfo, block_frames: int, start: int, wanted: int
) -> Iterator[np.ndarray]:
    most = max(1, min(block_frames, _BLOCK_VALUES // info.channels))
    with _libsndfile(file, info.path) as sound:
        found = (sound.samplerate, sound.channels, sound.frames)
        if found != (info.sample_rate, info.channels, info.frames):
            raise AudioError(
                info.path,
                f"was changed while in use: it had {info.frames} samples of {info.channels} channel(s) at "
                f"{info.sample_rate} Hz and has {found[2]} of {found[1]} at {found[0]} Hz",
            )
        if start:
            sound.seek(start)
        while wanted > 0 and len(piece := sound.read(min(most, wanted), dtype="float32", always_2d=True)):
            wanted -= len(piece)
            yield piece


def _require_scale(info: AudioInfo, piece: np.ndarray, first: int) -> None:
    """Raise AudioError where samples (n, channels), of which the first is number `first`, cannot be in [-1, 1]."""
    peak = float(np.abs(piece).max())
    if peak <= LARGEST_SAMPLE:
        return
    finite = np.isfinite(piece).all(axis=1)
    if finite.all():
        raise AudioError(info.path, f"not scaled to [-1, 1]: samples reach {peak:g}")
    raise AudioError(info.path, f"sample {first + int(np.argmin(finite))} is NaN or infinite")


@contextmanager
def _libsndfile(file: BinaryIO, path: str) -> Iterator[soundfile.SoundFile]:
    """Decode an open file with libsndfile; turn its errors, on opening or reading, into AudioError or StorageError."""
    os.lseek(file.fileno(), 0, os.SEEK_SET)  # of the descriptor: `seek` would move within what has been buffered
    try:
        with soundfile.SoundFile(file.fileno(), closefd=False) as sound:
            yield sound
    except soundfile.LibsndfileError as error:
        require_disk(path, file)
        reason = error.error_string.strip(" .").removeprefix("Error : ")
        raise AudioError(path, f"unreadable: {reason}") from error


# --------------------------------------------------------------------------------- what headers cannot claim


def _probe(file: BinaryIO, path: str) -> AudioInfo:
    size = os.fstat(file.fileno()).st_size
    if Path(path).suffix.lower() == ".g722":
        kind = foreign_content(file)
        if kind is None:
            return AudioInfo(path, G722_RATE, 1, 2 * size, "G722", "G722")
        if kind not in AUDIO:
            raise AudioError(path, f"named as G.722, but begins as {kind} does")
    chunk = data_chunk_of(file, path)
    _require_whole(chunk, path)
    if damage := find_damage(file):
        raise AudioError(path, damage)
    try:
        with _libsndfile(file, path) as sound:
            info = AudioInfo(path, sound.samplerate, sound.channels, sound.frames, sound.format, sound.subtype)
            if _MANY_SAMPLES_A_BYTE * size < info.frames <= _MOST_SAMPLES_A_BYTE * size:
                _require_last(sound, info)
    except AudioError:
        if chunk is not None and chunk.present == 0:
            raise AudioError(path, "holds no samples") from None
        raise
    _require_possible(info, chunk, size)
    return info


def _require_last(sound: soundfile.SoundFile, info: AudioInfo) -> None:
    """Raise AudioError unless the last sample is there, where a header claims suspiciously many."""
    sound.seek(info.frames - 1)
    if not len(sound.read(1)):
        raise AudioError(info.path, f"truncated: the header says {info.frames} samples, the last one cannot be decoded")


def _require_whole(chunk: DataChunk | None, path: str) -> None:
    """Raise AudioError where samples that the header of an uncompressed file promises are missing."""
    if chunk is not None and chunk.missing:
        share = chunk.present / chunk.promised
        raise AudioError(
            path,
            f"truncated: the header says {chunk.promised} bytes of samples, {chunk.present} are there ({share:.0%})",
        )


def _require_possible(info: AudioInfo, chunk: DataChunk | None, size: int) -> None:
    """Raise AudioError for a header whose claims cannot be true of a file of `size` bytes, or cannot be used."""
    if info.format not in FORMATS:
        raise AudioError(info.path, f"is a file of {info.format}, expected one of {', '.join(FORMATS)}")
    if info.frames <= 0 and chunk is not None and chunk.present > chunk.promised:
        raise AudioError(
            info.path,
            f"the header says 0 samples, yet {chunk.present} bytes follow it: writing was interrupted "
            "before the header was completed",
        )
    if info.frames <= 0:
        raise AudioError(info.path, "holds no samples")
    if info.frames >= _UNKNOWN_FRAMES:
        raise AudioError(info.path, "the header does not say how many samples there are: encode it again, to a file")
    if info.frames > _MOST_SAMPLES_A_BYTE * size:
        raise AudioError(info.path, f"the header says {info.frames} samples, which a file of {size} bytes cannot hold")
    if chunk is not None and chunk.frames not in (None, info.frames):
        claims = f"{chunk.frames} samples of {chunk.frame_bytes} bytes, and {info.subtype} of which there are"
        raise AudioError(info.path, f"a header that contradicts itself: {claims} {info.frames}")
    if not LEAST_RATE <= info.sample_rate <= MOST_RATE:
        raise AudioError(info.path, f"{info.sample_rate} Hz: expected {LEAST_RATE} to {MOST_RATE} Hz")


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
