"""Lengths are taken from a table where it can be trusted, which is tried; a file that differs is named with both."""

from __future__ import annotations

import dataclasses
import re
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.audio.io import AudioInfo, probe, write_wav
from vqaudio.corpus import lengths, reading
from vqaudio.corpus.crops import CropDataset
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.corpus.lengths import find_lengths
from vqaudio.corpus.reading import bounds, find_region
from vqaudio.corpus.rejected import Rejections
from vqaudio.corpus.utterances import Utterances
from vqaudio.errors import DataDirError

from .conftest import RATE, noise


@pytest.fixture
def samples() -> list[int]:
    """Lengths of forty utterances, none of them whole milliseconds."""
    return [801 + 16 * i for i in range(40)]


@pytest.fixture
def corpus(tmp_path, samples) -> list[Utterance]:
    """Forty utterances whose lengths no table says."""
    made = []
    for i, count in enumerate(samples):
        write_wav(tmp_path / f"{i:02d}.wav", noise(count, i), RATE)
        made.append(Utterance(f"u{i:02d}", "ann", str(tmp_path / f"{i:02d}.wav")))
    return made


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The files whose headers were read."""
    paths: list[str] = []
    monkeypatch.setattr(reading, "probe", lambda path: paths.append(str(path)) or probe(path))
    return paths


@pytest.fixture
def few_checks(monkeypatch) -> None:
    """Five spot checks: of the files 0, 9, 19, 29 and 39."""
    monkeypatch.setattr(lengths, "SPOT_CHECKS", 5)


def say(corpus, **of_index) -> list[Utterance]:
    """Return the corpus with what a table says of each utterance, by its number."""
    return [
        dataclasses.replace(utterance, **{name: value(i) for name, value in of_index.items()})
        for i, utterance in enumerate(corpus)
    ]


def dataset(utterances) -> CropDataset:
    return CropDataset(utterances, ["ann"], RATE, 400, (0, 0), 4, seed=1, cache_bytes=0)


def found(utterances) -> lengths.Lengths:
    return find_lengths(Utterances.of(utterances), RATE)


def test_with_utt2num_samples_some_headers_alone_are_read(corpus, samples, opened, few_checks):
    result = found(say(corpus, num_samples=lambda i: samples[i]))
    assert result.samples.tolist() == samples and result.source == "utt2num_samples"
    assert opened == [corpus[i].recording for i in (0, 9, 19, 29, 39)]


def test_utt2dur_serves_where_it_is_exact(corpus, samples, opened, few_checks):
    result = found(say(corpus, duration=lambda i: round(samples[i] / RATE, 6)))
    assert result.samples.tolist() == samples and result.source == "utt2dur"
    assert len(opened) == 5


@pytest.mark.parametrize("digits", [2, 3])
def test_a_rounded_utt2dur_is_not_believed(corpus, samples, opened, few_checks, digits):
    result = found(say(corpus, duration=lambda i: round(samples[i] / RATE, digits)))
    assert result.samples.tolist() == samples
    assert set(opened) == {utterance.recording for utterance in corpus}


def test_without_a_table_all_headers_are_read(corpus, samples, opened, few_checks):
    assert found(corpus).samples.tolist() == samples
    assert set(opened) == {utterance.recording for utterance in corpus}


def test_some_entries_are_none(corpus, samples):
    assert found(say(corpus, num_samples=lambda i: samples[i] if i else None)).samples.tolist() == samples


@pytest.mark.parametrize("name", ["num_samples", "duration"])
def test_crops_are_the_same_whoever_says_the_lengths(corpus, samples, few_checks, name):
    values = {"num_samples": lambda i: samples[i], "duration": lambda i: round(samples[i] / RATE, 6)}
    said, read = dataset(say(corpus, **{name: values[name]})), dataset(corpus)
    for step in range(30):
        one, other = said.batch(step), read.batch(step)
        assert one.utterances == other.utterances and one.waveform.equal(other.waveform)


# ------------------------------------------------------------------------------------------- what is wrong


def test_a_wrong_rate_is_found_at_once(corpus, samples, few_checks):
    with pytest.raises(DataDirError, match=r"00\.wav .* has 8000 Hz, expected 16000 Hz"):
        find_lengths(Utterances.of(say(corpus, num_samples=lambda i: samples[i])), 2 * RATE)


def test_too_many_missing_files_among_those_looked_at_are_found_at_once(corpus, samples, few_checks, tmp_path):
    (tmp_path / "19.wav").unlink()
    with pytest.raises(DataDirError, match=r"1 of 5 utterances rejected .*\n  u19: .*19\.wav: no such file"):
        found(say(corpus, num_samples=lambda i: samples[i]))


@pytest.mark.parametrize("said", [True, False])
def test_a_few_bad_files_are_rejected(corpus, samples, few_checks, tmp_path, said):
    (tmp_path / "19.wav").unlink()
    (tmp_path / "29.wav").write_bytes(b"")
    utterances, rejections = say(corpus, num_samples=lambda i: samples[i] if said else None), Rejections(max_share=0.5)
    result = find_lengths(Utterances.of(utterances), RATE, rejections=rejections)
    assert set(rejections.found) == {"u19", "u29"}
    assert rejections.found["u29"].reason == "the file is empty (0 bytes)"
    expected = samples if said else [0 if i in (19, 29) else count for i, count in enumerate(samples)]
    assert result.samples.tolist() == expected


def test_a_wrong_number_of_samples_among_those_looked_at_names_file_and_both(corpus, samples, few_checks):
    with pytest.raises(DataDirError, match=r"29\.wav \(utterance 'u29'\) holds 1265 samples, utt2num_samples says 7:"):
        found(say(corpus, num_samples=lambda i: 7 if i == 29 else samples[i]))


@pytest.mark.parametrize("cache_bytes", [0, 1 << 30])
def test_another_one_is_rejected_when_it_is_read_first(corpus, samples, few_checks, cache_bytes):
    utterances = say(corpus, num_samples=lambda i: samples[i] + 100 * (i == 30))
    data = CropDataset(utterances, ["ann"], RATE, 400, (0, 0), 1, seed=1, cache_bytes=cache_bytes)
    for step in range(data.steps_per_epoch):
        data.batch(step)
    (reason,) = [rejection.reason for rejection in data.rejections.found.values()]
    expected = r"30\.wav \(utterance 'u30'\) holds 1281 samples, utt2num_samples says 1381: .*vqaudio data format"
    assert re.search(expected, reason)


def test_a_file_of_another_rate_is_rejected_when_it_is_read_first(corpus, samples, few_checks, tmp_path):
    write_wav(tmp_path / "30.wav", noise(samples[30]), 2 * RATE)
    data = dataset(say(corpus, num_samples=lambda i: samples[i]))
    for step in range(data.steps_per_epoch):
        data.batch(step)
    assert list(data.rejections.found) == ["u30"]
    assert re.search(r"30\.wav .* has 16000 Hz, expected 8000 Hz", data.rejections.found["u30"].reason)


def test_a_wrong_table_on_disk(data):
    (data / "utt2num_samples").write_text("ann-1 4000\nann-2 4801\nbob-1 5600\n")
    loaded = DataDir.load(data)
    with pytest.raises(DataDirError, match=r"ann-2\.wav .* holds 4800 samples, utt2num_samples says 4801"):
        CropDataset(loaded.utterances, loaded.speakers, RATE, 400, (0, 0), 4, seed=0)


# ---------------------------------------------------------------------------------------------- segments


def test_the_header_of_a_recording_is_read_once_for_all_its_segments(tmp_path, opened, few_checks):
    write_wav(tmp_path / "a.wav", noise(RATE), RATE)
    shutil.copy(tmp_path / "a.wav", tmp_path / "b.wav")
    segments = [
        Utterance(f"{name}{i:02d}", "ann", str(tmp_path / f"{name}.wav"), i / 50, (i + 1) / 50, recording_id=name)
        for name in "ab"
        for i in range(50)
    ]
    DataDir(segments).write(tmp_path / "data")
    result = found(DataDir.load(tmp_path / "data").utterances)
    assert result.samples.tolist() == [160] * 100
    assert len(opened) == 5 + 2


def test_segments_outside_their_recording_are_refused(segmented):
    loaded = list(DataDir.load(segmented).utterances)
    wrong = dataclasses.replace(loaded[1], start=0.6, end=0.9)
    with pytest.raises(DataDirError, match=r"segment 'ann-2' \(0.6 to 0.9 s\) lies outside its 0.500 s"):
        found([loaded[0], wrong, loaded[2]])


def test_a_segment_outside_takes_no_other_of_its_recording_with_it(segmented):
    loaded = list(DataDir.load(segmented).utterances)
    wrong, rejections = dataclasses.replace(loaded[0], start=0.6, end=0.9), Rejections(max_share=0.5)
    result = find_lengths(Utterances.of([wrong, *loaded[1:]]), RATE, rejections=rejections)
    assert list(rejections.found) == ["ann-1"]
    assert result.samples.tolist() == [0, 2400, 4800]


def test_all_segments_of_a_bad_recording_are_rejected(segmented, few_checks):
    loaded, rejections = DataDir.load(segmented).utterances, Rejections(max_share=1)
    (segmented / "wavs/rec-ann-1.wav").write_bytes(b"")
    result = find_lengths(loaded, RATE, rejections=rejections)
    assert list(rejections.found) == ["ann-1", "ann-2"] and result.samples.tolist() == [0, 0, 4800]


@settings(deadline=None)
@given(
    start=st.none() | st.floats(0, 3),
    end=st.none() | st.floats(0, 3),
    frames=st.integers(1, 30_000),
    rate=st.sampled_from([8000, 11025, 16000, 44100]),
)
def test_bounds_of_segments(start, end, frames, rate):
    first = round((start or 0.0) * rate)
    stop = frames if end is None else round(end * rate)
    if frames < stop <= frames + 0.01 * rate + 1:
        stop = frames
    expected = (first, stop) if first < stop <= frames else (0, 0)
    times = (np.array([np.nan if time is None else time]) for time in (start, end))
    assert tuple(int(bound[0]) for bound in bounds(*times, np.array([frames]), rate)) == expected


def test_a_region_is_what_the_bounds_say(segmented):
    for utterance in DataDir.load(segmented).utterances:
        region = find_region(utterance)
        assert isinstance(region.info, AudioInfo)
        assert region.start == round(utterance.start * RATE)
        assert region.start + region.frames == (5600 if utterance.end is None else round(utterance.end * RATE))
