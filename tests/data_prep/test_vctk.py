"""VCTK, on miniatures of the layouts of its two versions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_prep import archives, vctk
from tests.data_prep.miniature import findings, ids, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError

NUMBERS = [f"{n:03d}" for n in (*range(1, 13), 25, 26, 27)]
STELLA = "Please call Stella."


def write_speaker(folder: Path, sound: Path, marks: tuple[str, ...] = ("",)) -> None:
    """Write a speaker's recordings, copies of a sound, and the texts, which p315 has none of."""
    speaker, texts = folder.name, folder.parents[1] / "txt" / folder.name
    folder.mkdir()
    for number in NUMBERS:
        for mark in marks:
            shutil.copyfile(sound, folder / f"{speaker}_{number}{mark}{sound.suffix}")
        text = f"Sentence {number}." if number <= "024" else f"Newspaper sentence {number} of {speaker}."
        if speaker != "p315":
            write_text(texts / f"{speaker}_{number}.txt", STELLA if number == "001" else text)


@pytest.fixture
def new(tmp_path) -> Path:
    """Version 0.92, as VCTK-Corpus-0.92.zip unpacks, oddities included: no folder is around it.

    https://doi.org/10.7488/ds/2645, README.txt: two microphones; p280 and p315 have no recordings of the second, p362
    lacks some, the texts of p315 were lost; 0.80 did not have s5. Names as in torchaudio.datasets.vctk.
    """
    root = tmp_path / "VCTK-Corpus-0.92"
    sound = write_sound(tmp_path / "sound.flac", 48000, 0.02)
    (root / "wav48_silence_trimmed").mkdir(parents=True)
    for speaker in ("p225", "p280", "p315", "p362", "s5"):
        marks = ("_mic1",) if speaker in ("p280", "p315") else ("_mic1", "_mic2")
        write_speaker(root / "wav48_silence_trimmed" / speaker, sound, marks)
    (root / "wav48_silence_trimmed/p362/p362_007_mic2.flac").unlink()
    write_text(root / "wav48_silence_trimmed/log.txt", "trimmed")
    rows = ("p225  23  F    English    Southern  England", "p280  25  F    Unknown    France (mic2 files unavailable)")
    write_text(root / "speaker-info.txt", "ID  AGE  GENDER  ACCENTS  REGION COMMENTS ", *rows)
    return root


@pytest.fixture
def old(tmp_path) -> Path:
    """Version 0.80, as VCTK-Corpus.tar.gz unpacks, oddities included.

    https://doi.org/10.7488/ds/1994, README: one microphone; p315 has no folder of texts; p376_295.raw, which is no WAV.
    """
    root = tmp_path / "VCTK-Corpus"
    sound = write_sound(tmp_path / "sound.wav", 48000, 0.02)
    (root / "wav48").mkdir(parents=True)
    for speaker in ("p225", "p315", "p376"):
        write_speaker(root / "wav48" / speaker, sound)
    write_text(root / "wav48/p376/p376_295.raw", "")
    write_text(
        root / "speaker-info.txt", "ID  AGE  GENDER  ACCENTS  REGION ", "225  23  F    English    Southern  England"
    )
    return root


def test_sentences_are_held_out_of_every_speaker(new, tmp_path):
    parts = vctk.prepare(new, tmp_path / "data")
    speakers = ["p225", "p280", "p362", "s5"]
    assert all(part.speakers == speakers for part in parts.values())
    assert {f"{speaker}-005" for speaker in speakers} <= set(ids(tmp_path / "data/test"))
    assert {f"{speaker}-010" for speaker in speakers} <= set(ids(tmp_path / "data/dev"))
    assert sum(len(part) for part in parts.values()) == 60


def test_shared_prompts_go_by_number_and_newspaper_sentences_by_their_words():
    assert {n: vctk.part_of(n, "") for n in NUMBERS[:24] if vctk.part_of(n, "") != "train"} == {
        "005": "test",
        "010": "dev",
    }
    assert vctk.part_of("005", "a slip") == vctk.part_of("005", "She can scoop these things") == "test"
    sentences = [f"Sentence {n}, he said." for n in range(300)]
    assert all(vctk.part_of("025", s) == vctk.part_of("411", s.upper().replace(",", " -")) for s in sentences)
    held_out = [vctk.part_of("025", s) for s in sentences]
    assert 0 < held_out.count("test") < 25 and 0 < held_out.count("dev") < 25


def test_recordings_are_those_of_the_microphone(new, tmp_path):
    first = vctk.prepare(new, tmp_path / "data")["train"].utterances[0]
    assert (first.id, first.text) == ("p225-001", STELLA)
    assert first.recording == str(new / "wav48_silence_trimmed/p225/p225_001_mic1.flac")
    second = vctk.prepare(new, tmp_path / "data", microphone="mic2")["train"]
    assert second.utterances[0].recording.endswith("p225_001_mic2.flac")
    assert second.speakers == ["p225", "p362", "s5"]


