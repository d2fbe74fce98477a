"""CMU ARCTIC, on a miniature of its layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import archives, cmu_arctic
from tests.data_prep.miniature import findings, ids, texts, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.alignments import read_alignments

HELD_OUT = {"dev": ["arctic_a0029", "arctic_a0035"], "test": ["arctic_a0068", "arctic_a0119"]}
PROMPTS = sorted([f"arctic_a{n:04d}" for n in range(1, 9)] + HELD_OUT["dev"] + HELD_OUT["test"])
TEXT = "Author of the danger trail, Philip Steels, etc."
LABELS = ("#", "0.040000 125 pau", "0.200000 125 ao", "0.285000 125 th", "0.300000 125 pau")


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Two voices as the archives unpack, folders that are no recordings included.

    http://festvox.org/cmu_arctic/, and the README in each voice: etc/txt.done.data, wav/, lab/, and orig/, in which the
    recordings are at 32 kHz with a second channel of the larynx. Labels are Festival's: an end a line, in seconds.
    """
    for voice in ("bdl", "slt"):
        root = tmp_path / f"packed/cmu_us_{voice}_arctic"
        for prompt in PROMPTS:
            write_sound(root / f"wav/{prompt}.wav", 16000, 0.3)
            write_text(root / f"lab/{prompt}.lab", *LABELS)
        write_sound(root / "orig/arctic_a0001.wav", 32000, 0.05)
        lines = [f'( {prompt} "{TEXT}" )' for prompt in PROMPTS]
        lines[1] = '( arctic_a0002 "He said, \\"Not at this  particular case\\"." )'
        write_text(root / "etc/txt.done.data", *lines)
        write_text(root / "COPYING", "This voice is free for use for any purpose")
    return tmp_path / "packed"


def test_the_same_prompts_are_held_out_of_every_voice(corpus, tmp_path):
    parts = cmu_arctic.prepare(corpus, tmp_path / "data")
    assert {name: len(part) for name, part in parts.items()} == {"train": 16, "dev": 4, "test": 4}
    for part, prompts in HELD_OUT.items():
        assert ids(tmp_path / "data" / part) == [f"{voice}-{prompt}" for voice in ("bdl", "slt") for prompt in prompts]


def test_texts_are_without_the_marks_around_them(corpus, tmp_path):
    cmu_arctic.prepare(corpus, tmp_path / "data")
    read = {key: text for part in ("train", "dev", "test") for key, text in texts(tmp_path / "data" / part).items()}
    assert read["bdl-arctic_a0001"] == TEXT
    assert read["slt-arctic_a0002"] == 'He said, "Not at this particular case".'


def test_ends_of_phones_become_their_times(corpus, tmp_path):
    cmu_arctic.prepare(corpus, tmp_path / "data")
    lines = (tmp_path / "data/test/phones.ctm").read_text().splitlines()
    utterance = ids(tmp_path / "data/test")[0]
    assert lines[:3] == [
        f"{utterance} 1 0.000000 0.040000 pau",
        f"{utterance} 1 0.040000 0.160000 ao",
        f"{utterance} 1 0.200000 0.085000 th",
    ]
    assert set(read_alignments(tmp_path / "data/test")) == set(ids(tmp_path / "data/test"))


def test_a_header_before_the_labels_is_passed_over(tmp_path):
    path = write_text(tmp_path / "a.lab", "separator ;", "nfields 1", "#", "\t0.5\t26\tsil ; score -3 ;", "1 26 ao")
    assert cmu_arctic.read_labels(path) == ["1 0.000000 0.500000 sil", "1 0.500000 0.500000 ao"]


