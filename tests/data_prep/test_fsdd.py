"""Free Spoken Digit Dataset, on a miniature of its layout and, where it is at hand, on the corpus itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import fsdd
from tests.data_prep.miniature import findings, ids, texts, write_sound
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError

REAL = Path(__file__).parents[3] / "shared/data/fsdd"


@pytest.fixture
def corpus(tmp_path) -> Path:
    """As its archive has it: https://github.com/Jakobovski/free-spoken-digit-dataset, README, "Organization"."""
    for digit in (0, 7):
        for speaker in ("george", "yweweler"):
            for take in (0, 4, 5, 6, 7, 10):
                write_sound(tmp_path / f"fsdd-1.0.10/recordings/{digit}_{speaker}_{take}.wav", 8000)
    return tmp_path / "fsdd-1.0.10"


def test_takes_are_divided_as_the_authors_do(corpus, tmp_path):
    parts = fsdd.prepare(corpus, tmp_path / "data")
    assert ids(tmp_path / "data/test") == [
        f"{speaker}-{digit}-{take}" for speaker in ("george", "yweweler") for digit in (0, 7) for take in ("00", "04")
    ]
    assert {u.id[-2:] for u in parts["dev"].utterances} == {"05", "06"}
    assert {u.id[-2:] for u in parts["train"].utterances} == {"07", "10"}
    assert all(part.speakers == ["george", "yweweler"] for part in parts.values())


def test_the_text_is_the_digit(corpus, tmp_path):
    fsdd.prepare(corpus, tmp_path / "data")
    assert texts(tmp_path / "data/dev")["george-7-05"] == "seven"


def test_what_is_no_recording_of_it_is_listed(corpus, tmp_path):
    write_sound(corpus / "recordings/seven.wav", 8000)
    fsdd.prepare(corpus, tmp_path / "data")
    kind = "left out: its name is not <digit>_<speaker>_<take>.wav"
    assert findings(tmp_path / "data") == [["recordings/seven.wav", kind, ""]]


def test_a_folder_without_it_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(VQAudioError, match=r"nothing of the corpus in it\. Looked for recordings/<digit>_<speaker>"):
        fsdd.prepare(tmp_path, tmp_path / "data")


def test_the_command(corpus, tmp_path, capsys):
    assert fsdd.main(["--corpus-dir", str(tmp_path / "nowhere"), "--out", str(tmp_path / "data")]) == 2
    assert "there is no such folder, expected the corpus unpacked" in capsys.readouterr().err
    assert fsdd.main(["--corpus_dir", str(corpus), "--out", str(tmp_path / "data")]) == 0
    assert len(DataDir.load(tmp_path / "data/train")) == 8


@pytest.mark.skipif(not REAL.is_dir(), reason="the corpus is not at hand")
def test_the_corpus_itself(tmp_path):
    parts = fsdd.prepare(REAL, tmp_path / "data")
    assert {name: len(part) for name, part in parts.items()} == {"train": 2580, "dev": 120, "test": 300}
    assert findings(tmp_path / "data") == []
