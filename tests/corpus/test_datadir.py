"""Data directories are read as they stand, written as Kaldi sorts them, and refused when broken."""

from __future__ import annotations

import dataclasses
import os

import pytest

from vqaudio.corpus.datadir import DataDir, Utterance, total_seconds
from vqaudio.errors import DataDirError, VQAudioError

from .conftest import edit, table


def test_loading(data):
    loaded = DataDir.load(data)
    assert loaded.speakers == ["ann", "bob"]
    assert len(loaded) == 3
    assert loaded.utterances[1] == Utterance("ann-2", "ann", str(data / "wavs/ann-2.wav"), text="good night")
    assert not loaded.utterances[1].is_segment


def test_loading_segments(segmented):
    utterances = DataDir.load(segmented).utterances
    assert [(u.id, u.start, u.end, u.recording_id) for u in utterances] == [
        ("ann-1", 0.0, 0.2, "rec-a"), ("ann-2", 0.2, 0.5, "rec-a"), ("bob-1", 0.1, None, "rec-b"),
    ]  # fmt: skip
    assert utterances[0].recording == utterances[1].recording == str(segmented / "wavs/rec-ann-1.wav")


def test_paths_are_absolute_wherever_one_stands(data, monkeypatch):
    monkeypatch.chdir(data.parent)
    recording = DataDir.load("data").utterances[0].recording
    assert os.path.isabs(recording) and os.path.isfile(recording)


def test_a_broken_directory_is_refused_with_every_violation(data):
    edit(data / "text", lambda text: text.replace("bob-1 no\n", ""))
    (data / "wavs/ann-1.wav").unlink()
    with pytest.raises(DataDirError) as caught:
        DataDir.load(data)
    message = str(caught.value)
    assert "(2 violations)" in message
    assert f"{data}/wav.scp:1: audio-missing:" in message
    assert f"{data}/utt2spk:3: missing-utterance: utterance 'bob-1' is not in text" in message


def test_thousands_of_violations_of_one_rule_do_not_hide_the_others(data):
    ids = [f"u{number:04}" for number in range(1000)]
    table(data, "wav.scp", *(f"{id} {id}.wav" for id in ids))
    table(data, "utt2spk", *(f"{id} s" for id in ids))
    table(data, "spk2utt", f"s {' '.join(ids)}")
    table(data, "text", *(f"{id} a" for id in ids), "u0001 b")
    with pytest.raises(DataDirError) as caught:
        DataDir.load(data)
    message = str(caught.value)
    assert message.count("\n") < 60
    assert "(1001 violations)" in message and "950 more of rule audio-missing" in message
    assert "text:1001: duplicate" in message


def test_writing_golden(data, tmp_path):
    loaded = DataDir.load(data).utterances
    timed = [dataclasses.replace(u, duration=0.5 + i / 10, num_samples=4000 + i) for i, u in enumerate(loaded)]
    DataDir(timed[::-1]).write(data)
    assert {path.name: path.read_text() for path in data.iterdir() if path.is_file()} == {
        "wav.scp": "ann-1 wavs/ann-1.wav\nann-2 wavs/ann-2.wav\nbob-1 wavs/bob-1.wav\n",
        "utt2spk": "ann-1 ann\nann-2 ann\nbob-1 bob\n",
        "spk2utt": "ann ann-1 ann-2\nbob bob-1\n",
        "text": "ann-1 good morning\nann-2 good night\nbob-1 no\n",
        "utt2dur": "ann-1 0.500000\nann-2 0.600000\nbob-1 0.700000\n",
        "utt2num_samples": "ann-1 4000\nann-2 4001\nbob-1 4002\n",
    }


@pytest.mark.parametrize("kind", ["data", "segmented"])
def test_what_is_written_elsewhere_loads_the_same(request, tmp_path, kind):
    loaded = DataDir.load(request.getfixturevalue(kind))
    written = loaded.write(tmp_path / "copy")
    assert written.path == tmp_path / "copy"
    assert DataDir.load(tmp_path / "copy").utterances == loaded.utterances == written.utterances
    assert (tmp_path / "copy/segments").exists() == (kind == "segmented")


def test_a_folder_with_its_audio_inside_can_be_moved(data):
    DataDir.load(data).write(data)
    moved = data.rename(data.parent / "moved")
    assert DataDir.load(moved).utterances[0].recording == str(moved / "wavs/ann-1.wav")