def test_what_lacks_a_recording_or_phone_times_is_listed(corpus, tmp_path):
    bdl = corpus / "cmu_us_bdl_arctic"
    (bdl / "wav/arctic_a0003.wav").unlink()
    (bdl / "lab/arctic_a0004.lab").unlink()
    write_text(bdl / "lab/arctic_a0005.lab", "#", "0.2 125 pau", "0.1 125 ao")
    parts = cmu_arctic.prepare(corpus, tmp_path / "data")
    assert sum(len(part) for part in parts.values()) == 23
    rows = {row[0]: row[1:] for row in findings(tmp_path / "data")}
    assert rows["bdl-arctic_a0003"] == ["left out: a prompt without a recording", TEXT]
    assert rows["bdl-arctic_a0004"] == ["without phone times: no label file", ""]
    kind, fault = rows["bdl-arctic_a0005"]
    assert kind == "without phone times: a broken label file"
    assert fault.endswith("lab:3: '0.1 125 ao', expected end, colour, phone, with an end after 0.2 s")
    assert set(rows) == {"bdl-arctic_a0003", "bdl-arctic_a0004", "bdl-arctic_a0005"}


@pytest.mark.parametrize("place", ["cmu_us_bdl_arctic", ".", ".."])
def test_a_voice_is_found_in_the_folder_given_and_up_to_two_below(corpus, place):
    assert cmu_arctic.locate((corpus / place).resolve(), ("bdl",)) == {"bdl": corpus / "cmu_us_bdl_arctic"}


def test_voices_may_be_chosen_and_must_be_there(corpus, tmp_path):
    assert cmu_arctic.prepare(corpus, tmp_path / "data", voices=("slt",))["train"].speakers == ["slt"]
    with pytest.raises(VQAudioError, match=r"packed: no voice clb in it; there are bdl, slt"):
        cmu_arctic.prepare(corpus, tmp_path / "data", voices=("slt", "clb"))


def test_a_recording_without_a_text_is_refused(corpus, tmp_path):
    write_sound(corpus / "cmu_us_slt_arctic/wav/arctic_b0540.wav", 16000, 0.1)
    with pytest.raises(VQAudioError, match=r"txt\.done\.data: no transcript of 1 utterances: arctic_b0540"):
        cmu_arctic.prepare(corpus, tmp_path / "data")


def test_a_line_of_another_form_is_named(corpus, tmp_path):
    write_text(corpus / "cmu_us_bdl_arctic/etc/txt.done.data", "arctic_a0001 Author")
    with pytest.raises(VQAudioError, match=r"txt\.done\.data:1: 'arctic_a0001 Author', expected \( arctic_a0001"):
        cmu_arctic.prepare(corpus, tmp_path / "data")


def test_a_folder_without_it_is_refused_with_what_was_looked_for(corpus, tmp_path):
    with pytest.raises(VQAudioError, match=r"Looked for cmu_us_<voice>_arctic/etc/txt\.done\.data and …/wav"):
        cmu_arctic.prepare(corpus / "cmu_us_bdl_arctic/wav", tmp_path / "data")
    for path in (corpus / "cmu_us_bdl_arctic/wav").iterdir():
        path.unlink()
    with pytest.raises(
        VQAudioError, match=r"cmu_us_bdl_arctic: nothing of the corpus in it\. Looked for wav/arctic_a0"
    ):
        cmu_arctic.prepare(corpus, tmp_path / "data")


def test_seven_voices_are_fetched_unless_others_are_named(monkeypatch, tmp_path):
    fetched: list[str] = []
    monkeypatch.setattr(archives, "obtain", lambda wanted, into: fetched.extend(a.file for a in wanted) or into)
    cmu_arctic.download(tmp_path)
    assert fetched == [f"cmu_us_{voice}_arctic.tar.bz2" for voice in ("awb", "bdl", "clb", "jmk", "ksp", "rms", "slt")]
    cmu_arctic.download(tmp_path, voices=("axb",))
    assert fetched[7:] == ["cmu_us_axb_arctic.tar.bz2"]


def test_the_command(corpus, tmp_path, capsys):
    out = ["--out", str(tmp_path / "data")]
    assert cmu_arctic.main(["--corpus_dir", str(tmp_path / "nowhere"), *out]) == 2
    assert "there is no such folder, expected the corpus unpacked" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cmu_arctic.main(["--voices", "bdl,sltt", *out])
    assert "got 'sltt', expected one of aew" in capsys.readouterr().err
    assert cmu_arctic.main(["--corpus_dir", str(corpus), "--voices=bdl", *out]) == 0
    assert len(DataDir.load(tmp_path / "data/train")) == 8
