"""Speech Commands, on miniatures of the layouts of both versions and of the test set's."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import archives, speech_commands
from tests.data_prep.miniature import findings, ids, texts, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError

# Of the rest, who are for training; of validation_list.txt; of testing_list.txt.
SPEAKERS = {"train": ("0a7c2a8d", "b959cd0c"), "validation": ("0b40aa8e",), "testing": ("0c40e715",)}


def write_corpus(root: Path, words: tuple[str, ...]) -> Path:
    """Write a version of these words; its archive has no folder around them.

    https://arxiv.org/abs/1804.03209, section 5 and 7, and the README in the archive: names, lists and noise.
    """
    lists = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
    for part, speakers in SPEAKERS.items():
        names = [f"{word}/{speaker}_nohash_{n}.wav" for word in words for speaker in speakers for n in (0, 1)]
        for name in names:
            write_sound(root / name, 16000, 0.1)
        if part in lists:
            write_text(root / lists[part], *names)
    write_sound(root / "_background_noise_/running_tap.wav", 16000, 0.1)
    write_text(root / "_background_noise_/README.md", "Background Noise Samples")
    write_text(root / "README.md", "Speech Commands Data Set")
    return root


@pytest.fixture
def corpus(tmp_path) -> Path:
    return write_corpus(tmp_path / "speech_commands_v0.02", ("backward", "yes"))


@pytest.fixture
def separate_set(tmp_path) -> Path:
    """As its archive has it, names that end twice included.

    https://github.com/huggingface/datasets, datasets/speech_commands/speech_commands.py, and
    torchaudio.datasets.speechcommands, which describe its folders and names.
    """
    root = tmp_path / "speech_commands_test_set_v0.02"
    for name in ("yes/0c40e715_nohash_0.wav", "_unknown_/backward_0c40e715_nohash_1.wav.wav", "_silence_/0.wav"):
        write_sound(root / name, 16000, 0.1)
    return root


def test_official_parts_stay_beside_those_of_known_speakers(corpus, tmp_path):
    parts = speech_commands.prepare(corpus, tmp_path / "data")
    assert ids(tmp_path / "data/validation") == [f"0b40aa8e-{w}-{n}" for w in ("backward", "yes") for n in (0, 1)]
    assert parts["testing"].speakers == ["0c40e715"]
    own = ids(tmp_path / "data/train") + ids(tmp_path / "data/dev") + ids(tmp_path / "data/test")
    assert sorted(own) == [f"{s}-{w}-{n}" for s in SPEAKERS["train"] for w in ("backward", "yes") for n in (0, 1)]
    assert len(parts["dev"]) == len(parts["test"]) == 1 and set(parts) == {
        "train", "dev", "test", "validation", "testing"
    }  # fmt: skip
    assert set(parts["dev"].speakers + parts["test"].speakers) <= set(parts["train"].speakers)


def test_the_text_is_the_word(corpus, tmp_path):
    speech_commands.prepare(corpus.parent, tmp_path / "data")
    assert texts(tmp_path / "data/testing")["0c40e715-backward-1"] == "backward"


def test_noise_and_what_is_no_recording_of_it_are_listed(corpus, tmp_path):
    write_sound(corpus / "yes/0a7c2a8d_1.wav", 16000, 0.1)
    write_sound(corpus / "yes/backward_0a7c2a8d_nohash_0.wav", 16000, 0.1)  # a word in the name, not in _unknown_
    speech_commands.prepare(corpus, tmp_path / "data")
    kind = "left out: its name is not <speaker>_nohash_<number>.wav"
    assert findings(tmp_path / "data") == [
        ["yes/0a7c2a8d_1.wav", kind, ""],
        ["yes/backward_0a7c2a8d_nohash_0.wav", kind, ""],
        ["_background_noise_/README.md", "left out: no speech", ""],
        ["_background_noise_/running_tap.wav", "left out: no speech", ""],
    ]


def test_the_test_set_is_a_part_of_its_own(corpus, separate_set, tmp_path):
    write_sound(separate_set / "_unknown_/backward_0c40e715_nohash_1.wav", 16000, 0.1)
    speech_commands.prepare(corpus, tmp_path / "data", test_set=True)
    assert texts(tmp_path / "data/test_set") == {"0c40e715-backward-1": "backward", "0c40e715-yes-0": "yes"}
    assert ["_silence_/0.wav", "left out: no speech", ""] in findings(tmp_path / "data")
    twice = ("_unknown_/backward_0c40e715_nohash_1.wav.wav", "left out: the recording is there twice")
    assert twice in [tuple(row[:2]) for row in findings(tmp_path / "data")]


def test_the_test_set_is_looked_for_beside_the_corpus_and_in_the_folder_given(corpus, separate_set, tmp_path):
    speech_commands.prepare(tmp_path, tmp_path / "data", test_set=True)
    separate_set.rename(tmp_path / "elsewhere")
    with pytest.raises(VQAudioError, match=r"Looked for speech_commands_test_set_v0\.02/_unknown_, in it or beside it"):
        speech_commands.prepare(corpus, tmp_path / "data", test_set=True)


def test_versions_are_told_apart_by_their_words(corpus, tmp_path):
    old = write_corpus(tmp_path / "speech_commands_v0.01", ("bed", "yes"))
    assert speech_commands.locate(tmp_path, "0.01") == (old, "0.01")
    assert speech_commands.locate(tmp_path, "0.02") == (corpus, "0.02")
    assert speech_commands.locate(old, None) == (old, "0.01")
    with pytest.raises(VQAudioError, match=r"this is version 0\.01, asked for was 0\.02 \(--version\)"):
        speech_commands.prepare(old, tmp_path / "data", version="0.02")


def test_an_incomplete_copy_is_refused(corpus, tmp_path):
    (corpus / "yes/0c40e715_nohash_1.wav").unlink()
    with pytest.raises(VQAudioError, match=r"1 recordings of testing_list\.txt are absent: yes/0c40e715_nohash_1\.wav"):
        speech_commands.prepare(corpus, tmp_path / "data")


def test_a_folder_without_it_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(VQAudioError, match=r"Looked for validation_list\.txt, testing_list\.txt and <word>/<speaker>_"):
        speech_commands.prepare(tmp_path, tmp_path / "data")


def test_what_is_fetched_goes_by_version_and_test_set(monkeypatch, tmp_path):
    fetched: list[str] = []
    monkeypatch.setattr(archives, "obtain", lambda wanted, into: fetched.extend(a.url for a in wanted) or into)
    assert speech_commands.download(tmp_path) == tmp_path / "speech_commands_v0.02"
    assert speech_commands.download(tmp_path, "0.01", test_set=True) == tmp_path / "speech_commands_v0.01"
    assert [url.rpartition("/")[2] for url in fetched] == [
        "speech_commands_v0.02.tar.gz",
        "speech_commands_v0.01.tar.gz",
        "speech_commands_test_set_v0.01.tar.gz",
    ]


def test_the_command(corpus, separate_set, tmp_path, capsys):
    out = ["--out", str(tmp_path / "data")]
    assert speech_commands.main(["--corpus_dir", str(tmp_path / "nowhere"), *out]) == 2
    assert "there is no such folder, expected the corpus unpacked" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        speech_commands.main(["--version", "0.2", *out])
    assert "got '0.2', expected one of 0.02, 0.01. Did you mean '0.02'" in capsys.readouterr().err
    assert speech_commands.main(["--corpus_dir", str(corpus), "--test_set=true", *out]) == 0
    assert len(DataDir.load(tmp_path / "data/test_set")) == 2