def test_audio_elsewhere_is_written_absolute(data, tmp_path):
    DataDir.load(data).write(tmp_path / "copy")
    assert (tmp_path / "copy/wav.scp").read_text().startswith(f"ann-1 {data}/wavs/ann-1.wav\n")


def test_a_neighbour_with_the_same_prefix_is_not_inside(data, tmp_path):
    DataDir.load(data).write(tmp_path / "dat")
    assert (tmp_path / "dat/wav.scp").read_text().startswith(f"ann-1 {data}/")


def test_segments_mixed_with_whole_files(data, segmented, tmp_path):
    whole = Utterance("cy-1", "cy", str(data / "wavs/ann-2.wav"), text="yes")
    DataDir([*DataDir.load(segmented).utterances, whole]).write(tmp_path / "mixed")
    assert (tmp_path / "mixed/segments").read_text().splitlines()[-1] == "cy-1 cy-1 0.000000 -1"
    assert DataDir.load(tmp_path / "mixed").utterances[-1].recording == whole.recording


def test_numbers_of_samples_are_read_and_written(data, tmp_path):
    table(data, "utt2num_samples", "ann-1 4000", "ann-2 4800", "bob-1 5600")
    loaded = DataDir.load(data)
    assert [u.num_samples for u in loaded.utterances] == [4000, 4800, 5600]
    assert DataDir.load(loaded.write(tmp_path / "copy").path).utterances == loaded.utterances


def test_tables_of_an_earlier_version_do_not_stay(data, caplog):
    loaded = DataDir.load(data)
    some = [dataclasses.replace(loaded.utterances[0], text=None), *loaded.utterances[1:]]
    DataDir(some).write(data)
    assert not (data / "text").exists()
    assert "text is not written: 1 of 3 utterances have no entry" in caplog.text
    assert "text is removed" in caplog.text
    assert [u.text for u in DataDir.load(data).utterances] == [None] * 3


def test_no_utterances_are_not_written(tmp_path):
    with pytest.raises(DataDirError, match="no utterances to write"):
        DataDir([]).write(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_duplicate_ids_are_not_written(data, tmp_path):
    with pytest.raises(DataDirError, match="1 utterance ids occur more than once: ann-1"):
        DataDir([*DataDir.load(data).utterances, DataDir.load(data).utterances[0]]).write(tmp_path / "new")


def test_one_recording_id_for_two_recordings_is_not_written(segmented, tmp_path):
    first, second, _ = DataDir.load(segmented).utterances
    with pytest.raises(DataDirError, match="recording id 'rec-a' means"):
        DataDir([first, dataclasses.replace(second, recording="/elsewhere.wav")]).write(tmp_path / "new")


def test_a_folder_that_cannot_be_written_is_named(data):
    (data / "file").touch()
    with pytest.raises(VQAudioError, match=r"cannot write .*file/new/utt2spk"):
        DataDir.load(data).write(data / "file" / "new")


def test_seconds_in_total(data, segmented):
    assert total_seconds(DataDir.load(segmented).utterances[:2]) == pytest.approx(0.5)
    assert total_seconds(DataDir.load(segmented).utterances) is None  # the third ends with its recording


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": "good\nbob-1 touch x |"}, "the text of 'ann-1' cannot be written: .* has a line break"),
        ({"text": "good\rmorning"}, "has a line break"),
        ({"recording": "/x/a\nb.wav"}, "the recording of 'ann-1' cannot be written: .* has a line break"),
        ({"recording": "/x/a.wav "}, "begins or ends with a blank"),
        ({"recording": "/x/\udcff.wav"}, "is not UTF-8"),
        ({"id": "../ann-1"}, "id '../ann-1' contains '/'"),
        ({"id": "ann 1"}, "contains ' '"),
        ({"speaker": "-rf"}, "starts with '-'"),
    ],
)
def test_what_no_table_can_hold_is_refused_before_anything_is_written(data, change, words):
    first, *others = DataDir.load(data).utterances
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}
    with pytest.raises(DataDirError, match=words):
        DataDir([dataclasses.replace(first, **change), *others]).write(data)
    assert {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()} == before


def test_a_path_with_tabs_and_blanks_within_is_read_as_it_was_written(data):
    path = data / "wavs/ann\t 1  .wav"
    (data / "wavs/ann-1.wav").rename(path)
    DataDir([Utterance("ann-1", "ann", str(path))]).write(data.parent / "out")
    assert DataDir.load(data.parent / "out").utterances[0].recording == str(path)
