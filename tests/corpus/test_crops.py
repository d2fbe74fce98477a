"""Crops: the samples of the corpus, each slot once an epoch, the same whatever happened before."""

from __future__ import annotations

import dataclasses
import io
import os
import threading
import tracemalloc
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.audio import files
from vqaudio.audio.io import write_wav
from vqaudio.corpus.crops import CropCount, CropDataset, Opening, prefetch
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.corpus.rejected import Rejection
from vqaudio.errors import AudioError, DataDirError, StorageError

RATE = 8000


@pytest.fixture(scope="module")
def utterances(tmp_path_factory) -> list[Utterance]:
    """Five utterances whose samples count up, so that a crop shows where it was taken from."""
    folder, result = tmp_path_factory.mktemp("counting"), []
    for index, samples in enumerate([1000, 3999, 400, 2500, 50]):
        values = index * 5000 + np.arange(1, samples + 1)
        write_wav(folder / f"{index}.wav", values / 32768, RATE)
        result.append(Utterance(f"utt{index}", "ab"[index % 2], str(folder / f"{index}.wav")))
    return result


def dataset(utterances, **changes) -> CropDataset:
    options = {"crop_length": 1000, "context": (30, 20), "batch_size": 4, "seed": 7} | changes
    return CropDataset(utterances, ["a", "b"], RATE, **options)


def equal(one, other) -> bool:
    return (
        torch.equal(one.waveform, other.waveform)
        and torch.equal(one.lengths, other.lengths)
        and torch.equal(one.speakers, other.speakers)
        and torch.equal(one.heard, other.heard)
        and one.utterances == other.utterances
    )


def test_shapes_types_and_speakers(utterances):
    batch = dataset(utterances).batch(0)
    assert batch.waveform.shape == (4, 1050) and batch.waveform.dtype == torch.float32
    assert batch.lengths.shape == (4,) and batch.lengths.dtype == torch.int64
    assert batch.speakers.tolist() == [int(name[-1]) % 2 for name in batch.utterances]


@pytest.mark.parametrize("cache_bytes", [1 << 30, 0])
def test_crops_are_consecutive_samples_and_zeros_outside(utterances, cache_bytes):
    data = dataset(utterances, cache_bytes=cache_bytes)
    sizes = {utterance.id: n for utterance, n in zip(utterances, [1000, 3999, 400, 2500, 50], strict=True)}
    for step in range(20):
        batch = data.batch(step)
        for row, length, name in zip(batch.waveform, batch.lengths, batch.utterances, strict=True):
            values = (row * 32768).round().long().numpy()
            base, size = int(name[-1]) * 5000, sizes[name]
            first = int(values[30]) - base - 1  # the crop begins behind 30 samples of context
            place = np.arange(first - 30, first + 1020)
            expected = np.where((place >= 0) & (place < size), base + 1 + place, 0)
            np.testing.assert_array_equal(values, expected)
            assert length == min(1000, size - first)
            assert first + 1000 <= size or first == 0  # only an utterance shorter than the crop is padded


def test_memory_and_disk_give_the_same(utterances):
    cached, seeking = dataset(utterances), dataset(utterances, cache_bytes=0)
    assert cached.is_cached and not seeking.is_cached
    assert all(equal(cached.batch(step), seeking.batch(step)) for step in range(10))


def test_the_limit_of_the_cache_counts_two_bytes_a_sample(utterances):
    samples = 1000 + 3999 + 400 + 2500 + 50
    assert not dataset(utterances, cache_bytes=2 * samples).is_cached
    assert dataset(utterances, cache_bytes=2 * samples + 1).is_cached


def test_a_batch_depends_on_its_step_alone(utterances):
    forward, backward = dataset(utterances), dataset(utterances)
    there = [forward.batch(step) for step in range(12)]
    back = [backward.batch(step) for step in reversed(range(12))]
    assert all(equal(one, other) for one, other in zip(there, reversed(back), strict=True))


def test_another_seed_gives_other_crops(utterances):
    assert not equal(dataset(utterances).batch(0), dataset(utterances, seed=8).batch(0))


