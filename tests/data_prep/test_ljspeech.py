"""LJ Speech, on a miniature of its layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_prep import ljspeech
from tests.data_prep.miniature import findings, ids, texts, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError

CLIPS = [f"LJ048-{n:04d}" for n in range(1, 31)] + [f"LJ049-{n:04d}" for n in range(1, 231)]
CLIPS += [f"LJ050-{n:04d}" for n in range(1, 32)]  # the first to be test is LJ050-0029


@pytest.fixture
def corpus(tmp_path) -> Path:
    """As LJSpeech-1.1.tar.bz2 has it: https://keithito.com/LJ-Speech-Dataset/, "File Format".

    metadata.csv separates by '|' and quotes nothing: quotation marks may be single, and stand for themselves.
    """
    root = tmp_path / "LJSpeech-1.1"
    sound = write_sound(root / "wavs/LJ048-0001.wav", 22050, 0.05)
    for clip in CLIPS[1:]:
        shutil.copyfile(sound, root / f"wavs/{clip}.wav")
    lines = {clip: f"{clip}|In {clip[2:5]}.|In number." for clip in CLIPS}
    lines["LJ048-0002"] = 'LJ048-0002|"Dr. Smith said, in 1963,|"Doctor Smith said,  in nineteen sixty-three,'
    lines["LJ049-0002"] = "LJ049-0002|the Führer|the Führer"
    write_text(root / "metadata.csv", *lines.values())
    write_text(root / "README", "The LJ Speech Dataset")
    return root


def test_the_last_clips_are_test_and_those_before_them_dev(corpus, tmp_path):
    parts = ljspeech.prepare(corpus, tmp_path / "data")
    assert ids(tmp_path / "data/test") == ["LJ050-0029", "LJ050-0030", "LJ050-0031"]
    dev = ids(tmp_path / "data/dev")
    assert (len(dev), dev[0], dev[-1]) == (250, "LJ049-0009", "LJ050-0028")
    assert ids(tmp_path / "data/train") == CLIPS[:38]
    assert {part.speakers[0] for part in parts.values()} == {"LJ"} and findings(tmp_path / "data") == []


def test_the_text_is_that_as_read_with_its_quotation_marks(corpus, tmp_path):
    ljspeech.prepare(corpus, tmp_path / "data")
    train = texts(tmp_path / "data/train")
    assert train["LJ048-0002"] == '"Doctor Smith said, in nineteen sixty-three,'
    assert train["LJ049-0002"] == "the Führer" and train["LJ048-0001"] == "In number."


def test_the_folder_above_will_do(corpus, tmp_path):
    part = ljspeech.prepare(corpus.parent, tmp_path / "data")["test"]
    assert part.utterances[0].recording == str(corpus / "wavs/LJ050-0029.wav")


def test_a_copy_that_breaks_off_is_refused(corpus, tmp_path):
    (corpus / "wavs/LJ049-0007.wav").unlink()
    with pytest.raises(VQAudioError, match=r"wavs: no recording of 1 clips of metadata\.csv: LJ049-0007\. Is the copy"):
        ljspeech.prepare(corpus, tmp_path / "data")
    write_sound(corpus / "wavs/LJ049-0007.wav", 22050, 0.05)
    lines = (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()
    write_text(corpus / "metadata.csv", *lines[:-3])
    with pytest.raises(VQAudioError, match=r"metadata\.csv: no transcript of 3 utterances: LJ050-0029, LJ050-0030, LJ"):
        ljspeech.prepare(corpus, tmp_path / "data")
    for clip in CLIPS[-3:]:
        (corpus / f"wavs/{clip}.wav").unlink()
    with pytest.raises(VQAudioError, match=r"288 clips, expected 13,100, of which those from LJ050-0029 on are test"):
        ljspeech.prepare(corpus, tmp_path / "data")


def test_a_line_of_another_form_is_named(corpus, tmp_path):
    write_text(corpus / "metadata.csv", "LJ048-0001|one|one", "LJ048-0002,two,two")
    with pytest.raises(VQAudioError, match=r"metadata\.csv:2: 'LJ048-0002,two,two' has 1 fields, expected id\|"):
        ljspeech.prepare(corpus, tmp_path / "data")


def test_a_folder_without_it_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(VQAudioError, match=r"Looked for LJSpeech-1\.1/metadata\.csv and LJSpeech-1\.1/wavs/\*\.wav"):
        ljspeech.prepare(tmp_path, tmp_path / "data")
    write_text(tmp_path / "metadata.csv", "LJ001-0001|one|one")
    with pytest.raises(VQAudioError, match=r"wavs: nothing of the corpus in it\. Looked for LJ001-0001\.wav"):
        ljspeech.prepare(tmp_path, tmp_path / "data")


def test_the_command(corpus, tmp_path, capsys):
    assert ljspeech.main(["--corpus-dir", str(tmp_path / "nowhere"), "--out", str(tmp_path / "data")]) == 2
    assert "there is no such folder, expected the corpus unpacked" in capsys.readouterr().err
    assert ljspeech.main(["--corpus_dir", str(corpus), "--out", str(tmp_path / "data")]) == 0
    assert len(DataDir.load(tmp_path / "data/train")) == 38
