"""Any tree of audio as a corpus: speakers, ids, and what is held out."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from data_prep import folder
from data_prep.writing import Findings, clean_name
from vqaudio.corpus.datadir import DataDir
from vqaudio.corpus.tables import id_fault
from vqaudio.errors import VQAudioError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"audio")
    return root


def collect(root: Path, table: dict[str, str] | None = None, level: int = 1) -> dict[str, str]:
    return {u.id: u.speaker for u in folder.collect(root, table, level, Findings())}


def test_a_real_tree_becomes_data_directories_that_can_be_read(tmp_path):
    for number in range(6):
        for speaker, suffix in (("anna", "wav"), ("boris", "flac"), ("clara", "ogg"), ("david", "mp3")):
            path = tmp_path / "audio" / speaker / f"take {number}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.zeros(1600, np.float32), 16000)
    assert folder.main(["--audio-dir", str(tmp_path / "audio"), "--out", str(tmp_path / "data")]) == 0
    parts = {name: DataDir.load(tmp_path / "data" / name) for name in ("train", "dev", "test")}
    ids = [utterance.id for part in parts.values() for utterance in part.utterances]
    assert len(ids) == len(set(ids)) == 24
    assert len(parts["dev"]) == len(parts["test"]) == 1
    assert parts["train"].speakers == ["anna", "boris", "clara", "david"]
    assert all(os.path.isabs(u.recording) and os.path.isfile(u.recording) for u in parts["train"].utterances)


def test_the_folder_below_the_root_names_the_speaker(tmp_path):
    touch(tmp_path, "anna/day1/a.wav", "boris/b.FLAC", "boris/notes.txt", "boris/.hidden.wav", ".git/c.wav")
    assert collect(tmp_path) == {"anna-day1_a": "anna", "boris-b": "boris"}


def test_a_deeper_folder_may_name_the_speaker(tmp_path):
    touch(tmp_path, "day1/anna/a.wav", "day1/boris/a.wav")
    assert collect(tmp_path, level=2) == {"anna-day1_a": "anna", "boris-day1_a": "boris"}


def test_files_in_the_root_have_its_name_as_speaker(tmp_path):
    assert collect(touch(tmp_path / "anna", "a.wav")) == {"anna-a": "anna"}


def test_the_longest_name_in_the_table_counts(tmp_path):
    touch(tmp_path, "day1/a.wav", "day1/b.wav", "day2/c.wav")
    table = {"day1": "anna", "day1/b": "boris", "day2/c.wav": "clara"}
    assert collect(tmp_path, table) == {"anna-day1_a": "anna", "boris-day1_b": "boris", "clara-day2_c": "clara"}


def test_a_file_that_the_table_leaves_out_is_named(tmp_path):
    with pytest.raises(VQAudioError, match=r"does not name 1 files: day1/a\.wav"):
        collect(touch(tmp_path, "day1/a.wav"), {"day2": "anna"})


def test_a_table_is_read_and_its_faults_are_named(tmp_path):
    path = tmp_path / "speakers"
    path.write_text("# who\nday 1/a.wav anna\n\nday2/\tboris\n")
    assert folder.read_speaker_table(path) == {"day 1/a.wav": "anna", "day2": "boris"}
    path.write_text("day1 anna\nday2\n")
    with pytest.raises(VQAudioError, match="speakers:2: got 'day2'"):
        folder.read_speaker_table(path)
    path.write_text("day1 anna\nday1 boris\n")
    with pytest.raises(VQAudioError, match="speakers:2: 'day1' has two speakers"):
        folder.read_speaker_table(path)
    with pytest.raises(VQAudioError, match="cannot be read"):
        folder.read_speaker_table(tmp_path / "nothing")


def test_files_whose_names_would_be_one_id_are_told_apart(tmp_path):
    touch(tmp_path, "anna/a b.wav", "anna/a_b.wav", "anna/c d.wav")
    found = {u.id: Path(u.recording).name for u in folder.collect(tmp_path, None, 1, Findings())}
    assert found.pop("anna-c_d") == "c d.wav"
    assert sorted(found.values()) == ["a b.wav", "a_b.wav"]
    assert all(re.fullmatch("anna-a_b-[0-9a-f]{8}", id) for id in found)
    (tmp_path / "anna/e.wav").write_bytes(b"audio")
    assert set(found) < set(collect(tmp_path))  # another file changes nothing about them


def test_speakers_whose_names_would_be_one_are_told_apart(tmp_path):
    speakers = set(collect(touch(tmp_path, "anna b/a.wav", "anna_b/b.wav", "boris/c.wav")).values())
    assert "boris" in speakers and len(speakers) == 3
    assert len([name for name in speakers if re.fullmatch("anna_b-[0-9a-f]{8}", name)]) == 2


@pytest.mark.parametrize("where", ["anna/{}.wav", "{}/a.wav"])
def test_names_as_long_as_they_can_be_leave_room_for_what_is_made_of_them(tmp_path, where):
    names = ["ü" * 120 + end for end in "ab"]
    found = collect(touch(tmp_path, *(where.format(name) for name in names)))
    assert len(found) == 2
    assert all(len(f"{id}-to-{speaker}.original.wav".encode()) <= 255 for id, speaker in found.items())
    assert all(id_fault(id) is None and id_fault(speaker) is None for id, speaker in found.items())


def test_a_root_that_no_table_can_name_is_refused(tmp_path):
    touch(tmp_path / "two\nlines", "anna/a.wav")
    with pytest.raises(VQAudioError, match=r"two\\nlines.*: a line break"):
        folder.collect(tmp_path / "two\nlines", None, 1, Findings())


def test_what_cannot_be_read_is_listed(tmp_path):
    touch(tmp_path, "anna/a.wav", "anna/b.m4a", "anna/c\nd.wav", "anna/.e.wav", ".trash/f.wav", "anna/.notes")
    findings = Findings()
    folder.collect(tmp_path, None, 1, findings)
    assert {finding.item for finding in findings.items} == {"anna/b.m4a", "anna/c\\nd.wav", "anna/.e.wav", ".trash"}


def test_a_name_that_is_not_utf8_is_listed(tmp_path):
    touch(tmp_path, "anna/a.wav")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/anna/\xff.wav")).write_bytes(b"audio")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    findings = Findings()
    folder.collect(tmp_path, None, 1, findings)
    assert [finding.item for finding in findings.items] == ["anna/\\\\udcff.wav"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path / "elsewhere", "a.wav")
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio/anna").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "audio")
    assert collect(tmp_path / "audio") == {"anna-a": "anna"}


def test_no_audio_is_told(tmp_path):
    with pytest.raises(VQAudioError, match="no audio found"):
        collect(touch(tmp_path, "anna/a.txt"))
    with pytest.raises(VQAudioError, match="no such folder"):
        folder.prepare(tmp_path / "nowhere", tmp_path / "data")


names = st.text(st.characters(exclude_characters="/\x00", exclude_categories=("Cs",)), min_size=1, max_size=300)


@given(st.lists(names.filter(lambda name: name.strip(".")), min_size=1, max_size=4), names)
def test_ids_are_fit_for_data_directories(parts, speaker):
    path = PurePosixPath(*parts, "take.wav")
    id = folder.utterance_id(path, speaker)
    assert id_fault(folder.distinct({"the path": id}, folder.ID_BYTES)["the path"]) is None
    assert id.startswith(clean_name(speaker)[:10])