@settings(deadline=None, max_examples=20)
@given(batch_size=st.integers(1, 7), epoch=st.integers(0, 3))
def test_every_slot_is_met_once_an_epoch(utterances, batch_size, epoch):
    data = dataset(utterances, batch_size=batch_size)
    assert data.slots == 1 + 4 + 1 + 2 + 1  # round(n / crop_length), at least 1; 2.5 rounds to even
    stream = [name for step in range(40) for name in data.batch(step).utterances]
    counts = Counter(stream[epoch * data.slots : (epoch + 1) * data.slots])
    assert counts == {"utt0": 1, "utt1": 4, "utt2": 1, "utt3": 2, "utt4": 1}
    assert data.steps_per_epoch == -(-9 // batch_size)


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_see_what_one_would(utterances, world_size):
    alone = dataset(utterances, batch_size=2 * world_size)
    ranks = [dataset(utterances, batch_size=2, rank=r, world_size=world_size) for r in range(world_size)]
    for step in range(8):
        joined = torch.cat([rank.batch(step).waveform for rank in ranks])
        assert torch.equal(joined, alone.batch(step).waveform)
    assert {rank.steps_per_epoch for rank in ranks} == {alone.steps_per_epoch}


def test_each_crop_is_heard_in_a_voice_of_its_own(utterances):
    assert torch.equal(dataset(utterances).batch(0).heard, dataset(utterances).batch(0).waveform)
    shifting = [dataset(utterances, voice_shift=0.2, batch_size=size) for size in (4, 2)]
    large, small = shifting[0].batch(1), [shifting[1].batch(step) for step in (2, 3)]
    assert torch.equal(large.heard, torch.cat([batch.heard for batch in small]))  # by its place in the stream alone
    assert torch.equal(large.waveform, dataset(utterances).batch(1).waveform)
    changed = [not torch.equal(heard, spoken) for heard, spoken in zip(large.heard, large.waveform)]
    assert all(changed) and large.heard.shape == large.waveform.shape


@pytest.mark.parametrize("world_size", [1, 2])
def test_an_opening_takes_its_share_of_the_same_stream(utterances, world_size):
    ranks = [
        dataset(utterances, batch_size=2, rank=r, world_size=world_size, opening=Opening(3, 5))
        for r in range(world_size)
    ]
    batches = [rank.batch(step).utterances for step in range(6) for rank in ranks]
    assert [len(names) for names in batches] == [5] * 3 * world_size + [2] * 3 * world_size
    plain = dataset(utterances, batch_size=1)
    assert [name for names in batches for name in names] == [
        name for step in range(21 * world_size) for name in plain.batch(step).utterances
    ]


def test_places_are_uniform_over_the_utterance(utterances):
    data = dataset(utterances[1:2], context=(0, 0), batch_size=100)
    starts = np.concatenate([(data.batch(step).waveform[:, 0] * 32768).round().numpy() for step in range(40)])
    starts -= 5001
    assert starts.min() >= 0 and starts.max() <= 2999
    # Kolmogorov-Smirnov: for 4,000 draws a distance of 0.031 has p = 0.001; the draw is fixed by the seed
    distance = np.abs(np.sort(starts) / 2999 - (np.arange(4000) + 0.5) / 4000).max()
    assert distance < 0.031


def test_segments_stay_within_themselves(utterances):
    segment = Utterance("s", "a", utterances[1].recording, start=0.1, end=0.3, recording_id="r")
    for cache_bytes in (1 << 30, 0):
        batch = dataset([segment], context=(900, 100), cache_bytes=cache_bytes).batch(0)
        values = (batch.waveform * 32768).round()
        inside = values[values > 0]
        assert inside.min() >= 5000 + 801 and inside.max() <= 5000 + 2400


def test_utterances_shorter_than_the_crop_are_padded_behind(utterances):
    batch = dataset(utterances[4:]).batch(0)
    assert batch.lengths.tolist() == [50] * 4
    assert (batch.waveform[:, 30:80] > 0).all() and (batch.waveform[:, 80:] == 0).all()


def test_a_wrong_rate_names_file_rates_and_remedy(utterances):
    with pytest.raises(DataDirError, match=r"0\.wav .*has 8000 Hz, expected 16000 Hz.*vqaudio data format"):
        CropDataset(utterances, ["a", "b"], 16000, 1000, (0, 0), 4, 0)


def test_an_unknown_speaker_names_the_nearest(utterances):
    stranger = Utterance("x", "anna", utterances[0].recording)
    with pytest.raises(DataDirError, match=r"'x' is of speaker 'anna'.*Did you mean 'ann'"):
        CropDataset([stranger], ["ann", "bob"], RATE, 1000, (0, 0), 4, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_length": 0}, "crop_length 0"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"context": (-1, 0)}, r"context \(-1, 0\)"),
        ({"rank": 2, "world_size": 2}, "rank 2 of 2"),
    ],
)
def test_impossible_sizes_are_echoed(utterances, change, message):
    with pytest.raises(DataDirError, match=message):
        dataset(utterances, **change)


