"""TIMIT, on a miniature in the LDC's layout, one in that of NLTK's sample and, where it is at hand, on that itself."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_prep import timit
from data_prep.timit import Mark, read_marks
from tests.data_prep.miniature import findings
from vqaudio.audio.io import read_audio
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.alignments import read_alignments

REAL = Path(__file__).parents[3] / "shared/data/timit_dev"
SAMPLES = 3200
PHONES = "0 1000 h#\n1000 2001 hh\n2001 2900 ay\n2900 3200 h#\n"
WORDS = "1000 2000 hi\n1800 2900 high\n"  # overlapping, as some of TIMIT's
TEXT = "0 3200 Hi, high?\n"


def write_sentence(folder: Path, name: str, kind: str = "WAV", upper: bool = False) -> Path:
    """Write one sentence with all of its files; return the path of its audio."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".phn", PHONES), (".wrd", WORDS), (".txt", TEXT)):
        path = folder / f"{name}{suffix}"
        (path.with_name(path.name.upper()) if upper else path).write_text(text)
    audio = folder / (f"{name}.wav".upper() if upper else f"{name}.wav")
    ramp = np.arange(SAMPLES, dtype=np.int16)
    with audio.open("wb") as file:
        soundfile.write(file, ramp, 16000, format=kind, subtype="PCM_16")
    return audio


@pytest.fixture
def ldc(tmp_path) -> Path:
    root = tmp_path / "TIMIT"
    for speaker in ("TRAIN/DR1/FCJF0", "TRAIN/DR1/MDAC0", "TEST/DR2/MABW0"):
        for name in ("sa1", "sx37"):
            write_sentence(root / speaker, name, "NIST", upper=True)
    return root


@pytest.fixture
def sample(tmp_path) -> Path:
    for name in ("sa1", "si836"):
        write_sentence(tmp_path / "timit" / "dr1-fvmh0", name)
    return tmp_path / "timit"


def one_set(root: Path, out: Path, drop_sa: bool = False) -> DataDir:
    return timit.prepare(root, out, one_set=True, drop_sa=drop_sa)["all"]


def test_the_ldcs_tree_becomes_one_data_directory(ldc, tmp_path):
    data = one_set(ldc, tmp_path / "data")
    assert [u.id for u in data.utterances] == [
        f"{speaker}_{name}" for speaker in ("fcjf0", "mabw0", "mdac0") for name in ("sa1", "sx37")
    ]
    first = data.utterances[0]
    assert (first.speaker, first.text) == ("fcjf0", "Hi, high?")
    assert first.recording == str(ldc / "TRAIN/DR1/FCJF0/SA1.WAV")
    waveform, rate = read_audio(first.recording)  # SPHERE
    assert rate == 16000
    np.testing.assert_array_equal(waveform * 32768, np.arange(SAMPLES))
    assert findings(tmp_path / "data") == []


def test_the_samples_tree_too(sample, tmp_path):
    data = one_set(sample, tmp_path / "data")
    assert [(u.id, u.speaker) for u in data.utterances] == [("fvmh0_sa1", "fvmh0"), ("fvmh0_si836", "fvmh0")]
    assert DataDir.load(tmp_path / "data").speakers == ["fvmh0"]


def test_phones_are_those_marked_to_the_sample(sample, tmp_path):
    one_set(sample, tmp_path / "data")
    segments = read_alignments(tmp_path / "data")["fvmh0_sa1"]
    assert [segment.label for segment in segments] == ["h#", "hh", "ay", "h#"]
    # Written to a microsecond, of which a sample has 62.5; the durations add as much again.
    assert [s.start * 16000 for s in segments] == pytest.approx([0, 1000, 2001, 2900], abs=0.01)
    assert [s.end * 16000 for s in segments] == pytest.approx([1000, 2001, 2900, 3200], abs=0.02)


def test_words_are_those_marked_with_their_overlap(sample, tmp_path):
    one_set(sample, tmp_path / "data")
    lines = (tmp_path / "data/words.ctm").read_text().splitlines()
    assert lines[:2] == ["fvmh0_sa1 1 0.062500 0.062500 hi", "fvmh0_sa1 1 0.112500 0.068750 high"]


