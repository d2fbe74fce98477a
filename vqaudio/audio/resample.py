"""Sample-rate conversion with soxr (high quality: stop band near -135 dB, linear phase, no delay)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from vqaudio.errors import VQAudioError

QUALITY = "HQ"


def resample(waveform: np.ndarray, orig: int, target: int) -> np.ndarray:
    """Convert a waveform, shape (T,), from `orig` Hz to `target` Hz.

    Returns float32 of round(T * target / orig) samples; the same array where the rates are equal.
    """
    _check_rates(orig, target)
    if orig == target:
        return waveform
    if waveform.ndim != 1:
        raise VQAudioError(f"resample: waveform has shape {waveform.shape}, expected one channel, shape (T,)")
    return soxr.resample(waveform.astype(np.float32, copy=False), orig, target, quality=QUALITY)


def resample_blocks(blocks: Iterable[np.ndarray], orig: int, target: int) -> Iterator[np.ndarray]:
    """Convert consecutive blocks of one waveform in bounded memory.

    The blocks joined, of whatever sizes, equal `resample` of the blocks joined, sample by sample.
    """
    _check_rates(orig, target)
    if orig == target:
        yield from blocks
        return
    stream = soxr.ResampleStream(orig, target, 1, dtype="float32", quality=QUALITY)
    for block in blocks:
        converted = stream.resample_chunk(block.astype(np.float32, copy=False), last=False)
        if len(converted):
            yield converted
    yield stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)


def _check_rates(*rates: int) -> None:
    for rate in rates:
        if isinstance(rate, bool) or rate != int(rate) or rate <= 0:
            raise VQAudioError(f"sample rate {rate!r}: expected a positive whole number of Hz, such as 16000")