def test_no_utterances():
    with pytest.raises(DataDirError, match="no utterances"):
        dataset([])


def test_commands_must_be_formatted_first(utterances):
    with pytest.raises(DataDirError, match="is a command, expected a file"):
        dataset([Utterance("x", "a", "cat x.wav |")])


def test_a_data_directory_serves(data):
    loaded = DataDir.load(data)
    batch = CropDataset(loaded.utterances, loaded.speakers, RATE, 512, (64, 0), 8, seed=0).batch(0)
    assert set(batch.utterances) <= {"ann-1", "ann-2", "bob-1"}


# ------------------------------------------------------------------------------- audio that turns out bad


@pytest.fixture
def own(utterances, tmp_path) -> list[Utterance]:
    """The utterances in files of the test's own, the second a FLAC file."""
    result = []
    for utterance in utterances:
        path = tmp_path / os.path.basename(utterance.recording).replace("1.wav", "1.flac")
        soundfile.write(path, *soundfile.read(utterance.recording, dtype="int16"))
        result.append(dataclasses.replace(utterance, recording=str(path)))
    return result


@pytest.mark.parametrize("cache_bytes", [1 << 30, 0])
def test_what_vanishes_leaves_empty_crops_and_all_others_as_they_were(own, utterances, cache_bytes):
    whole, data = dataset(utterances), dataset(own, cache_bytes=cache_bytes)
    os.unlink(own[1].recording)
    for step in range(12):
        batch, expected = data.batch(step), whole.batch(step)
        is_bad = torch.tensor([name == "utt1" for name in batch.utterances])
        assert batch.utterances == expected.utterances and torch.equal(batch.speakers, expected.speakers)
        assert not batch.lengths[is_bad].any() and not batch.waveform[is_bad].any()
        assert torch.equal(batch.lengths[~is_bad], expected.lengths[~is_bad])
        assert torch.equal(batch.waveform[~is_bad], expected.waveform[~is_bad])
    (rejection,) = data.rejections.found.values()
    assert rejection == Rejection("utt1", own[1].recording, rejection.reason)
    assert rejection.reason.startswith("no such file")
    assert data.count == CropCount(
        48, sum(name == "utt1" for step in range(12) for name in data.batch(step).utterances)
    )