def test_sa_sentences_can_be_left_out(ldc, tmp_path):
    data = one_set(ldc, tmp_path / "data", drop_sa=True)
    assert {u.id.split("_")[1] for u in data.utterances} == {"sx37"}
    assert set(read_alignments(tmp_path / "data")) == {u.id for u in data.utterances}
    assert ["fcjf0_sa1", "dropped: an SA sentence", ""] in findings(tmp_path / "data")


def test_a_part_of_the_tree_may_be_named(ldc, tmp_path):
    assert one_set(ldc / "TEST", tmp_path / "data").speakers == ["mabw0"]
    assert one_set(ldc / "TRAIN/DR1/FCJF0", tmp_path / "one").speakers == ["fcjf0"]


def test_what_cannot_be_used_is_listed(sample, tmp_path):
    folder = sample / "dr1-fvmh0"
    write_sentence(folder, "sx1")
    (folder / "sx1.phn").unlink()
    write_sentence(folder, "sx2").write_bytes(b"")
    short = write_sentence(folder, "sx3")
    soundfile.write(short, np.zeros(2000, dtype=np.int16), 16000)
    write_sentence(folder, "sx4")
    (folder / "sx4.phn").write_text("")
    write_sentence(sample / "noise", "n1")
    (folder / "sa1.wav.wav").write_bytes((folder / "sa1.wav").read_bytes())  # as in copies that were converted
    data = one_set(sample, tmp_path / "data")
    assert {u.id for u in data.utterances} == {"fvmh0_sa1", "fvmh0_si836"}
    assert sorted(findings(tmp_path / "data")) == [
        ["dr1-fvmh0/sa1.wav.wav", "dropped: a file of marks is missing", ".txt .phn .wrd"],
        ["dr1-fvmh0/sx1.wav", "dropped: a file of marks is missing", ".phn"],
        ["fvmh0_sx2", "dropped: audio and marks do not go together", "the file is empty (0 bytes)"],
        ["fvmh0_sx3", "dropped: audio and marks do not go together", "marked up to 0.200 s, but 0.125 s long"],
        ["fvmh0_sx4", "dropped: audio and marks do not go together", "no phone is marked"],
        ["noise/n1.wav", "dropped: its folder is not named as a speaker's", "noise"],
    ]


def test_a_sentence_that_is_there_twice_is_refused(sample, tmp_path):
    write_sentence(sample / "copy/FVMH0", "sa1", upper=True)
    with pytest.raises(VQAudioError, match=r"copy/FVMH0/SA1\.WAV .*dr1-fvmh0/sa1\.wav|dr1-fvmh0/sa1\.wav .*SA1\.WAV"):
        one_set(sample, tmp_path / "data")


def test_marks_are_read_with_the_blanks_of_their_text(tmp_path):
    (tmp_path / "a.txt").write_text("0 54682  She had your dark suit. \r\n")
    assert read_marks(tmp_path / "a.txt") == [Mark(0, 54682, "She had your dark suit.")]


@pytest.mark.parametrize("line", ["0 100", "0 1.5 h#", "200 100 h#", "h# 0 100", ""])
def test_marks_that_break_the_form_are_named(tmp_path, line):
    (tmp_path / "a.phn").write_text(f"0 100 h#\n{line}\n")
    with pytest.raises(VQAudioError, match=r"a\.phn:2: .*expected 'start end label'"):
        read_marks(tmp_path / "a.phn")


