"""ZeroSpeech 2019, on a miniature of its layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import archives, zerospeech2019
from data_prep.fetch import FetchError
from tests.data_prep.miniature import findings, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError


@pytest.fixture
def root(tmp_path) -> Path:
    """As its archives unpack: https://zerospeech.com/challenge_archive/2019/instructions, "Speech dataset".

    The names of files, and the folders train/parallel/{source,voice}, are those that the loader of
    https://github.com/tarepan/speechcorpusy (presets/zr19) lists.
    """
    databases = tmp_path / "databases"
    for language, voices in (("english", ("V001", "V002")), ("surprise", ("V001",))):
        for speaker in ("S015", "S020", *voices):
            folder = "unit" if speaker.startswith("S") else "voice"
            for number in range(8):
                write_sound(databases / language / f"train/{folder}/{speaker}_036184110{number}.wav", 16000, 0.1)
        for number in range(3):
            write_sound(databases / language / f"test/S002_037908808{number}.wav", 16000, 0.1)
        write_text(databases / language / "vads.txt", "S015_0361841100 0.0 0.1")
    write_sound(databases / "english/train/parallel/source/S061_1178890909.wav", 16000, 0.1)
    write_sound(databases / "english/train/parallel/voice/V001_1178890909.wav", 16000, 0.1)
    return databases


def test_voices_of_units_and_target_voices_are_trained_on_together(root, tmp_path):
    parts = zerospeech2019.prepare(root, tmp_path / "data")
    assert parts["train"].speakers == ["S015", "S020", "V001", "V002"]
    known = [u.id for name in ("train", "dev", "test") for u in parts[name].utterances]
    assert len(known) == len(set(known)) == 32
    assert {name: len(part) for name, part in parts.items() if name not in ("train", "dev", "test")} == {
        "official_test": 3, "parallel_source": 1, "parallel_voice": 1}  # fmt: skip
    assert [u.id for u in parts["official_test"].utterances] == [f"S002-037908808{number}" for number in range(3)]
    assert parts["official_test"].utterances[0].recording == str(root / "english/test/S002_0379088080.wav")


def test_the_surprise_language_has_one_voice_and_may_lack_the_parallel_sentences(root, tmp_path):
    parts = zerospeech2019.prepare(root, tmp_path / "data", "surprise")
    assert set(parts) == {"train", "dev", "test", "official_test"}
    assert parts["train"].speakers == ["S015", "S020", "V001"]


@pytest.mark.parametrize("place", ["", "english", ".."])
def test_a_language_is_found_from_its_folder_and_from_those_above(root, tmp_path, place):
    copy = tmp_path / "2019"
    root.rename(copy)
    assert zerospeech2019.locate(copy / place, "english") == copy / "english"


def test_an_absent_language_is_named_with_what_is_there(root, tmp_path):
    (root / "surprise/train/unit").rename(root / "surprise/train/units")
    with pytest.raises(VQAudioError, match=r"no surprise/train/unit in it\. It has english, surprise\. Looked for"):
        zerospeech2019.prepare(root, tmp_path / "data", "surprise")
    with pytest.raises(VQAudioError, match=r"It has neither english nor surprise\. Looked for it in:\n"):
        zerospeech2019.prepare(tmp_path, tmp_path / "data")


@pytest.mark.parametrize("part", ["train/unit", "train/voice", "test"])
def test_a_part_without_recordings_is_refused(root, tmp_path, part):
    for path in (root / "english" / part).glob("*.wav"):
        path.unlink()
    with pytest.raises(VQAudioError, match=rf"english/{part}: nothing of the corpus in it\. Looked for <speaker>_"):
        zerospeech2019.prepare(root, tmp_path / "data")


def test_a_foreign_file_is_listed(root, tmp_path):
    write_sound(root / "english/test/readme.wav", 16000, 0.1)
    zerospeech2019.prepare(root, tmp_path / "data")
    kind = "left out: its name is not <speaker>_<number>.wav, such as S015_0361841101.wav"
    assert findings(tmp_path / "data") == [["english/test/readme.wav", kind, ""]]


def test_english_is_fetched_and_the_surprise_language_explained(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(archives, "obtain", lambda wanted, into: asked.extend(wanted) or into)
    assert zerospeech2019.download(tmp_path) == tmp_path / "zerospeech2019"
    assert [archive.name for archive in asked] == ["english"]
    with pytest.raises(FetchError, match=r"has a password\. Accept the agreement .*surprise\.zip .*--corpus_dir"):
        zerospeech2019.download(tmp_path, "surprise")
    (tmp_path / "zerospeech2019/surprise").mkdir(parents=True)
    assert zerospeech2019.download(tmp_path, "surprise") == tmp_path / "zerospeech2019"


def test_the_command(root, tmp_path, capsys):
    arguments = ["--corpus-dir", str(root), "--out", str(tmp_path / "data")]
    assert zerospeech2019.main([*arguments, "--language", "surprise"]) == 0
    assert len(DataDir.load(tmp_path / "data/official_test")) == 3
    with pytest.raises(SystemExit):
        zerospeech2019.main([*arguments, "--language", "indonesian"])
    assert "expected one of english, surprise" in capsys.readouterr().err