@pytest.mark.parametrize("cache_bytes", [1 << 30, 0])
def test_a_batch_with_bad_audio_depends_on_its_step_alone(own, cache_bytes):
    os.truncate(own[1].recording, os.path.getsize(own[1].recording) * 2 // 3)  # its header is as it was
    forward, backward = dataset(own, cache_bytes=cache_bytes), dataset(own, cache_bytes=cache_bytes)
    there = [forward.batch(step) for step in range(12)]
    back = [backward.batch(step) for step in reversed(range(12))]
    assert all(equal(one, other) for one, other in zip(there, reversed(back), strict=True))
    assert list(forward.rejections.found) == list(backward.rejections.found) == ["utt1"]


def test_nothing_but_bad_audio(own):
    data = dataset(own[:1])
    os.unlink(own[0].recording)
    batch = data.batch(0)
    assert batch.lengths.tolist() == [0] * 4 and not batch.waveform.any()


def test_a_disk_that_fails_is_not_left_out(own, monkeypatch):
    data = dataset(own)
    monkeypatch.setattr(files, "PAUSES", ())
    monkeypatch.setattr(files, "open_regular", lambda path: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(StorageError, match="Input/output error"):
        data.batch(0)
    assert not data.rejections.found


# --------------------------------------------------------------------------------------------- prefetch


@pytest.mark.parametrize("workers", [1, 3])
def test_prefetching_changes_nothing(utterances, workers):
    data = dataset(utterances)
    ahead = list(islice(prefetch(data, 5, workers), 12))
    assert all(equal(batch, dataset(utterances).batch(5 + i)) for i, batch in enumerate(ahead))


def test_prefetching_ends_its_threads(utterances):
    before = threading.active_count()
    batches = prefetch(dataset(utterances), 0, workers=2)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before


def test_an_error_in_a_thread_is_raised_at_its_step(utterances):
    class Failing:
        def batch(self, step):
            if step == 3:
                raise AudioError("a.wav", "the disk is gone")
            return step

    batches = prefetch(Failing(), 0)
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(AudioError, match="the disk is gone"):
        next(batches)


# ----------------------------------------------------------------------------- what is read, and what is kept


class CountingFile(io.FileIO):
    """A file that adds up the bytes read from it."""

    read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        CountingFile.read_bytes += len(data)
        return data

    def readinto(self, buffer) -> int:
        count = super().readinto(buffer)
        CountingFile.read_bytes += count
        return count


@pytest.fixture
def bytes_read(monkeypatch):
    """Count what libsndfile reads; returns the count since the last call."""
    opened = soundfile.SoundFile

    def counting(file, *writing, closefd=True):
        return opened(file, *writing) if writing else opened(CountingFile(file, closefd=closefd))

    monkeypatch.setattr(soundfile, "SoundFile", counting)
    CountingFile.read_bytes = 0

    def count() -> int:
        read, CountingFile.read_bytes = CountingFile.read_bytes, 0
        return read

    return count


@pytest.mark.parametrize(("suffix", "most"), [("wav", 1 << 12), ("flac", 1 << 16)])  # FLAC is searched for the frame
def test_a_crop_of_a_long_file_is_read_without_reading_the_file(tmp_path, bytes_read, suffix, most):
    path = tmp_path / f"long.{suffix}"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 300 * RATE)
    soundfile.write(path, noise, RATE, "PCM_16")
    assert path.stat().st_size > 4_000_000
    data = dataset([Utterance("long", "a", str(path))], batch_size=1, cache_bytes=0)
    data.batch(0)  # the file's first: its header is read, too
    bytes_read()
    for step in range(1, 40):
        crop = data.batch(step).waveform[0]
        assert 0 < bytes_read() < most
        assert crop.abs().max() > 0.4


def test_a_cached_corpus_stays_below_its_bound_and_is_read_once(utterances, bytes_read):
    bound = 2 * (1000 + 3999 + 400 + 2500 + 50) + 1
    data = dataset(utterances, cache_bytes=bound)
    for step in range(3 * data.steps_per_epoch):
        data.batch(step)
    assert data.is_cached and sum(samples.nbytes for samples in data._cache.values()) < bound
    bytes_read()
    data.batch(0)
    assert bytes_read() == 0


def test_of_a_larger_corpus_no_audio_is_kept(tmp_path):
    write_wav(tmp_path / "long.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 500 * RATE), RATE)
    data = dataset([Utterance("long", "a", str(tmp_path / "long.wav"))], cache_bytes=0)
    data.batch(0)
    tracemalloc.start()
    for step in range(30):
        data.batch(step)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20  # the file is 8 MB, and 16 as float32
    assert not data._cache


def test_a_long_file_is_cached_block_by_block(tmp_path):
    path = tmp_path / "long.wav"
    write_wav(path, np.random.default_rng(0).uniform(-0.5, 0.5, 500 * RATE), RATE)
    data = dataset([Utterance("long", "a", str(path))])
    tracemalloc.start()
    data.batch(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.is_cached and peak < 2 * 500 * RATE + (3 << 20)  # as 16-bit samples, and a block of 65,536 as float32
