"""AN4, on a miniature of its layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_prep import an4
from tests.data_prep.miniature import findings, ids, texts, write_sound, write_text
from vqaudio.audio.io import read_audio
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError

TRAIN = [
    f"an4_clstk/{speaker}/{item}-{speaker}-b" for speaker in ("fash", "mblw") for item in ("an251", "cen1", "cen2")
]
TEST = [f"an4test_clstk/mmxg/{item}-mmxg-b" for item in ("an441", "cen3")]


@pytest.fixture
def corpus(tmp_path) -> Path:
    """As an4_sphere.tar.gz has it: http://www.speech.cs.cmu.edu/databases/an4/README.html, and an4/README in it.

    The lines are as in its lists, a copy of which is in https://github.com/adagioNeo/VoiceInterpreter: those of the
    test part begin with a blank one and have no <s> and </s>.
    """
    root = tmp_path / "an4"
    write_text(root / "etc/an4_train.fileids", *TRAIN)
    words = {name: "P I T T S B U R G H" for name in TRAIN} | {TRAIN[0]: "YES"}
    write_text(root / "etc/an4_train.transcription", *(f"<s> {words[n]} </s> ({Path(n).name})" for n in TRAIN))
    write_text(root / "etc/an4_test.fileids", "", *TEST)
    lines = ("X K I T B TWO SIX ONE ONE (an441-mmxg-b)", "A SEVEN (cen3-mmxg-b)")
    write_text(root / "etc/an4_test.transcription", "", *lines)
    for name in TRAIN + TEST:
        write_sound(root / f"wav/{name}.sph", 16000, format="NIST", subtype="PCM_16", endian="BIG")
    return root


def samples_of(name: str) -> np.ndarray:
    """Return 16-bit samples as smooth as speech, loud enough to use both bytes."""
    return (9000 * np.sin(np.arange(3000) / (20 + len(name)))).astype(np.int16)


def make_raw(corpus: Path, order: str) -> None:
    """Turn the miniature into that of an4_raw.bigendian.tar.gz ('>') or an4_raw.littleendian.tar.gz ('<')."""
    for path in corpus.glob("wav/*/*/*.sph"):
        path.with_suffix(".raw").write_bytes(samples_of(path.stem).astype(f"{order}i2").tobytes())
        path.unlink()


def test_the_official_test_part_stays_whole_beside_those_of_known_speakers(corpus, tmp_path):
    parts = an4.prepare(corpus, tmp_path / "data")
    assert ids(tmp_path / "data/official_test") == ["mmxg-an441-b", "mmxg-cen3-b"]
    held_out = ids(tmp_path / "data/dev") + ids(tmp_path / "data/test")
    assert len(held_out) == 2
    assert sorted(ids(tmp_path / "data/train") + held_out) == [
        f"{speaker}-{item}-b" for speaker in ("fash", "mblw") for item in ("an251", "cen1", "cen2")
    ]
    assert set(parts["dev"].speakers + parts["test"].speakers) <= set(parts["train"].speakers)
    assert findings(tmp_path / "data") == []


def test_texts_are_without_the_marks_of_a_sentence(corpus, tmp_path):
    an4.prepare(corpus.parent, tmp_path / "data")
    read = texts(tmp_path / "data/official_test")
    assert read == {"mmxg-an441-b": "X K I T B TWO SIX ONE ONE", "mmxg-cen3-b": "A SEVEN"}
    spoken = {key: text for part in ("train", "dev", "test") for key, text in texts(tmp_path / "data" / part).items()}
    assert spoken["fash-an251-b"] == "YES" and spoken["mblw-cen2-b"] == "P I T T S B U R G H"


def test_sphere_files_are_read_as_they_are(corpus, tmp_path):
    first = an4.prepare(corpus, tmp_path / "data")["official_test"].utterances[0]
    assert first.recording == str(corpus / "wav/an4test_clstk/mmxg/an441-mmxg-b.sph")
    header = Path(first.recording).read_bytes()[:1024]
    assert header.startswith(b"NIST_1A\n   1024\n") and b"sample_byte_format -s2 10" in header
    waveform, rate = read_audio(first.recording)
    assert rate == 16000 and 0.29 < np.abs(waveform).max() < 0.31


@pytest.mark.parametrize("order", ["<", ">"])
def test_samples_without_a_header_become_wav_in_either_byte_order(corpus, tmp_path, order):
    make_raw(corpus, order)
    parts = an4.prepare(corpus, tmp_path / "data")
    recording = parts["official_test"].utterances[0].recording
    assert recording == str(tmp_path / "data/recordings/mmxg-an441-b.wav")
    read, rate = soundfile.read(recording, dtype="int16")
    assert rate == 16000
    np.testing.assert_array_equal(read, samples_of("an441-mmxg-b"))


def test_sphere_goes_before_what_others_made_of_it(corpus, tmp_path):
    write_sound(corpus / f"wav/{TEST[0]}.wav", 16000)
    (corpus / f"wav/{TEST[1]}.sph").unlink()
    write_sound(corpus / f"wav/{TEST[1]}.wav", 16000)
    utterances = an4.prepare(corpus, tmp_path / "data")["official_test"].utterances
    assert [Path(u.recording).suffix for u in utterances] == [".sph", ".wav"]


def test_what_is_transcribed_but_not_listed_is_a_finding(corpus, tmp_path):
    write_text(corpus / "etc/an4_test.fileids", TEST[1])
    an4.prepare(corpus, tmp_path / "data")
    kind = "left out: transcribed, but not in an4_test.fileids"
    assert findings(tmp_path / "data") == [["an441-mmxg-b", kind, "X K I T B TWO SIX ONE ONE"]]


def test_an_incomplete_copy_is_refused(corpus, tmp_path):
    (corpus / f"wav/{TRAIN[3]}.sph").unlink()
    with pytest.raises(
        VQAudioError, match=r"no recording \(\.sph, \.wav, \.raw\) of 1 utterances of an4_train\.fileids"
    ):
        an4.prepare(corpus, tmp_path / "data")
    write_text(corpus / "etc/an4_train.transcription", f"<s> YES </s> ({Path(TRAIN[0]).name})")
    with pytest.raises(
        VQAudioError, match=r"an4_train\.transcription: no transcript of 5 utterances: an4_clstk/fash/cen1"
    ):
        an4.prepare(corpus, tmp_path / "data")


@pytest.mark.parametrize("line", ["YES an251-fash-b", "(an251-fash-b", "an251-fash-b YES"])
def test_a_line_of_another_form_is_named(corpus, tmp_path, line):
    write_text(corpus / "etc/an4_train.transcription", "<s> NO </s> (an251-fash-b)", line)
    with pytest.raises(VQAudioError, match=r"an4_train\.transcription:2: .*, expected <s> WORDS </s> \(an251-fash-b\)"):
        an4.prepare(corpus, tmp_path / "data")


def test_a_folder_without_it_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(VQAudioError, match=r"Looked for an4/etc/an4_\{train,test\}\.\{fileids,transcription\}"):
        an4.prepare(tmp_path, tmp_path / "data")


def test_the_command(corpus, tmp_path, capsys):
    assert an4.main(["--corpus_dir", str(tmp_path / "nowhere"), "--out", str(tmp_path / "data")]) == 2
    assert "there is no such folder, expected the corpus unpacked" in capsys.readouterr().err
    assert an4.main(["--corpus_dir", str(corpus), "--out", str(tmp_path / "data")]) == 0
    assert len(DataDir.load(tmp_path / "data/train")) == 4
