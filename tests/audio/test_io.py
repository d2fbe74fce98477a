"""Reading and writing audio: what is right comes back sample by sample, what is wrong is named."""

from __future__ import annotations

import os
import resource
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.audio.io import iter_blocks, open_wav, probe, read_audio, to_int16, write_wav
from vqaudio.audio.riff import find_data_chunk
from vqaudio.errors import AudioError, VQAudioError

RATE = 16000


@pytest.fixture
def speechlike() -> np.ndarray:
    """One second of a decaying tone with noise, well inside [-1, 1]."""
    t = np.arange(RATE) / RATE
    noise = np.random.default_rng(0).standard_normal(RATE)
    return (0.4 * np.sin(2 * np.pi * 220 * t) * np.exp(-2 * t) + 0.01 * noise).astype(np.float32)


def cut(path: Path, share: float) -> Path:
    """Keep the first `share` of a file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


# ---------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [  # one step of the format: some of libsndfile's conversions from float truncate instead of rounding
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_U8", 2**-7),
        ("wav", "PCM_24", 2**-23),
        ("wav", "FLOAT", 0.0),
        ("flac", "PCM_16", 2**-15),
        ("aiff", "PCM_16", 2**-15),
    ],
)
def test_lossless_formats_come_back(tmp_path, speechlike, suffix, subtype, tolerance):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, speechlike, RATE, subtype)
    waveform, rate = read_audio(path)
    assert (waveform.dtype, waveform.shape, rate) == (np.float32, (RATE,), RATE)
    assert np.abs(waveform - speechlike).max() <= tolerance


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_lossy_formats_are_read_at_their_length(tmp_path, speechlike, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, speechlike, RATE)
    waveform, rate = read_audio(path)
    assert (len(waveform), rate) == (RATE, RATE)
    assert np.corrcoef(waveform, speechlike)[0, 1] > 0.98


def test_channels_are_mixed_down_by_their_mean(tmp_path, speechlike):
    stereo = np.stack([speechlike, -0.5 * speechlike], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, RATE, "FLOAT")
    waveform, _ = read_audio(tmp_path / "a.wav")
    np.testing.assert_allclose(waveform, 0.25 * speechlike, atol=1e-7)  # one float32 rounding


def test_probe_tells_what_the_header_says(tmp_path, speechlike):
    soundfile.write(tmp_path / "a.wav", np.stack([speechlike] * 2, 1), 44100, "PCM_24")
    info = probe(tmp_path / "a.wav")
    assert (info.sample_rate, info.channels, info.frames) == (44100, 2, RATE)
    assert (info.format, info.subtype) == ("WAV", "PCM_24")
    assert info.duration == pytest.approx(RATE / 44100)


@given(st.integers(0, 999), st.integers(1, 1000), st.integers(1, 400))
def test_any_part_in_any_blocks_is_the_part_of_the_whole(tmp_path_factory, start, frames, block):
    path = tmp_path_factory.getbasetemp() / "parts.flac"
    if not path.exists():
        soundfile.write(path, np.random.default_rng(1).uniform(-1, 1, 1000), 8000)
    whole, _ = read_audio(path)
    frames = min(frames, 1000 - start)
    blocks = list(iter_blocks(path, block, start, frames))
    assert max(map(len, blocks)) <= block
    np.testing.assert_array_equal(np.concatenate(blocks), whole[start : start + frames])


@pytest.mark.parametrize(("start", "frames"), [(-1, 5), (0, RATE + 1), (RATE, None), (5, 0)])
def test_a_part_outside_the_file_is_refused(tmp_path, speechlike, start, frames):
    write_wav(tmp_path / "a.wav", speechlike, RATE)
    with pytest.raises(AudioError, match=f"were asked for; the file holds {RATE}"):
        read_audio(tmp_path / "a.wav", start, frames)


# ------------------------------------------------------------------------------------- files that are bad


def test_missing_file_names_the_nearest(tmp_path, speechlike):
    write_wav(tmp_path / "prompt1.wav", speechlike, RATE)
    with pytest.raises(AudioError, match=r"no such file.*Did you mean 'prompt1.wav'") as caught:
        probe(tmp_path / "promt1.wav")
    assert caught.value.path == str(tmp_path / "promt1.wav")


def test_missing_folder(tmp_path):
    with pytest.raises(AudioError, match="no such file"):
        probe(tmp_path / "nowhere" / "a.wav")


def test_directory(tmp_path):
    with pytest.raises(AudioError, match="it is a folder, expected a file"):
        probe(tmp_path)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.g722"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(AudioError, match="0 bytes"):
        probe(tmp_path / name)


def test_no_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE)
    with pytest.raises(AudioError, match="holds no samples"):
        probe(tmp_path / "a.wav")


def test_not_audio(tmp_path):
    (tmp_path / "a.wav").write_text("<html>404 Not Found</html>" * 40)
    with pytest.raises(AudioError, match="unreadable: Format not recognised"):
        probe(tmp_path / "a.wav")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(tmp_path, speechlike):
    write_wav(tmp_path / "a.wav", speechlike, RATE)
    (tmp_path / "a.wav").chmod(0)
    with pytest.raises(AudioError, match="Permission denied"):
        probe(tmp_path / "a.wav")


@pytest.mark.parametrize("share", [0.999, 0.6, 0.01])
@pytest.mark.parametrize("suffix", ["wav", "aiff"])
def test_a_truncated_file_is_not_taken_for_a_short_one(tmp_path, speechlike, suffix, share):
    soundfile.write(tmp_path / f"a.{suffix}", speechlike, RATE)
    with pytest.raises(AudioError, match=r"truncated: the header says 3200[08] bytes"):  # AIFF counts 8 more
        probe(cut(tmp_path / f"a.{suffix}", share))


@pytest.mark.parametrize("share", [0.999, 0.6])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_truncated_ogg(tmp_path, speechlike, subtype, share):
    soundfile.write(tmp_path / "a.ogg", np.tile(speechlike, 4), RATE, subtype, format="OGG")
    assert probe(tmp_path / "a.ogg").frames == 4 * RATE
    with pytest.raises(AudioError, match="truncated: the Ogg stream breaks off"):
        probe(cut(tmp_path / "a.ogg", share))


def test_ogg_of_one_page_at_every_cut(tmp_path, speechlike):
    soundfile.write(tmp_path / "a.ogg", speechlike[:2000], RATE)
    data = (tmp_path / "a.ogg").read_bytes()
    assert probe(tmp_path / "a.ogg").frames == 2000
    for size in range(4, len(data), 7):
        (tmp_path / "a.ogg").write_bytes(data[:size])
        with pytest.raises(AudioError, match="truncated: the Ogg stream breaks off"):
            probe(tmp_path / "a.ogg")


@pytest.mark.parametrize("suffix", ["flac", "mp3"])
def test_truncated_compressed_files(tmp_path, speechlike, suffix):
    soundfile.write(tmp_path / f"a.{suffix}", np.tile(speechlike, 4), RATE)
    with pytest.raises(AudioError, match=r"truncated|lost sync"):
        read_audio(cut(tmp_path / f"a.{suffix}", 0.6))


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF])
def test_a_header_written_to_a_pipe_leaves_the_length_open(tmp_path, speechlike, size):
    path = tmp_path / "a.wav"
    write_wav(path, speechlike, RATE)
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", size)
    path.write_bytes(data)
    assert len(read_audio(path)[0]) == RATE


def test_a_header_never_completed(tmp_path, speechlike):
    path = tmp_path / "a.wav"
    write_wav(path, speechlike, RATE)
    data = bytearray(path.read_bytes())
    data[40:44] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"0 samples, yet 32000 bytes follow.*interrupted"):
        read_audio(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_named_with_their_place(tmp_path, speechlike, bad):
    speechlike[12345] = bad
    soundfile.write(tmp_path / "a.wav", speechlike, RATE, "FLOAT")
    with pytest.raises(AudioError, match="sample 12345 is NaN or infinite"):
        list(iter_blocks(tmp_path / "a.wav", 1000))
    with pytest.raises(AudioError, match="sample 12345 is NaN"):
        read_audio(tmp_path / "a.wav", start=12000)


@pytest.mark.parametrize(
    ("scale", "message"), [(32768, "not scaled to"), (1e30, "not scaled to"), (1e300, "NaN or inf")]
)
def test_samples_of_another_scale_are_refused(tmp_path, speechlike, scale, message):
    soundfile.write(tmp_path / "a.wav", speechlike.astype(float) * scale, RATE, "DOUBLE")
    with pytest.raises(AudioError, match=message):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2_100_000_000])
def test_rates_of_no_recording_are_refused(tmp_path, speechlike, rate):
    write_wav(tmp_path / "a.wav", speechlike, RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[24:28] = struct.pack("<I", rate)
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(AudioError, match=f"{rate} Hz: expected 1000 to 768000 Hz"):
        probe(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("claimed", "message"),
    [
        (2**36 - 1, "which a file of .* bytes cannot hold"),
        (2**26, "truncated|unreadable"),
        (0, "does not say how many"),
        (RATE + 1, "truncated|unreadable"),
    ],
)
def test_a_flac_that_claims_what_it_does_not_hold(tmp_path, speechlike, claimed, message):
    soundfile.write(tmp_path / "a.flac", speechlike, RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21], data[22:26] = data[21] & 0xF0 | claimed >> 32, struct.pack(">I", claimed & 0xFFFF_FFFF)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(AudioError, match=message):
        probe(tmp_path / "a.flac")
        assert claimed == RATE + 1  # which is found where the samples end; all else, in the header
        read_audio(tmp_path / "a.flac")


def test_silence_is_packed_as_densely_as_anything(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.zeros(1 << 22, dtype=np.int16), RATE)
    assert len(read_audio(tmp_path / "a.flac")[0]) == 1 << 22  # more than that cannot be true: `_MOST_SAMPLES_A_BYTE`


def test_a_file_of_many_channels_takes_no_more_memory_than_one_of_few(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full((30_000, 1000), 0.25), RATE)  # 60 MB
    tracemalloc.start()
    samples = sum(map(len, iter_blocks(tmp_path / "a.wav")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples == 30_000 and peak < 16 << 20


def test_formats_whose_end_cannot_be_told_are_refused(tmp_path, speechlike):
    soundfile.write(tmp_path / "a.wav", speechlike, RATE, format="MAT5", subtype="PCM_16")
    with pytest.raises(AudioError, match="is a file of MAT5, expected one of WAV, "):
        probe(tmp_path / "a.wav")


def test_a_file_that_changes_between_header_and_reading(tmp_path, speechlike):
    write_wav(tmp_path / "a.wav", speechlike, RATE)
    info = probe(tmp_path / "a.wav")
    write_wav(tmp_path / "a.wav", speechlike[:900], RATE)
    with pytest.raises(AudioError, match=f"was changed while in use: it had {RATE} samples .* and has 900"):
        next(iter_blocks(info))


def test_chunks_before_the_data_are_stepped_over(tmp_path, speechlike):
    path = tmp_path / "a.wav"
    write_wav(path, speechlike, RATE)
    data = path.read_bytes()
    odd = b"note" + struct.pack("<I", 3) + b"abc\0"  # odd sizes are padded
    path.write_bytes(data[:36] + odd + data[36:])
    chunk = find_data_chunk(path)
    assert (chunk.promised, chunk.present, chunk.missing) == (2 * RATE, 2 * RATE, 0)


def test_rf64_takes_its_length_from_ds64(tmp_path, speechlike):
    soundfile.write(tmp_path / "a.wav", speechlike, RATE, format="RF64", subtype="PCM_16")
    assert find_data_chunk(tmp_path / "a.wav").promised == 2 * RATE
    with pytest.raises(AudioError, match="truncated"):
        probe(cut(tmp_path / "a.wav", 0.5))


@pytest.mark.parametrize("data", [b"RIFF", b"OggS" + bytes(60), b"RIFF\0\0\0\0WAVE"])
def test_what_is_neither_has_no_data_chunk(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert find_data_chunk(tmp_path / "a") is None


# ---------------------------------------------------------------------------------------------- writing


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_sixteen_bits_survive_writing_and_reading(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "roundtrip.wav"
    samples = np.array(values, dtype=np.int16)
    assert write_wav(path, samples.astype(np.float32) / 32768, 8000) == 0
    np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], samples)
    np.testing.assert_array_equal(to_int16(read_audio(path)[0])[0], samples)


def test_clipping_is_counted_and_logged(tmp_path, caplog):
    clipped = write_wav(tmp_path / "a.wav", np.array([0.5, 1.5, -1.01, 1.0, -1.0]), 8000)
    assert clipped == 2
    assert "2 of 5 samples clipped" in caplog.text
    written = soundfile.read(tmp_path / "a.wav", dtype="int16")[0]
    assert written.tolist() == [16384, 32767, -32768, 32767, -32768]


def test_float_files_keep_what_exceeds_full_scale(tmp_path):
    assert write_wav(tmp_path / "a.wav", np.array([0.1, 1.5]), 8000, "FLOAT") == 0
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav")[0], np.float32([0.1, 1.5]))


def test_blocks_written_one_by_one_are_one_file(tmp_path, speechlike):
    with open_wav(tmp_path / "a.wav", RATE) as writer:
        for first in range(0, RATE, 999):
            writer.write(speechlike[first : first + 999])
    write_wav(tmp_path / "b.wav", speechlike, RATE)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert soundfile.info(tmp_path / "a.wav").frames == RATE


def test_parent_folders_are_made(tmp_path, speechlike):
    write_wav(tmp_path / "new" / "deep" / "a.wav", speechlike, RATE)
    assert probe(tmp_path / "new" / "deep" / "a.wav").frames == RATE


@pytest.mark.parametrize(
    ("waveform", "message"),
    [(np.zeros((2, 5)), r"shape \(2, 5\), expected one channel"), (np.array([0.0, np.nan]), "NaN")],
)
def test_what_is_no_waveform_is_not_written(tmp_path, waveform, message):
    with pytest.raises(VQAudioError, match=message):
        write_wav(tmp_path / "a.wav", waveform, RATE)
    assert not list(tmp_path.iterdir())


def test_unknown_subtype(tmp_path):
    with pytest.raises(VQAudioError, match="'PCM_8': expected one of PCM_16, FLOAT"):
        write_wav(tmp_path / "a.wav", np.zeros(4), RATE, "PCM_8")


def test_an_interrupted_write_leaves_what_was_there(tmp_path, speechlike):
    write_wav(tmp_path / "a.wav", speechlike, RATE)
    before = (tmp_path / "a.wav").read_bytes()
    with pytest.raises(KeyboardInterrupt), open_wav(tmp_path / "a.wav", RATE) as writer:
        writer.write(speechlike[:100])
        raise KeyboardInterrupt
    assert (tmp_path / "a.wav").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, speechlike):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # stands in for a disk that is full
    try:
        with pytest.raises(VQAudioError, match=r"cannot write .*a\.wav: File too large"):
            write_wav(tmp_path / "a.wav", speechlike, RATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path, speechlike):
    (tmp_path / "file").touch()  # refuses even root, as a read-only folder would not
    with pytest.raises(VQAudioError, match=r"cannot write .*file/a\.wav"):
        write_wav(tmp_path / "file" / "a.wav", speechlike, RATE)
