"""G.722 has no header: what its name says is believed, unless it plainly is something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from vqaudio.audio.io import probe, read_audio, to_int16
from vqaudio.errors import AudioError

RATE = 16000


@pytest.fixture
def speechlike() -> np.ndarray:
    """One second of a decaying tone with noise, well inside [-1, 1]."""
    t = np.arange(RATE) / RATE
    noise = np.random.default_rng(0).standard_normal(RATE)
    return (0.4 * np.sin(2 * np.pi * 220 * t) * np.exp(-2 * t) + 0.01 * noise).astype(np.float32)


def g722(path: Path, samples: np.ndarray) -> None:
    """Encode int16 samples at 16 kHz as raw G.722."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def test_g722_is_decoded(tmp_path, speechlike):
    g722(tmp_path / "a.g722", to_int16(speechlike)[0])
    info = probe(tmp_path / "a.g722")
    waveform, rate = read_audio(tmp_path / "a.g722")
    assert (rate, info.sample_rate, len(waveform), info.channels) == (16000, 16000, info.frames, 1)
    delay = np.argmax(np.correlate(waveform, speechlike[:8000], "valid"))  # of the codec's filter bank
    assert delay < 40
    assert np.corrcoef(waveform[delay : delay + 8000], speechlike[:8000])[0, 1] > 0.99


def test_a_part_of_a_g722_file_is_the_part_of_the_whole(tmp_path, speechlike):
    g722(tmp_path / "a.g722", to_int16(speechlike)[0])
    whole, _ = read_audio(tmp_path / "a.g722")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.g722", 3333, 7001)[0], whole[3333:10334])


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"GET / HTTP/1.1\r\n" * 9, "begins as text does"), (b"PK\x03\x04" + bytes(90), "begins as a ZIP archive does")],
)
def test_what_is_named_as_g722_and_is_something_else(tmp_path, content, message):
    (tmp_path / "a.g722").write_bytes(content)
    with pytest.raises(AudioError, match=message):
        probe(tmp_path / "a.g722")


def test_audio_named_as_g722_is_read_as_what_it_is(tmp_path, speechlike):
    soundfile.write(tmp_path / "a.flac", speechlike, 8000)
    (tmp_path / "a.flac").rename(tmp_path / "a.g722")
    assert (probe(tmp_path / "a.g722").format, probe(tmp_path / "a.g722").sample_rate) == ("FLAC", 8000)
