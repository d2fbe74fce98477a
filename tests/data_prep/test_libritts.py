"""LibriTTS and LibriTTS-R, on a miniature of their layout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data_prep import archives, libritts
from tests.data_prep.miniature import findings, ids, texts, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError

PARTS = ("train-clean-100", "dev-clean")


def write_chapter(part: Path, speaker: int, chapter: int, sentences: dict[str, tuple[str, str]]) -> Path:
    """Write the sentences, by paragraph and number, each with its original and its normalized text."""
    folder, rows = part / f"{speaker}/{chapter}", []
    for place, (original, normalized) in sentences.items():
        name = f"{speaker}_{chapter}_{place}"
        write_sound(folder / f"{name}.wav", 24000)
        (folder / f"{name}.original.txt").write_text(original)  # without a line end, as they are
        (folder / f"{name}.normalized.txt").write_text(normalized)
        rows.append(f"{name}\t{original}\t{normalized}")
    write_text(folder / f"{speaker}_{chapter}.trans.tsv", *rows)
    write_text(folder / f"{speaker}_{chapter}.book.tsv", *(f"{row}\t0.0\t1.0\t23.5" for row in rows))
    return folder


@pytest.fixture
def corpus(tmp_path) -> Path:
    """As the loaders of torchaudio (torchaudio/datasets/libritts.py) and lhotse (lhotse/recipes/libritts.py) read it,
    with a sentence that begins with a quotation mark."""
    root = tmp_path / "LibriTTS"
    several = {f"00000{n}_000000": (f"{n} of them.", f"Number {n} of them.") for n in range(6)}
    write_chapter(root / "train-clean-100", 103, 1240, several)
    write_chapter(root / "train-clean-100", 1034, 121119, several)
    sentences = {
        "000007_000001": ("Maximilian.", "Maximilian."),
        "000008_000000": ('"It is Mr. Villefort', '"It is Mister Villefort'),
    }
    write_chapter(root / "dev-clean", 84, 121123, sentences)
    write_text(root / "SPEAKERS.txt", ";ID  |SEX| SUBSET           |MINUTES| NAME")
    return root


def test_official_parts_stand_beside_what_is_held_out_of_the_training_part(corpus, tmp_path):
    parts = libritts.prepare(corpus, tmp_path / "data", PARTS)
    assert ids(tmp_path / "data/dev_clean") == ["84-121123_000007_000001", "84-121123_000008_000000"]
    assert {name: len(part) for name, part in parts.items()} == {"train": 10, "dev": 1, "test": 1, "dev_clean": 2}
    assert set(parts["dev"].speakers + parts["test"].speakers) <= {"103", "1034"}
    assert findings(tmp_path / "data") == []


def test_ids_sort_as_the_speakers_do(corpus, tmp_path):
    train = libritts.prepare(corpus, tmp_path / "data", PARTS)["train"]
    assert [u.speaker for u in train.utterances] == sorted(u.speaker for u in train.utterances)


@pytest.mark.parametrize(
    ("transcripts", "text"),
    [("normalized", '"It is Mister Villefort'), ("original", '"It is Mr. Villefort')],
)
def test_either_text(corpus, tmp_path, transcripts, text):
    libritts.prepare(corpus, tmp_path / "data", PARTS, transcripts=transcripts)
    assert texts(tmp_path / "data/dev_clean")["84-121123_000008_000000"] == text


def test_sentences_that_the_chapters_table_lacks_have_files_of_their_own(corpus, tmp_path):
    (corpus / "dev-clean/84/121123/84_121123.trans.tsv").unlink()
    libritts.prepare(corpus, tmp_path / "data", PARTS)
    assert texts(tmp_path / "data/dev_clean")["84-121123_000007_000001"] == "Maximilian."
    (corpus / "dev-clean/84/121123/84_121123_000007_000001.normalized.txt").unlink()
    with pytest.raises(VQAudioError, match=r"dev-clean: no transcript of 1 utterances: 84_121123_000007_000001\."):
        libritts.prepare(corpus, tmp_path / "data", PARTS)


def test_what_is_left_out_is_listed(corpus, tmp_path):
    (corpus / "dev-clean/84/121123/84_121123_000007_000001.wav").unlink()
    write_sound(corpus / "dev-clean/84/121123/84-1.wav", 24000)
    libritts.prepare(corpus, tmp_path / "data", PARTS)
    kind = "left out: its name is not <speaker>_<chapter>_<paragraph>_<sentence>.wav"
    assert findings(tmp_path / "data") == [
        ["84_121123_000007_000001", "left out: it has a transcript, but no audio", "Maximilian."],
        ["dev-clean/84/121123/84-1.wav", kind, ""],
    ]


def test_librispeech_is_told_apart(tmp_path):
    write_sound(tmp_path / "LibriSpeech/train-clean-100/103/1240/103-1240-0000.flac", 16000)
    with pytest.raises(VQAudioError, match=r"1 \.flac files at that depth\. It looks like LibriSpeech"):
        libritts.prepare(tmp_path, tmp_path / "data", ["train-clean-100"])


def test_each_of_the_two_is_fetched_from_its_own_place(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(archives, "obtain", lambda wanted, folder: asked.extend(wanted) or folder)
    assert libritts.download(tmp_path, ["dev-clean"]) == tmp_path / "libritts"
    assert libritts.download(tmp_path, ["dev-clean"], restored=True) == tmp_path / "libritts_r"
    assert [(archive.url, archive.name) for archive in asked] == [
        ("https://www.openslr.org/resources/60/dev-clean.tar.gz", "dev-clean"),
        ("https://www.openslr.org/resources/141/dev_clean.tar.gz", "dev-clean"),
    ]
    assert [archive.digest for archive in asked] == [
        "md5:0c3076c1e5245bb3f0af7d82087ee207",
        "md5:2c1f5312914890634cc2d15783032ff3",
    ]
    digests = [digest for pair in libritts.DIGESTS.values() for digest in pair]
    assert len(set(digests)) == 14 and all(re.fullmatch("[0-9a-f]{32}", digest) for digest in digests)


def test_the_command(corpus, tmp_path, capsys):
    given = ["--corpus_dir", str(corpus), "--out", str(tmp_path / "data")]
    assert libritts.main(given) == 2
    assert "no part test-clean in it. It has train-clean-100, dev-clean." in capsys.readouterr().err
    assert libritts.main([*given, "--parts", "train-clean-100", "--restored", "false"]) == 0
    assert len(DataDir.load(tmp_path / "data/train")) == 10
