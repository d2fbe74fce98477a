"""speechocean762, on a miniature of its layout and, where it is at hand, on a part of the corpus itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from data_prep import speechocean762
from tests.data_prep.miniature import findings, ids, texts, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError

REAL = Path(__file__).parents[3] / "shared/data/speechocean_adults"
AGES = {"train": {"0001": 6, "0036": 19, "0482": 43}, "test": {"0003": 6, "1030": 27}}


def write_part(root: Path, part: str, speakers: dict[str, int], sentences: int = 20) -> None:
    """Write a part's tables, whose columns the corpus separates by tabs, and its recordings."""
    rows: dict[str, list[str]] = {name: [] for name in ("wav.scp", "utt2spk", "text", "spk2utt")}
    for speaker in speakers:
        spoken = [f"0{speaker}{number:04d}" for number in range(sentences)]
        for id in spoken:
            path = f"WAVE/SPEAKER{speaker}/{id}.WAV"
            write_sound(root / path, 16000)
            rows["wav.scp"].append(f"{id}\t{path}")
            rows["utt2spk"].append(f"{id}\t{speaker}")
            rows["text"].append(f"{id}\tMARK IS GOING TO SEE ELEPHANT")
        rows["spk2utt"].append(f"{speaker}\t{' '.join(spoken)}")
    for name, lines in rows.items():
        write_text(root / part / name, *lines)
    write_text(root / part / "spk2age", *(f"{speaker}\t{age}" for speaker, age in speakers.items()))
    write_text(root / part / "spk2gender", *(f"{speaker}\tm" for speaker in speakers))


@pytest.fixture
def corpus(tmp_path) -> Path:
    """As https://github.com/jimbozhang/speechocean762 has it: its README, "Data structure", and its tables."""
    root = tmp_path / "speechocean762"
    for part, speakers in AGES.items():
        write_part(root, part, speakers)
    write_text(root / "resource/scores.json", "{}")
    return root


def test_dev_and_test_are_of_known_speakers_and_the_official_test_is_whole(corpus, tmp_path):
    parts = speechocean762.prepare(corpus, tmp_path / "data")
    assert {name: len(part) for name, part in parts.items()} == {"train": 51, "dev": 3, "test": 6, "official_test": 40}
    assert parts["train"].speakers == ["0001", "0036", "0482"]
    assert parts["official_test"].speakers == ["0003", "1030"]
    spoken = Counter(u.id for part in parts.values() for u in part.utterances)
    assert len(spoken) == 100 and max(spoken.values()) == 1
    first = parts["official_test"].utterances[0]
    assert (first.id, first.text) == ("0003-000030000", "MARK IS GOING TO SEE ELEPHANT")
    assert first.recording == str(corpus / "WAVE/SPEAKER0003/000030000.WAV")


@pytest.mark.parametrize(
    ("ages", "known", "unknown"), [("adults", ["0036", "0482"], ["1030"]), ("children", ["0001"], ["0003"])]
)
def test_the_young_or_the_old_can_be_taken_alone(corpus, tmp_path, ages, known, unknown):
    parts = speechocean762.prepare(corpus.parent, tmp_path / "data", ages)
    assert parts["train"].speakers == known and parts["official_test"].speakers == unknown


def test_a_kaldi_directory_of_a_part_is_divided_whole(tmp_path):
    root = tmp_path / "adults"
    for number in range(20):
        write_sound(root / f"wav/00036{number:04d}.flac", 16000)
    spoken = [f"00036{number:04d}" for number in range(20)]
    write_text(root / "wav.scp", *(f"{id} wav/{id}.flac" for id in spoken))
    write_text(root / "utt2spk", *(f"{id} 0036" for id in spoken))
    parts = speechocean762.prepare(root, tmp_path / "data")
    assert {name: len(part) for name, part in parts.items()} == {"train": 17, "dev": 1, "test": 2}
    assert set(texts(tmp_path / "data/test").values()) == {None}
    with pytest.raises(
        VQAudioError, match=r"--ages adults: .*spk2age gives no age of 1 of 1 speakers: 0036\. --ages all"
    ):
        speechocean762.prepare(root, tmp_path / "old", "adults")


def test_a_copy_without_the_official_test_is_divided_as_one_with_it(corpus, tmp_path):
    speechocean762.prepare(corpus, tmp_path / "whole")
    (corpus / "test/wav.scp").unlink()
    assert set(speechocean762.prepare(corpus, tmp_path / "data")) == {"train", "dev", "test"}
    assert ids(tmp_path / "data/test") == ids(tmp_path / "whole/test")


def test_a_transcript_of_nothing_is_listed(corpus, tmp_path):
    with (corpus / "test/text").open("a") as file:
        file.write("099999999\tNOBODY SAID THIS\n")
    speechocean762.prepare(corpus, tmp_path / "data")
    kind = "left out: it has a transcript, but no audio"
    assert findings(tmp_path / "data") == [["099999999", kind, "NOBODY SAID THIS"]]


def test_an_incomplete_copy_is_refused_by_name(corpus, tmp_path):
    (corpus / "WAVE/SPEAKER0036/000360003.WAV").unlink()
    with pytest.raises(
        VQAudioError, match=r"1 of 60 recordings are not there: .*000360003\.WAV\. Is the copy complete"
    ):
        speechocean762.prepare(corpus, tmp_path / "data")


def test_a_missing_transcript_or_speaker_is_refused_by_name(corpus, tmp_path):
    lines = (corpus / "test/text").read_text().splitlines()
    write_text(corpus / "test/text", *lines[1:])
    with pytest.raises(VQAudioError, match=r"test/text: no transcript of 1 utterances: 000030000"):
        speechocean762.prepare(corpus, tmp_path / "data")
    (corpus / "train/text").unlink()
    with pytest.raises(VQAudioError, match=r"train/text: no transcript of 60 utterances: 000010000, "):
        speechocean762.prepare(corpus, tmp_path / "data")
    write_text(corpus / "train/utt2spk", "000010000\t0001")
    with pytest.raises(VQAudioError, match=r"train/utt2spk: no speaker of 59 utterances: 000010001, "):
        speechocean762.prepare(corpus, tmp_path / "data")


@pytest.mark.parametrize(
    ("file", "words"),
    [("scripts/wav.scp", "a draft of the corpus, from before"), ("train.jsonl", "the copy on Hugging Face")],
)
def test_other_layouts_are_told(tmp_path, file, words):
    write_text(tmp_path / file, "")
    with pytest.raises(VQAudioError, match=rf"nothing of the corpus in it\. Looked for train/wav\.scp .*like {words}"):
        speechocean762.prepare(tmp_path, tmp_path / "data")


def test_the_command(corpus, tmp_path, capsys):
    assert speechocean762.main(["--corpus-dir", str(tmp_path / "data"), "--out", str(tmp_path / "data")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    arguments = ["--corpus_dir", str(corpus), "--out", str(tmp_path / "data"), "--ages=children"]
    assert speechocean762.main(arguments) == 0
    assert DataDir.load(tmp_path / "data/train").speakers == ["0001"]


@pytest.mark.skipif(not REAL.is_dir(), reason="the part of the corpus is not at hand")
def test_a_part_of_the_corpus_itself(tmp_path):
    parts = speechocean762.prepare(REAL, tmp_path / "data")
    assert {name: len(part) for name, part in parts.items()} == {"train": 578, "dev": 34, "test": 68}
    assert len(parts["train"].speakers) == 34 and findings(tmp_path / "data") == []
