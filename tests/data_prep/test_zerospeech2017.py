"""ZeroSpeech 2017, on a miniature of its layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import zerospeech2017
from tests.data_prep.miniature import findings, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError


@pytest.fixture
def root(tmp_path) -> Path:
    """As https://github.com/zerospeech/zerospeech2017 has it: its README, "Getting the development dataset"."""
    for speaker, seconds in (("F01_R", 25.0), ("M05_O", 31.0)):
        write_sound(tmp_path / f"train/french/{speaker}.wav", 1000, seconds)
    for length, seconds in (("1s", 1), ("10s", 2), ("120s", 3)):
        for name in ("aghsu09", "dsgea01"):
            write_sound(tmp_path / f"test/french/{length}/{name}.wav", 1000, seconds)
        write_text(tmp_path / f"test/french/{length}/across.abx", "")
    write_sound(tmp_path / "train/mandarin/A08.wav", 1000, 60.0)
    return tmp_path


def prepare(root: Path, language: str = "french", seconds: float = 10.0) -> dict[str, DataDir]:
    return zerospeech2017.prepare(root, root / "data", language, seconds)


def test_files_of_speakers_are_cut_evenly_into_utterances(root):
    parts = prepare(root)
    pieces = {u.id: u for name in ("train", "dev", "test") for u in parts[name].utterances}
    assert sorted(pieces) == [f"F01_R-0000{n}" for n in range(3)] + [f"M05_O-0000{n}" for n in range(4)]
    assert [(pieces[f"M05_O-0000{n}"].start, pieces[f"M05_O-0000{n}"].end) for n in range(4)] == [
        (0.0, 7.75), (7.75, 15.5), (15.5, 23.25), (23.25, 31.0)]  # fmt: skip
    assert all(piece.end - piece.start <= 10 for piece in pieces.values())
    assert pieces["F01_R-00000"].recording == str(root / "train/french/F01_R.wav")
    assert parts["train"].speakers == ["F01_R", "M05_O"]


def test_the_length_of_utterances_can_be_chosen(root):
    assert sum(len(part) for name, part in prepare(root, seconds=5).items() if "_" not in name) == 5 + 7
    with pytest.raises(VQAudioError, match=r"--segment_seconds 0\.5: expected 1 or more"):
        prepare(root, seconds=0.5)


def test_tests_are_of_unknown_speakers_under_the_challenges_names(root):
    parts = prepare(root)
    for name in ("test_1s", "test_10s", "test_120s"):
        assert [u.id for u in parts[name].utterances] == ["unknown-aghsu09", "unknown-dsgea01"]
        assert parts[name].speakers == ["unknown"]


def test_a_copy_without_the_tests_says_so(root):
    assert set(prepare(root, "mandarin")) == {"train", "dev", "test"}
    assert findings(root / "data") == [["test/mandarin", "absent: the official tests are not in the copy", ""]]


def test_a_test_without_files_is_refused(root):
    for path in root.glob("test/french/*/*.wav"):
        path.unlink()
    with pytest.raises(VQAudioError, match=r"test/french: nothing of the corpus in it\. Looked for <name>\.wav in 1s"):
        prepare(root)


@pytest.mark.parametrize(
    ("train", "test"),
    [("data/train/french", "data/test/french"), ("2017/french/train", "2017/french/test"),
     ("zrc2017-train-dataset/french", "zrc2017-test-dataset/french")],
)  # fmt: skip
def test_the_layouts_of_later_releases_are_known(root, train, test):
    for old, new in (("train/french", train), ("test/french", test)):
        (root / "copy" / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(root / "copy" / new)
    assert len(zerospeech2017.prepare(root / "copy", root / "data", "french")["test_10s"]) == 2


def test_the_surprise_languages_may_bear_their_own_names(root):
    write_sound(root / "train/german/s01.wav", 1000, 40.0)
    assert prepare(root, "LANG1")["train"].speakers == ["s01"]


def test_unreadable_and_short_files_are_listed(root):
    (root / "train/french/F02_R.wav").write_bytes(b"")
    write_sound(root / "train/french/F03_N.wav", 1000, 0.5)
    prepare(root)
    assert findings(root / "data") == [
        ["F03_N.wav", "left out: shorter than 1.0 s", "0.500"],
        ["F02_R.wav", "left out: unreadable", "the file is empty (0 bytes)"],
    ]


def test_an_absent_language_is_named_with_what_is_there(root):
    with pytest.raises(VQAudioError, match=r"no training files of english in it\. It has those of french, mandarin\."):
        prepare(root, "english")


def test_the_command(root, capsys):
    arguments = ["--corpus-dir", str(root), "--out", str(root / "data"), "--language", "french"]
    assert zerospeech2017.main([*arguments, "--segment-seconds", "20"]) == 0
    assert zerospeech2017.main(["--out", str(root / "data"), "--downloads", str(root / "nothing")]) == 2
    assert "accept the challenge's agreement: https://zerospeech.com/challenge_archive/2017" in capsys.readouterr().err
