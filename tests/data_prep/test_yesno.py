"""YesNo, on a miniature of its layout."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from data_prep import yesno
from tests.data_prep.miniature import findings, ids, texts, write_sound, write_text
from vqaudio.errors import VQAudioError

NAMES = ["_".join(digits) for digits in itertools.product("01", repeat=8)][::4][:60]


@pytest.fixture
def corpus(tmp_path) -> Path:
    """As waves_yesno.tar.gz has it: https://www.openslr.org/1/, and its README (which lies there twice)."""
    for name in NAMES:
        write_sound(tmp_path / f"waves_yesno/{name}.wav", 8000, 0.05)
    for name in ("README", "README~"):
        write_text(tmp_path / "waves_yesno" / name, "This dataset was created for the Kaldi project")
    return tmp_path / "waves_yesno"


def test_the_halves_are_kaldis_and_dev_is_of_the_first(corpus, tmp_path):
    yesno.prepare(corpus, tmp_path / "data")
    assert ids(tmp_path / "data/test") == [f"yesno-{name}" for name in NAMES[30:]]
    train, dev = ids(tmp_path / "data/train"), ids(tmp_path / "data/dev")
    assert len(dev) == 3 and sorted(train + dev) == [f"yesno-{name}" for name in NAMES[:30]]
    assert findings(tmp_path / "data") == []


def test_the_text_is_what_the_name_says(corpus, tmp_path):
    yesno.prepare(corpus.parent, tmp_path / "data")
    assert texts(tmp_path / "data/test")["yesno-1_0_1_1_0_1_0_0"] == "YES NO YES YES NO YES NO NO"


def test_an_incomplete_copy_is_refused(corpus, tmp_path):
    (corpus / f"{NAMES[7]}.wav").rename(corpus / "0_1_1.wav")
    with pytest.raises(VQAudioError, match=r"waves_yesno: 59 recordings, expected 60\. Is it one whole copy\?"):
        yesno.prepare(corpus, tmp_path / "data")
    write_sound(corpus / f"{NAMES[7]}.wav", 8000, 0.05)
    yesno.prepare(corpus, tmp_path / "data")
    assert findings(tmp_path / "data") == [["0_1_1.wav", "left out: its name is not of eight digits, 0 or 1", ""]]


def test_a_folder_without_it_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(VQAudioError, match=r"Looked for waves_yesno/<eight digits, 0 or 1, with _ between>\.wav"):
        yesno.prepare(tmp_path, tmp_path / "data")


def test_the_command(corpus, tmp_path, capsys):
    assert yesno.main(["--corpus_dir", str(tmp_path / "nowhere"), "--out", str(tmp_path / "data")]) == 2
    assert "there is no such folder, expected the corpus unpacked" in capsys.readouterr().err
    assert yesno.main(["--corpus_dir", str(corpus), "--out", str(tmp_path / "data")]) == 0
    assert len(ids(tmp_path / "data/train")) == 27
