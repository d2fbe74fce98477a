"""AISHELL-3, on a miniature of its layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import aishell3, archives
from tests.data_prep.miniature import findings, ids, texts, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError


def write_set(folder: Path, lines: dict[str, str]) -> None:
    for name in lines:
        write_sound(folder / f"wav/{name[:7]}/{name}.wav", 44100)
    write_text(folder / "content.txt", *(f"{name}.wav\t{text}" for name, text in lines.items()))


@pytest.fixture
def corpus(tmp_path) -> Path:
    """As ReadMe.txt of the corpus has it, "2. Data Structure" (https://www.openslr.org/93), and as lhotse reads it
    (lhotse/recipes/aishell3.py): test has speakers of train and others."""
    root = tmp_path / "data_aishell3"
    numbers = ["一 yi1", "二 er4", "三 san1", "四 si4", "五 wu3", "六 liu4"]
    train = {
        f"{speaker}000{n}": " ".join(numbers[:n]) for speaker in ("SSB0005", "SSB0009") for n in (1, 2, 3, 4, 5, 6)
    }
    write_set(root / "train", train)
    write_set(
        root / "test",
        {
            "SSB00050353": "广 guang3 州 zhou1 女 nv3 大 da4 学 xue2 生 sheng1",
            "SSB06930002": "武 wu3 术 shu4 始 shi3 终 zhong1",
            "SSB06930003": "花儿 huar1 开 kai1",
        },
    )
    speakers = ("SSB0005\tB\tfemale\tnorth", "SSB0009\tB\tfemale\tsouth", "SSB0693\tB\tfemale\tnorth")
    write_text(root / "spk-info.txt", "# speaker information", "", *speakers)
    write_text(root / "train/label_train-set.txt", "# prosody", "SSB00050001|yi1 $|一$")
    return root


def test_the_test_set_is_divided_by_who_is_in_the_training_set(corpus, tmp_path):
    parts = aishell3.prepare(corpus, tmp_path / "data")
    assert ids(tmp_path / "data/test") == ["SSB0005-0353"]
    assert ids(tmp_path / "data/test_unseen") == ["SSB0693-0002", "SSB0693-0003"]
    assert (len(parts["train"]), len(parts["dev"])) == (11, 1)
    assert set(parts["dev"].speakers) <= set(parts["train"].speakers) == {"SSB0005", "SSB0009"}
    assert findings(tmp_path / "data") == []


@pytest.mark.parametrize(
    ("transcripts", "expected"),
    [("characters", ["武术始终", "花儿开"]), ("pinyin", ["wu3 shu4 shi3 zhong1", "huar1 kai1"])],
)
def test_either_text(corpus, tmp_path, transcripts, expected):
    aishell3.prepare(corpus, tmp_path / "data", transcripts)
    assert list(texts(tmp_path / "data/test_unseen").values()) == expected


def test_a_copy_whose_test_speakers_are_all_unknown_has_a_test_set_still(corpus, tmp_path):
    (corpus / "test/wav/SSB0005/SSB00050353.wav").unlink()
    parts = aishell3.prepare(corpus, tmp_path / "data")
    assert {name: len(part) for name, part in parts.items()} == {"train": 10, "dev": 1, "test": 1, "test_unseen": 2}
    kind = "left out: it has a transcript, but no audio"
    assert findings(tmp_path / "data") == [["SSB00050353", kind, "广州女大学生"]]


def test_oddities_are_listed(corpus, tmp_path):
    contents = corpus / "test/content.txt"
    contents.write_text(contents.read_text().replace("术 shu4", "术"))
    write_sound(corpus / "test/wav/SSB0693/SSB00050400.wav", 44100)
    write_text(corpus / "spk-info.txt", "SSB0005\tB\tfemale\tnorth", "SSB0693\tB\tfemale\tnorth")
    aishell3.prepare(corpus, tmp_path / "data")
    assert texts(tmp_path / "data/test_unseen")["SSB0693-0002"] == "武术始终"
    assert findings(tmp_path / "data") == [
        ["SSB0009", "kept: a speaker whom spk-info.txt does not list", ""],
        [
            "test/wav/SSB0693/SSB00050400.wav",
            "left out: its name is not <speaker><number>.wav, in the speaker's folder",
            "",
        ],
        ["SSB06930002", "mended: characters and pinyin do not take turns", "武 wu3 术 始 shi3 终 zhong1"],
    ]


def test_audio_without_a_transcript_is_refused(corpus, tmp_path):
    write_sound(corpus / "train/wav/SSB0005/SSB00050007.wav", 44100)
    with pytest.raises(VQAudioError, match=r"content\.txt: no transcript of 1 utterances: SSB00050007\. Is the copy"):
        aishell3.prepare(corpus, tmp_path / "data")


def test_what_is_not_the_corpus_is_refused_with_what_was_looked_for(corpus, tmp_path):
    (tmp_path / "one/data_aishell/transcript").mkdir(parents=True)
    with pytest.raises(
        VQAudioError, match=r"Looked for train/content\.txt and test/content\.txt.*looks like AISHELL-1"
    ):
        aishell3.prepare(tmp_path / "one", tmp_path / "data")
    (corpus / "test/wav").rename(corpus / "test/wave")
    with pytest.raises(VQAudioError, match=r"test: nothing of the corpus in it\. Looked for wav/<speaker>/"):
        aishell3.prepare(corpus, tmp_path / "data")


def test_it_is_fetched_as_a_folder_of_its_own(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(archives, "obtain", lambda wanted, folder: asked.extend(wanted) or folder)
    assert aishell3.download(tmp_path) == tmp_path / "aishell3"
    assert asked[0].url == "https://www.openslr.org/resources/93/data_aishell3.tgz" and asked[0].digest is None


def test_the_command(corpus, tmp_path, capsys):
    with pytest.raises(SystemExit):
        aishell3.main(["--corpus_dir", str(corpus), "--out", str(tmp_path / "data"), "--transcripts", "pinying"])
    assert "got 'pinying', expected one of characters, pinyin" in capsys.readouterr().err
    assert aishell3.main(["--corpus-dir", str(corpus.parent), "--out", str(tmp_path / "data")]) == 0
    assert len(DataDir.load(tmp_path / "data/test_unseen")) == 2