def test_a_folder_without_timit_says_what_was_looked_for(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(VQAudioError, match=r"no sentence of TIMIT in it\. Looked for folders named as speakers"):
        one_set(tmp_path / "empty", tmp_path / "data")


def test_the_command(sample, tmp_path, capsys):
    out = ["--out", str(tmp_path / "data")]
    assert timit.main(["--corpus_dir", str(tmp_path / "nowhere"), *out]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert timit.main(["--corpus-dir", str(sample), *out, "--one-set", "--drop-sa"]) == 0
    assert [u.id for u in DataDir.load(tmp_path / "data").utterances] == ["fvmh0_si836"]


def test_without_a_copy_the_command_says_where_it_is_sold(tmp_path, capsys):
    assert timit.main(["--out", str(tmp_path / "data"), "--downloads", str(tmp_path)]) == 2
    assert "catalog.ldc.upenn.edu/LDC93S1. The folder that is wanted holds TRAIN and TEST" in capsys.readouterr().err


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """As LDC93S1's README.DOC has it, with all speakers of its core test set and of the official development set."""
    root = tmp_path_factory.mktemp("timit") / "TIMIT"
    speakers = [f"TRAIN/DR1/FAA{letter}0" for letter in "ABCDEFGHIJ"] + ["TEST/DR2/MABW0"]
    speakers += [f"TEST/DR1/{name.upper()}" for name in (timit.CORE_TEST + timit.OFFICIAL_DEV).split()]
    for speaker in speakers:
        for name in ("SA1", "SX37", "SI836"):
            write_sentence(root / speaker, name, "NIST", upper=True)
    return root


def test_parts_are_the_official_ones_and_two_of_known_speakers(whole, tmp_path):
    parts = timit.prepare(whole.parent, tmp_path / "data")
    sizes = {name: (len(part.speakers), len(part)) for name, part in parts.items()}
    assert sizes == {"train": (10, 18), "dev": (1, 1), "test": (1, 1), "official_dev": (50, 100), "core_test": (24, 48),
                     "complete_test": (75, 150)}  # fmt: skip
    assert {u.speaker for name in ("dev", "test") for u in parts[name].utterances} <= set(parts["train"].speakers)
    assert not {u.id for u in parts["core_test"].utterances} & {u.id for u in parts["official_dev"].utterances}
    assert set(read_alignments(tmp_path / "data/core_test")) == {u.id for u in parts["core_test"].utterances}
    assert parts["core_test"].speakers[:2] == ["fdhc0", "felc0"]


def test_parts_are_without_the_sentences_that_all_speakers_read(whole, tmp_path):
    parts = timit.prepare(whole, tmp_path / "data")
    assert {u.id.split("_")[1] for part in parts.values() for u in part.utterances} == {"sx37", "si836"}
    assert sum(row[1] == "dropped: an SA sentence" for row in findings(tmp_path / "data")) == 85


def test_the_lists_of_speakers_are_the_fields():
    core, dev = timit.CORE_TEST.split(), timit.OFFICIAL_DEV.split()
    assert (len(set(core)), len(set(dev))) == (24, 50) and not set(core) & set(dev)
    assert sum(name.startswith("f") for name in core) == 8  # of each of eight regions, one woman
    assert sum(name.startswith("f") for name in dev) == 18


def test_a_test_that_lacks_speakers_is_refused_by_name(ldc, tmp_path):
    expected = r"50 of the 50 speakers of official_dev are not in TEST: faks0, .*Is the copy complete\? --one_set"
    with pytest.raises(VQAudioError, match=expected):
        timit.prepare(ldc, tmp_path / "data")


def test_train_alone_has_three_parts(ldc, tmp_path):
    for speaker in "ABCD":
        write_sentence(ldc / f"TRAIN/DR1/FAA{speaker}0", "SX1", "NIST", upper=True)
        write_sentence(ldc / f"TRAIN/DR1/FAA{speaker}0", "SX2", "NIST", upper=True)
    assert set(timit.prepare(ldc / "TRAIN", tmp_path / "data")) == {"train", "dev", "test"}


def test_a_tree_without_train_says_that_it_can_be_one_set(sample, ldc, tmp_path):
    for root in (sample, ldc / "TEST"):
        with pytest.raises(
            VQAudioError, match=r"sentences of TIMIT, but none in TRAIN/<dialect>/<speaker>.* --one_set"
        ):
            timit.prepare(root, tmp_path / "data")


@pytest.mark.skipif(not REAL.is_dir(), reason="NLTK's sample is not at hand")
def test_nltks_sample(tmp_path):
    data = one_set(REAL, tmp_path / "data")
    assert (len(data), len(data.speakers)) == (80, 8) and findings(tmp_path / "data") == []
    labels = {s.label for segments in read_alignments(tmp_path / "data").values() for s in segments}
    assert 50 < len(labels) <= 61


def test_marks_are_segments_that_touch(sample, tmp_path):
    one_set(sample, tmp_path / "data")
    segments = read_alignments(tmp_path / "data")["fvmh0_si836"]
    assert all(before.end == after.start for before, after in itertools.pairwise(segments))
