"""Mutants: audio files of every kind that is read, damaged at random, each a pure function of seed and number."""

from __future__ import annotations

import io
import struct
from functools import cache

import numpy as np
import soundfile

from vqaudio.audio.ogg import page_checksum

RATE = 16000
SAMPLES = 9000
KINDS = {  # name: format and subtype of libsndfile, channels
    "wav16": ("WAV", "PCM_16", 1), "wav24": ("WAV", "PCM_24", 1), "wavfloat": ("WAV", "FLOAT", 1),
    "wavdouble": ("WAV", "DOUBLE", 1), "wavstereo": ("WAVEX", "PCM_16", 2), "wavmulaw": ("WAV", "ULAW", 1),
    "wavadpcm": ("WAV", "MS_ADPCM", 1), "wavima": ("WAV", "IMA_ADPCM", 1), "wavgsm": ("WAV", "GSM610", 1),
    "rf64": ("RF64", "PCM_16", 1), "w64": ("W64", "PCM_16", 1), "caf": ("CAF", "PCM_16", 1),
    "alac": ("CAF", "ALAC_16", 1), "au": ("AU", "PCM_16", 1), "nist": ("NIST", "PCM_16", 1),
    "aiff": ("AIFF", "PCM_16", 1), "aifffloat": ("AIFF", "FLOAT", 1), "flac": ("FLAC", "PCM_16", 1),
    "flac24": ("FLAC", "PCM_24", 2), "vorbis": ("OGG", "VORBIS", 1), "opus": ("OGG", "OPUS", 1),
    "mp3": ("MP3", "MPEG_LAYER_III", 1), "mp3stereo": ("MP3", "MPEG_LAYER_III", 2),
}  # fmt: skip
NAMES = (*KINDS, "g722")
_EXTREMES = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
             0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF)  # fmt: skip
_HEADER = 160  # most damage is done here: further behind it is all the same


def speechlike(samples: int = SAMPLES, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Return voiced syllables with pauses, float32 (samples,), on the steps of 16-bit audio."""
    time, random = np.arange(samples) / rate, np.random.default_rng(seed)
    voice = sum(np.sin(2 * np.pi * (120 + 30 * np.sin(5 * time)) * k * time) / k for k in range(1, 12))
    wave = 0.15 * voice * np.clip(np.sin(2 * np.pi * 4 * time), 0, 1) + 0.005 * random.standard_normal(samples)
    return (np.rint(wave * 32768) / 32768).astype(np.float32)


@cache
def original(name: str) -> bytes:
    """Return a whole file of one kind."""
    if name == "g722":
        return g722(speechlike())
    kind, subtype, channels = KINDS[name]
    data = np.stack([speechlike(seed=seed) for seed in range(channels)], axis=1)
    file = io.BytesIO()
    soundfile.write(file, data, RATE, subtype, format=kind)
    return file.getvalue()


def g722(samples: np.ndarray) -> bytes:
    """Encode float samples (T,) at 16 kHz as raw G.722."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="g722") as container:
        stream = container.add_stream("g722", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples * 32768).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


def mutant(seed: int, number: int) -> tuple[str, str, bytes]:
    """Return mutant `number`: the kind of the original, what was done to it, and the file."""
    random = np.random.default_rng([seed, number])
    name = NAMES[number % len(NAMES)]
    data, done = bytearray(original(name)), []
    for _ in range(1 if random.random() < 0.7 else 3):
        change = _CHANGES[random.integers(len(_CHANGES))]
        data = change(data, random)
        done.append(change.__name__.lstrip("_"))
    if data[:4] == b"OggS" and random.random() < 0.7:  # so that the decoder meets what the checksums would keep from it
        data = bytearray(seal_pages(bytes(data)))
        done.append("sealed")
    return name, "+".join(done), bytes(data)


def seal_pages(data: bytes) -> bytes:
    """Return an Ogg file with the right checksum in each of its pages that can be found."""
    out, first = bytearray(data), data.find(b"OggS")
    while first >= 0:
        sizes = data[first + 27 : first + 27 + (data[first + 26] if len(data) > first + 26 else 0)]
        last = first + 27 + len(sizes) + sum(sizes)
        if last <= len(data):
            out[first + 22 : first + 26] = bytes(4)
            out[first + 22 : first + 26] = struct.pack("<I", page_checksum(bytes(out[first:last])))
        first = data.find(b"OggS", max(last, first + 4) if last <= len(data) else first + 4)
    return bytes(out)


def _place(data: bytearray, random: np.random.Generator) -> int:
    return int(random.integers(max(1, min(len(data), _HEADER) if random.random() < 0.6 else len(data))))


def _range(data: bytearray, random: np.random.Generator) -> tuple[int, int]:
    first = _place(data, random)
    return first, first + int(random.integers(1, 2 ** random.integers(1, 12)))


def _flip(data: bytearray, random: np.random.Generator) -> bytearray:
    for _ in range(random.integers(1, 9) if data else 0):
        data[_place(data, random)] ^= int(random.integers(1, 256))
    return data


def _truncate(data: bytearray, random: np.random.Generator) -> bytearray:
    return data[: _place(data, random)]


def _insert(data: bytearray, random: np.random.Generator) -> bytearray:
    first, last = _range(data, random)
    return data[:first] + (random.bytes(last - first) if random.random() < 0.5 else bytes(last - first)) + data[first:]


def _delete(data: bytearray, random: np.random.Generator) -> bytearray:
    first, last = _range(data, random)
    return data[:first] + data[last:]


def _repeat(data: bytearray, random: np.random.Generator) -> bytearray:
    first, last = _range(data, random)
    return data[:last] + data[first:]


def _swap(data: bytearray, random: np.random.Generator) -> bytearray:
    """Swap two stretches: chunks, pages and frames come in another order."""
    a, b, c, d = sorted(_place(data, random) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _extreme(data: bytearray, random: np.random.Generator) -> bytearray:
    """Write an extreme number over a field of the header."""
    width = int(random.choice([1, 2, 4, 8]))
    value = int(_EXTREMES[random.integers(len(_EXTREMES))]) & (256**width - 1)
    first = int(random.integers(min(len(data), _HEADER) + 1)) // 2 * 2
    data[first : first + width] = value.to_bytes(width, "little" if random.random() < 0.5 else "big")
    return data


def _splice(data: bytearray, random: np.random.Generator) -> bytearray:
    """Go on as a file of another kind."""
    other = original(NAMES[random.integers(len(NAMES))])
    return data[: _place(data, random)] + other[_place(bytearray(other), random) :]


def _grow(data: bytearray, random: np.random.Generator) -> bytearray:
    """Append what looks like a chunk of any size."""
    return data + random.choice([b"data", b"LIST", b"fmt ", b"OggS"]) + struct.pack("<I", int(random.integers(2**32)))


_CHANGES = (_flip, _flip, _truncate, _insert, _delete, _repeat, _swap, _extreme, _extreme, _splice, _grow)
