"""The Mboshi-French parallel corpus, on a miniature of its layout."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from data_prep import mboshi
from tests.data_prep.miniature import findings, texts, write_sound, write_text
from vqaudio.audio.io import read_audio
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.alignments import read_alignments

SESSION = "2015-09-08-11-33-57_samsung-SM-T530_mdw_elicit_Dico18"
ALIGNMENTS = "forced_alignments_supervised_spkr"


def write_sentence(folder: Path, name: str, said: str) -> Path:
    """Write a sentence with the files that it has there; return its recording."""
    write_text(folder / f"{name}.mb", said)
    write_text(folder / f"{name}.mb.cleaned", said.lower())
    write_text(folder / f"{name}.fr", "La forme de son front")
    write_text(folder / f"{name}.stm", f"{name.partition('_')[2]} 1 abiayi_jean_claude    0.000    2.223 {said} ")
    return write_sound(folder / f"{name}.wav", 16000, 0.4)


@pytest.fixture
def corpus(tmp_path) -> Path:
    """As https://github.com/besacier/mboshi-french-parallel-corpus has it: its README, and its files of this name."""
    root = tmp_path / "mboshi/mboshi-french-parallel-corpus-master"
    for speaker in ("abiayi", "kouarata", "martial"):
        for part, numbers in (("train", range(80, 90)), ("dev", range(100, 102))):
            for number in numbers:
                name = f"{speaker}_{SESSION}_{number}"
                write_sentence(root / "full_corpus_newsplit" / part, name, f"Mwána ya ngá {number}")
                write_text(
                    root / ALIGNMENTS / f"{part}/{name}.txt", "SIL 0.000 0.116", "Ώ 0.116 0.206", "SIL 0.206 0.4"
                )
    return root


def test_the_official_dev_is_dev_and_a_test_is_held_out_by_what_is_said(corpus, tmp_path):
    parts = mboshi.prepare(corpus, tmp_path / "data")
    assert [u.id for u in parts["dev"].utterances] == [
        f"{speaker}-{SESSION}_{number}" for speaker in ("abiayi", "kouarata", "martial") for number in (100, 101)
    ]
    said = {name: set(texts(tmp_path / "data" / name).values()) for name in parts}
    assert said["test"] == {"Mwána ya ngá 82"}
    assert not said["train"] & said["test"] and said["train"] | said["test"] == {
        f"Mwána ya ngá {n}" for n in range(80, 90)
    }
    assert all(part.speakers == ["abiayi", "kouarata", "martial"] for part in parts.values())


def test_letters_have_the_times_of_the_alignment(corpus, tmp_path):
    mboshi.prepare(corpus, tmp_path / "data")
    segments = read_alignments(tmp_path / "data/dev")[f"abiayi-{SESSION}_100"]
    assert [(s.start, s.end, s.label) for s in segments] == [
        (0.0, 0.116, "SIL"), (0.116, pytest.approx(0.206), "Ώ"), (0.206, pytest.approx(0.4), "SIL")]  # fmt: skip
    assert findings(tmp_path / "data") == []


def test_of_two_alignments_that_further_up_counts(corpus, tmp_path):
    name = f"abiayi_{SESSION}_100.txt"
    write_text(corpus / ALIGNMENTS / "align-kit-old/all" / name, "A 0.0 0.4")
    mboshi.prepare(corpus, tmp_path / "data")
    assert len(read_alignments(tmp_path / "data/dev")[f"abiayi-{SESSION}_100"]) == 3


def test_an_utterance_without_alignment_is_listed_and_a_broken_one_refused(corpus, tmp_path):
    path = corpus / ALIGNMENTS / f"dev/abiayi_{SESSION}_100.txt"
    path.unlink()
    mboshi.prepare(corpus, tmp_path / "data")
    assert findings(tmp_path / "data") == [[f"abiayi-{SESSION}_100", "without phones: it has no forced alignment", ""]]
    write_text(path, "SIL 0.0 0.1", "M 0.1")
    with pytest.raises(VQAudioError, match=r"_100\.txt:2: 'M 0\.1', expected 'label start end' in seconds"):
        mboshi.prepare(corpus, tmp_path / "data")


def test_without_alignments_there_are_no_phones(corpus, tmp_path):
    (corpus / ALIGNMENTS).rename(corpus / "elsewhere")
    mboshi.prepare(corpus, tmp_path / "data")
    assert not (tmp_path / "data/dev/phones.ctm").exists() and findings(tmp_path / "data") == []


@pytest.mark.parametrize("promised", [0, 999_998])
def test_a_header_that_is_wrong_about_the_length_is_mended(corpus, tmp_path, promised):
    """script/fix_wav.rdm: 'the length stored in some wav files does not match the actual number of samples'."""
    path = corpus / f"full_corpus_newsplit/dev/abiayi_{SESSION}_100.wav"
    expected, _ = read_audio(path)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", promised)
    path.write_bytes(bytes(content) + b"\0")  # an odd byte too many
    parts = mboshi.prepare(corpus, tmp_path / "data")
    [[item, kind, _]] = findings(tmp_path / "data")
    assert (item, kind) == (f"abiayi-{SESSION}_100", "mended: its header was wrong about the length")
    mended = next(u for u in parts["dev"].utterances if u.id == item)
    assert mended.recording == str((tmp_path / f"data/recordings/{item}.wav").resolve())
    np.testing.assert_array_equal(read_audio(mended.recording)[0], expected)


def test_what_cannot_be_mended_is_left_out(corpus, tmp_path):
    (corpus / f"full_corpus_newsplit/dev/abiayi_{SESSION}_100.wav").write_bytes(b"")
    write_sound(corpus / "full_corpus_newsplit/dev/Notes.wav", 16000)
    mboshi.prepare(corpus, tmp_path / "data")
    assert findings(tmp_path / "data") == [
        ["dev/Notes.wav", "left out: its name is not <speaker>_<item>.wav", ""],
        [f"abiayi-{SESSION}_100", "left out: unreadable", "the file is empty (0 bytes)"],
    ]


def test_a_missing_transcript_is_refused_by_name(corpus, tmp_path):
    (corpus / f"full_corpus_newsplit/train/martial_{SESSION}_83.mb").unlink()
    with pytest.raises(
        VQAudioError, match=rf"train: no transcript of 1 utterances: martial_{SESSION}_83\. Is the copy"
    ):
        mboshi.prepare(corpus, tmp_path / "data")


@pytest.mark.parametrize("place", [".", "..", "full_corpus_newsplit"])
def test_it_is_found_from_any_of_its_folders(corpus, place):
    assert mboshi.locate(corpus / place) == corpus / "full_corpus_newsplit"


def test_an_older_division_is_told(corpus, tmp_path):
    (corpus / "full_corpus_newsplit").rename(corpus / "full_corpus_spkr")
    with pytest.raises(VQAudioError, match=r"There is full_corpus_spkr, an older division whose dev repeats sentences"):
        mboshi.prepare(corpus, tmp_path / "data")


def test_the_command(corpus, tmp_path, capsys):
    assert mboshi.main(["--corpus-dir", str(tmp_path / "empty"), "--out", str(tmp_path / "data")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert mboshi.main(["--corpus_dir", str(corpus.parent), "--out", str(tmp_path / "data")]) == 0
    assert len(DataDir.load(tmp_path / "data/dev")) == 6