def test_who_is_without_texts_or_microphone_is_listed(new, tmp_path):
    vctk.prepare(new, tmp_path / "data")
    assert findings(tmp_path / "data") == [
        [f"p315-{number}", "left out: the texts of its speaker were lost", ""] for number in NUMBERS
    ]
    vctk.prepare(new, tmp_path / "data", microphone="mic2")
    rows = findings(tmp_path / "data")
    assert [row[0] for row in rows] == [*(f"p280-{number}" for number in NUMBERS), "p362-007"]
    assert rows[0][1:] == ["left out: no recording of mic2", STELLA]


def test_the_old_version_too(old, tmp_path):
    parts = vctk.prepare(old, tmp_path / "data")
    assert all(part.speakers == ["p225", "p376"] for part in parts.values())
    assert parts["train"].utterances[0].recording == str(old / "wav48/p225/p225_001.wav")
    assert findings(tmp_path / "data")[0] == [
        "p376/p376_295.raw",
        "left out: its name is not that of a .wav recording",
        "",
    ]
    assert len(findings(tmp_path / "data")) == 1 + len(NUMBERS)
    with pytest.raises(VQAudioError, match=r"--microphone mic2: version 0\.80 has one microphone, mic1"):
        vctk.prepare(old, tmp_path / "data", microphone="mic2")


def test_versions_are_told_apart_by_their_folders(new, old, tmp_path):
    assert vctk.locate(tmp_path, None) == (new, "0.92")
    assert vctk.locate(tmp_path, "0.80") == (old, "0.80")
    assert vctk.locate(old, None) == (old, "0.80")
    with pytest.raises(VQAudioError, match=r"VCTK-Corpus: this is version 0\.80, asked for was 0\.92 \(--version\)"):
        vctk.prepare(old, tmp_path / "data", version="0.92")


def test_speakers_may_be_chosen_and_must_be_there(new, tmp_path):
    assert vctk.prepare(new, tmp_path / "data", speakers=("s5", "p225"))["test"].speakers == ["p225", "s5"]
    with pytest.raises(VQAudioError, match=r"no 'p252' in .*, which has 5 speakers\. Did you mean 'p225'"):
        vctk.prepare(new, tmp_path / "data", speakers=("p252",))
    with pytest.raises(VQAudioError, match=r"Looked for wav48_silence_trimmed/<speaker>/\*\.flac of mic1, with texts"):
        vctk.prepare(new, tmp_path / "data", speakers=("p315",))


def test_a_recording_without_its_text_is_refused(new, tmp_path):
    (new / "txt/p225/p225_025.txt").unlink()
    write_text(new / "txt/s5/s5_026.txt", " ")
    with pytest.raises(
        VQAudioError, match=r"txt: no transcript of 2 utterances: p225_025, s5_026\. Is the copy complete"
    ):
        vctk.prepare(new, tmp_path / "data")


def test_a_folder_without_it_is_refused_with_what_was_looked_for(old, tmp_path):
    with pytest.raises(
        VQAudioError, match=r"Looked for wav48_silence_trimmed and txt \(version 0\.92\), or wav48 and txt"
    ):
        vctk.prepare(old / "txt", tmp_path / "data")
    (old / "txt").rename(old / "texts")
    with pytest.raises(VQAudioError, match=r"Looked for txt/<speaker>/<speaker>_<number>\.txt of version 0\.80"):
        vctk.prepare(old, tmp_path / "data")


def test_what_is_fetched_goes_by_version(monkeypatch, tmp_path):
    fetched: list[str] = []
    monkeypatch.setattr(archives, "obtain", lambda wanted, into: fetched.extend(a.file for a in wanted) or into)
    assert vctk.download(tmp_path) == tmp_path / "VCTK-Corpus-0.92"
    assert vctk.download(tmp_path, "0.80") == tmp_path / "VCTK-Corpus"
    assert fetched == ["VCTK-Corpus-0.92.zip", "VCTK-Corpus.tar.gz"]


def test_the_command(new, tmp_path, capsys):
    out = ["--out", str(tmp_path / "data")]
    assert vctk.main(["--corpus_dir", str(tmp_path / "nowhere"), *out]) == 2
    assert "there is no such folder, expected the corpus unpacked" in capsys.readouterr().err
    assert vctk.main(["--corpus_dir", str(new), "--microphone=mic2", "--speakers", "p225", *out]) == 0
    assert DataDir.load(tmp_path / "data/train").speakers == ["p225"]
