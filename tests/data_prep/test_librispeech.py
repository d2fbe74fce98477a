"""LibriSpeech and Mini LibriSpeech, on a miniature of their layout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data_prep import archives, librispeech
from tests.data_prep.miniature import findings, ids, texts, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.alignments import read_alignments
from vqaudio.evaluation.phone_sets import fold, read_phone_set

PARTS = ("train-clean-100", "dev-clean")
PHONES_41 = Path(__file__).parents[2] / "recipes/librispeech/conf/phones_41.txt"


def write_chapter(part: Path, speaker: int, chapter: int, sentences: list[str]) -> None:
    folder, name = part / f"{speaker}/{chapter}", f"{speaker}-{chapter}"
    for number in range(len(sentences)):
        write_sound(folder / f"{name}-{number:04d}.flac", 16000)
    write_text(folder / f"{name}.trans.txt", *(f"{name}-{n:04d} {text}" for n, text in enumerate(sentences)))


@pytest.fixture
def corpus(tmp_path) -> Path:
    """As README.TXT of the corpus has it, sections 2.1 and 3 (https://www.openslr.org/12): transcripts by chapter,
    SPEAKERS.TXT with its one reader whose name has the mark that divides fields."""
    root = tmp_path / "LibriSpeech"
    write_chapter(root / "train-clean-100", 60, 121082, [f"SENTENCE {n}" for n in range(6)])
    write_chapter(root / "train-clean-100", 103, 1240, ["CHAPTER ONE", "MISSUS RACHEL LYNDE IS SURPRISED"])
    write_chapter(root / "train-clean-100", 103, 1241, ["MATTHEW CUTHBERT"])
    write_chapter(root / "dev-clean", 84, 121123, ["GO DO YOU HEAR", "BUT IN LESS THAN FIVE MINUTES"])
    write_text(
        root / "SPEAKERS.TXT",
        "; Below is the metadata about all LibriVox readers",
        ";ID  |SEX| SUBSET           |MINUTES| NAME",
        "60   | M | train-clean-100  | 20.18 | |CBW|Simon",
        "84   | F | dev-clean        | 8.02  | Christie Nowak",
        "103  | F | train-clean-100  | 25.20 | Karen Savage",
    )
    return root


def test_official_parts_stand_beside_what_is_held_out_of_the_training_part(corpus, tmp_path):
    parts = librispeech.prepare(corpus, tmp_path / "data", PARTS)
    assert ids(tmp_path / "data/dev_clean") == ["84-121123-0000", "84-121123-0001"]
    trained = [ids(tmp_path / "data" / name) for name in ("train", "dev", "test")]
    assert list(map(len, trained)) == [7, 1, 1]
    assert sorted(id for part in trained for id in part) == [
        *(f"103-124{c}-000{n}" for c, n in ((0, 0), (0, 1), (1, 0))),
        *(f"60-121082-000{n}" for n in range(6)),
    ]
    assert set(parts["dev"].speakers + parts["test"].speakers) <= set(parts["train"].speakers) == {"60", "103"}
    assert findings(tmp_path / "data") == []


def test_the_text_is_that_of_the_chapters_list(corpus, tmp_path):
    librispeech.prepare(corpus, tmp_path / "data", PARTS)
    assert texts(tmp_path / "data/dev_clean")["84-121123-0001"] == "BUT IN LESS THAN FIVE MINUTES"
    first = DataDir.load(tmp_path / "data/dev_clean").utterances[0]
    assert first.recording == str(corpus / "dev-clean/84/121123/84-121123-0000.flac") and first.speaker == "84"


@pytest.mark.parametrize("shape", ["above", "fetched", "the part itself"])
def test_the_corpus_is_found_as_people_have_it(corpus, tmp_path, shape):
    parts, root = PARTS, tmp_path
    if shape == "fetched":  # one folder for each archive, as `download` leaves them
        for part in PARTS:
            (tmp_path / "downloads" / part / "LibriSpeech").mkdir(parents=True)
            (corpus / part).rename(tmp_path / "downloads" / part / "LibriSpeech" / part)
        root = tmp_path / "downloads"
    elif shape == "the part itself":
        parts, root = PARTS[:1], corpus / "train-clean-100"
    assert set(librispeech.prepare(root, tmp_path / "data", parts)["train"].speakers) == {"60", "103"}


def test_speakers_whom_the_copy_lacks_are_listed(corpus, tmp_path):
    assert librispeech.read_speakers(corpus / "SPEAKERS.TXT")["60"] == "train-clean-100"
    (corpus / "train-clean-100/103").rename(tmp_path / "elsewhere")
    librispeech.prepare(corpus, tmp_path / "data", PARTS)
    kind = "absent: a speaker whom SPEAKERS.TXT lists for this part"
    assert findings(tmp_path / "data") == [["train-clean-100/103", kind, ""]]


def test_a_part_that_is_not_there_is_named_with_those_that_are(corpus, tmp_path):
    message = (
        r"no part train-clean-360, test-clean in it\. It has train-clean-100, dev-clean\..*--parts train-clean-100,"
    )
    with pytest.raises(VQAudioError, match=message):
        librispeech.prepare(corpus, tmp_path / "data")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VQAudioError, match=r"It has none\. Looked for folders of that name"):
        librispeech.prepare(tmp_path / "empty", tmp_path / "data")


def test_something_to_train_on_is_needed(corpus, tmp_path):
    with pytest.raises(
        VQAudioError, match=r"none of them is for training.*Add one of train-clean-100, train-clean-360"
    ):
        librispeech.prepare(corpus, tmp_path / "data", ["dev-clean"])


def test_audio_without_a_transcript_is_refused(corpus, tmp_path):
    write_sound(corpus / "dev-clean/84/121123/84-121123-0002.flac", 16000)
    with pytest.raises(VQAudioError, match=r"dev-clean: no transcript of 1 utterances: 84-121123-0002"):
        librispeech.prepare(corpus, tmp_path / "data", PARTS)


def test_what_is_left_out_is_listed(corpus, tmp_path):
    (corpus / "dev-clean/84/121123/84-121123-0001.flac").unlink()
    write_sound(corpus / "dev-clean/84/121123/take2.flac", 16000)
    librispeech.prepare(corpus, tmp_path / "data", PARTS)
    assert ids(tmp_path / "data/dev_clean") == ["84-121123-0000"]
    assert findings(tmp_path / "data") == [
        ["84-121123-0001", "left out: it has a transcript, but no audio", "BUT IN LESS THAN FIVE MINUTES"],
        ["dev-clean/84/121123/take2.flac", "left out: its name is not <speaker>-<chapter>-<number>.flac", ""],
    ]


def test_libritts_is_told_apart(tmp_path):
    write_sound(tmp_path / "LibriTTS/train-clean-100/103/1240/103_1240_000000_000001.wav", 24000)
    with pytest.raises(VQAudioError, match=r"Looked for <speaker>/<chapter>/.*1 \.wav files.*looks like LibriTTS"):
        librispeech.prepare(tmp_path, tmp_path / "data", ["train-clean-100"])


def test_mini_librispeech_beside_what_it_is_a_part_of_is_refused(corpus, tmp_path):
    write_chapter(corpus / "train-clean-5", 60, 121082, ["SENTENCE 0", "SENTENCE 1"])
    with pytest.raises(VQAudioError, match="train-clean-5 and train-clean-100 have 2 utterances in common"):
        librispeech.prepare(corpus, tmp_path / "data", [*PARTS, "train-clean-5"])


def write_alignment(path: Path) -> None:
    """As the Montreal Forced Aligner writes it, and https://zenodo.org/record/2619474 has it: silence is blank."""
    tiers = {
        "words": [(0, 0.1, ""), (0.1, 0.3, "go")],
        "phones": [(0, 0.1, ""), (0.1, 0.15, "G"), (0.15, 0.25, "OW1"), (0.25, 0.3, "spn")],
    }
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", "xmax = 0.3", "tiers? <exists>"]
    lines += [f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), start=1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", "        xmax = 0.3", f"        intervals: size = {len(intervals)}"]
        for place, (start, end, text) in enumerate(intervals, start=1):
            lines += [f"        intervals [{place}]:", f"            xmin = {start}", f"            xmax = {end}"]
            lines += [f'            text = "{text}"']
    write_text(path, *lines)


def test_times_come_from_textgrids(corpus, tmp_path):
    write_alignment(tmp_path / "aligned/LibriSpeech/dev-clean/84/121123/84-121123-0000.TextGrid")
    librispeech.prepare(corpus, tmp_path / "data", PARTS, tmp_path / "aligned")
    segments = read_alignments(tmp_path / "data/dev_clean")
    assert [s.label for s in segments["84-121123-0000"]] == ["sil", "G", "OW1", "spn"]
    assert (tmp_path / "data/dev_clean/words.ctm").read_text() == "84-121123-0000 1 0.100000 0.200000 go\n"
    assert ["84-121123-0001", "without times: it has no TextGrid", ""] in findings(tmp_path / "data")
    assert not (tmp_path / "data/train/phones.ctm").exists()
    folded = fold(segments, read_phone_set(PHONES_41))
    assert [s.label for s in folded["84-121123-0000"]] == ["sil", "g", "ow", "spn"]


def test_the_recipes_phone_set_has_the_papers_number_of_phones():
    phone_set = read_phone_set(PHONES_41)
    assert len(set(phone_set.values())) == 41
    assert phone_set["AH0"] == phone_set["AH1"] == "ah" and phone_set["sp"] == "sil"


def test_alignments_of_other_utterances_are_refused(corpus, tmp_path):
    write_alignment(tmp_path / "aligned/another.TextGrid")
    with pytest.raises(VQAudioError, match=r"no TextGrid of these utterances in it, such as \d+-\d+-\d+\.TextGrid"):
        librispeech.prepare(corpus, tmp_path / "data", PARTS, tmp_path / "aligned")
    with pytest.raises(VQAudioError, match="there is no such folder, expected one with TextGrids"):
        librispeech.prepare(corpus, tmp_path / "data", PARTS, tmp_path / "nowhere")


def test_parts_are_fetched_from_where_they_are_published(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(archives, "obtain", lambda wanted, folder: asked.extend(wanted) or folder)
    assert librispeech.download(tmp_path, ["train-clean-5", "test-other"]) == tmp_path / "librispeech"
    assert [archive.url for archive in asked] == [
        "https://www.openslr.org/resources/31/train-clean-5.tar.gz",
        "https://www.openslr.org/resources/12/test-other.tar.gz",
    ]
    assert "https://openslr.elda.org/resources/31/train-clean-5.tar.gz" in asked[0].mirrors
    assert asked[1].digest == "md5:fb5a50374b501bb3bac4815ee91d3135"
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for _, digest in librispeech.PUBLISHED.values())
    assert len({digest for _, digest in librispeech.PUBLISHED.values()}) == 9


def test_the_command(corpus, tmp_path, capsys):
    given = ["--corpus-dir", str(tmp_path), "--out", str(tmp_path / "data"), "--parts"]
    assert librispeech.main([*given, "train-clean-100, dev-clean"]) == 0
    assert len(DataDir.load(tmp_path / "data/dev_clean")) == 2
    with pytest.raises(SystemExit):
        librispeech.main([*given, "dev_clean"])
    assert "got 'dev_clean', expected one of train-clean-100" in capsys.readouterr().err
