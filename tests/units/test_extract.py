"""Extraction against `model.encode`; interrupted and gone on with; and what it refuses, losing nothing."""

from __future__ import annotations

import copy
import dataclasses
import errno
import logging
import os
import threading

import numpy as np
import pytest
import soundfile
import torch

from vqaudio.audio.io import BLOCK_FRAMES
from vqaudio.corpus import DataDir, Utterance, prefetch
from vqaudio.corpus.reading import open_region
from vqaudio.errors import UnitsError, VQAudioError
from vqaudio.models.folder import unit_hash
from vqaudio.units import extract, read_frame_units, read_units
from vqaudio.units.extract import encode_utterance, extract_units
from vqaudio.units.partial import PartialUnits
from vqaudio.units.sharding import Shard


def run(model, data, folder, **options):
    return extract_units(model, data, folder, progress=False, **options)


def as_lists(sequences):
    return {utt: units.tolist() for utt, units in sequences.items()}


@pytest.fixture
def expected(model, waveforms):
    return {utt: model.encode(torch.from_numpy(waveform)).tolist() for utt, waveform in waveforms.items()}


@pytest.fixture
def other_model(model):
    other = copy.deepcopy(model)
    other.quantizer.codebook += 1
    return other


@pytest.fixture
def interrupted(model, data, tmp_path, monkeypatch):
    """A folder whose extraction was interrupted after two utterances."""
    calls = []

    def stops_at_the_third(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode_utterance(*arguments)

    monkeypatch.setattr(extract, "encode_utterance", stops_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(model, data, tmp_path / "units")
    monkeypatch.setattr(extract, "encode_utterance", encode_utterance)
    return tmp_path / "units"


@pytest.mark.parametrize("collapse", [False, True])
def test_units_are_those_of_encode(model, data, tmp_path, expected, collapse):
    summary = run(model, data, tmp_path / "units", collapse=collapse)
    units, spec = read_frame_units(tmp_path / "units")
    assert as_lists(units) == expected
    assert len(set(expected["b-1"])) > 4  # the codebook is spread: equality says something
    assert (spec.sample_rate, spec.hop_length, spec.codebook_size) == (8000, 16, 16)
    assert (spec.model_hash, spec.collapsed) == (unit_hash(model), collapse)
    assert summary.utterances == 4 and summary.units == sum(map(len, expected.values()))
    assert summary.audio_seconds == pytest.approx((5003 + 1 + 4800 + 2500) / 8000)


def test_nothing_unfinished_is_left_behind(model, data, tmp_path):
    run(model, data, tmp_path / "units")
    names = sorted(path.name for path in (tmp_path / "units").iterdir())
    assert names == ["rejected.tsv", "units.json", "units.txt"]


def test_segments_are_cut_from_their_recording(model, data, tmp_path, waveforms):
    recording = data.utterances[0].recording
    segment = Utterance("seg", "a", recording, start=0.1, end=0.5, recording_id="a-1")
    run(model, DataDir([segment]), tmp_path / "units")
    units, _ = read_units(tmp_path / "units")
    cut = torch.from_numpy(waveforms["a-1"][800:4000])
    assert units["seg"].tolist() == model.encode(cut).tolist()


def test_an_interrupted_extraction_goes_on(model, data, interrupted, expected, monkeypatch):
    with pytest.raises(UnitsError, match="goes on where it stopped"):
        read_units(interrupted)  # unfinished units are not taken for finished
    encoded = []
    monkeypatch.setattr(extract, "encode_utterance", lambda m, u, b: encoded.append(u.id) or encode_utterance(m, u, b))
    summary = run(model, data, interrupted)
    assert encoded == ["b-1", "b-2"]
    assert (summary.resumed, summary.utterances) == (2, 4)
    assert as_lists(read_units(interrupted)[0]) == expected


@pytest.mark.parametrize("damage", [b"b-1 3 1", b"b-1 3 99\nb-2 1\n", b"\xff\xfe\n"])
def test_a_damaged_end_is_encoded_again(model, data, interrupted, expected, damage):
    with open(interrupted / "units.partial.txt", "ab") as file:
        file.write(damage)
    assert run(model, data, interrupted).resumed == 2
    assert as_lists(read_units(interrupted)[0]) == expected


def test_changed_audio_is_encoded_again(model, data, interrupted, expected):
    changed = np.zeros(800, dtype=np.float32)
    soundfile.write(data.utterances[0].recording, changed, 8000, subtype="PCM_16")
    assert run(model, data, interrupted).resumed == 0
    units, _ = read_units(interrupted)
    assert units["a-1"].tolist() == model.encode(torch.from_numpy(changed)).tolist()
    assert units["b-2"].tolist() == expected["b-2"]


def test_another_models_units_are_refused_and_kept(model, other_model, data, tmp_path):
    run(model, data, tmp_path / "units")
    before = (tmp_path / "units" / "units.txt").read_bytes()
    with pytest.raises(UnitsError) as caught:
        run(other_model, data, tmp_path / "units")
    for each in (model, other_model):
        assert unit_hash(each)[:12] in str(caught.value)
    assert "differing: model_hash" in str(caught.value)
    assert (tmp_path / "units" / "units.txt").read_bytes() == before


def test_another_models_unfinished_units_are_refused_and_kept(other_model, data, interrupted):
    before = (interrupted / "units.partial.txt").read_bytes()
    with pytest.raises(UnitsError, match="holds units of another model"):
        run(other_model, data, interrupted)
    assert (interrupted / "units.partial.txt").read_bytes() == before


def test_the_same_model_may_extract_again(model, data, tmp_path, expected):
    run(model, data, tmp_path / "units", collapse=True)
    run(model, data, tmp_path / "units")
    assert as_lists(read_units(tmp_path / "units")[0]) == expected


def test_bad_audio_is_listed_and_the_rest_encoded(model, data, tmp_path, expected):
    with open(data.utterances[1].recording, "wb") as file:
        file.write(b"not audio")
    summary = run(model, data, tmp_path / "units", max_rejected_share=0.3)
    assert (summary.utterances, summary.rejected) == (3, 1)
    assert as_lists(read_units(tmp_path / "units")[0]) == {u: e for u, e in expected.items() if u != "a-2"}
    _, line = (tmp_path / "units" / "rejected.tsv").read_text().splitlines()
    assert line.split("\t")[:2] == ["a-2", data.utterances[1].recording]


def test_audio_that_turns_bad_after_some_blocks_is_listed_too(model, data, tmp_path, expected):
    path = data.utterances[2].recording
    waveform = np.zeros(2 * BLOCK_FRAMES, dtype=np.float32)
    waveform[BLOCK_FRAMES + 7] = np.nan
    soundfile.write(path, waveform, 8000, subtype="FLOAT")
    run(model, data, tmp_path / "units", max_rejected_share=0.3)
    assert as_lists(read_units(tmp_path / "units")[0]) == {u: e for u, e in expected.items() if u != "b-1"}
    assert f"sample {BLOCK_FRAMES + 7} is NaN" in (tmp_path / "units" / "rejected.tsv").read_text()


def test_the_next_audio_is_read_while_one_is_encoded(model, data, tmp_path, monkeypatch):
    """The last utterance, of a block each, is read although the first is not yet encoded."""
    begun, read_last = threading.Event(), threading.Event()

    def regions(utterance):
        if utterance.id == "b-2":
            assert begun.wait(30)
            read_last.set()
        return open_region(utterance)

    def waits_at_the_first(model, utterance, blocks):
        if utterance.id == "a-1":
            begun.set()
            assert read_last.wait(30)
        return encode_utterance(model, utterance, blocks)

    monkeypatch.setattr(prefetch, "open_region", regions)
    monkeypatch.setattr(extract, "encode_utterance", waits_at_the_first)
    assert run(model, data, tmp_path / "units").utterances == 4


def test_no_thread_outlives_an_interruption(interrupted):
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_too_much_bad_audio_fails_and_keeps_what_was_encoded(model, data, tmp_path, expected):
    path = data.utterances[1].recording
    with open(path, "rb") as file:
        good = file.read()
    with open(path, "wb") as file:
        file.write(b"not audio")
    with pytest.raises(VQAudioError, match=r"1 of 4 utterances rejected.*\n.*a-2(.|\n)*rejected.tsv"):
        run(model, data, tmp_path / "units")
    assert not (tmp_path / "units" / "units.json").exists()
    with open(path, "wb") as file:
        file.write(good)
    run(model, data, tmp_path / "units")
    assert as_lists(read_units(tmp_path / "units")[0]) == expected


def test_another_sample_rate_names_file_both_rates_and_the_remedy(model, data, tmp_path, waveforms):
    path = data.utterances[2].recording
    soundfile.write(path, waveforms["b-1"], 16000)
    with pytest.raises(VQAudioError) as caught:
        run(model, data, tmp_path / "units")
    for words in (path, "16000 Hz", "8000 Hz", "data format --sample_rate 8000"):
        assert words in str(caught.value)


def test_full_disk_names_the_path_and_keeps_what_was_written(model, data, tmp_path, expected, monkeypatch):
    append = PartialUnits.append

    class Full:
        def write(self, _):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self):
            pass

    def fills_up(self, utt, units):
        if utt == "b-1":
            self._file.close()
            self._file = Full()
        append(self, utt, units)

    monkeypatch.setattr(PartialUnits, "append", fills_up)
    with pytest.raises(VQAudioError, match=r"cannot write .*units\.partial\.txt: No space left on device"):
        run(model, data, tmp_path / "units")
    monkeypatch.setattr(PartialUnits, "append", append)
    assert run(model, data, tmp_path / "units").resumed == 2
    assert as_lists(read_units(tmp_path / "units")[0]) == expected


def test_the_summary_is_logged_with_its_speed(model, data, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="vqaudio.units.extract"):
        summary = run(model, data, tmp_path / "units")
    assert "times real time" in caplog.text and f"{summary.units} units of 4 utterances" in caplog.text
    assert dataclasses.replace(summary, audio_seconds=10, wall_seconds=4).speed == 2.5


@pytest.mark.parametrize(("collapse", "shard", "times"), [(False, None, 2), (True, None, 1), (False, "1/1", 1)])
def test_units_that_would_not_fit_are_refused_before_the_first(
    model, data, tmp_path, monkeypatch, collapse, shard, times
):
    """The lines are written as they are encoded, and where they are not collapsed all of them once more in the end."""
    asked = []
    monkeypatch.setattr(extract, "require_space", lambda path, size, what: asked.append((path, size)))
    known = DataDir([dataclasses.replace(u, duration=1.0) for u in data.utterances])
    part = None if shard is None else Shard.parse(shard, {})
    run(model, known, tmp_path / "units", collapse=collapse, shard=part)
    # 4 seconds of 500 units, of 10 codes with one digit and 6 with two, and a blank each; and 4 ids of 3 letters.
    assert asked == [(tmp_path / "units", times * round(4 * 500 * (1 + 22 / 16) + 12))]
    asked.clear()
    run(model, data, tmp_path / "unknown")
    assert asked == []
