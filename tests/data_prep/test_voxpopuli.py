"""VoxPopuli, on a miniature of its layout: sessions with the tables of their stretches, and as the authors cut them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from data_prep import archives, fetch, voxpopuli
from tests.data_prep.miniature import findings, ids, texts, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.corpus.format import format_data
from vqaudio.errors import VQAudioError

DAY = "20180206-0900-PLENARY"
COLUMNS = (
    "id_|paragraph_id|session_id|speaker_id|original_text|normed_text|decoded|start_time|end_time|cer|wer|vad|split"
)


def write_gzipped(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def speech(number: int, session: str, speaker: str, text: str, vad: str, split: str) -> str:
    """A row of asr_hr.tsv.gz; a field with a quotation mark is quoted."""
    original = f'"{text.replace(chr(34), chr(34) * 2)}"' if '"' in text else text
    normed = text.replace('"', "").lower().rstrip(".")
    return f"hr_20180206-16:10:06_{number}|p{number}|{session}|{speaker}|{original}|{normed}||0|1|0|0|{vad}|{split}"


@pytest.fixture
def sessions(tmp_path) -> Path:
    """As download_audios.py and get_asr_data.py of https://github.com/facebookresearch/voxpopuli leave sessions and the
    table of speeches, of whose columns the latter reads those that matter."""
    root = tmp_path / "voxpopuli"
    for session in (f"{DAY}-15", f"{DAY}-16"):
        write_sound(root / f"raw_audios/original/2018/{session}_original.ogg", 16000, 6)
    train = [
        speech(n, f"{DAY}-15", str(119431 + n % 2), f"Hvala {n}.", f"[[{n}, {n}.4], [{n}.5, {n}.9]]", "train")
        for n in range(6)
    ]
    others = [
        speech(6, f"{DAY}-16", "7", 'Rekao je "da".', "[[0.5, 1.25]]", "dev"),
        speech(7, f"{DAY}-16", "None", "Gospodine", "[[2, 3], [5, 6.4]]", "test"),
        speech(8, f"{DAY}-16", "7", "Ne pristaje", "[[3, 4]]", "invalid"),
        speech(9, "20190206-0900-PLENARY-3", "7", "Druga godina", "[[3, 4]]", "dev"),
        speech(10, f"{DAY}-16", "7", "", "[[3, 4]]", "dev"),
        speech(11, f"{DAY}-16", "7", "Bez vremena", "[]", "dev"),
    ]
    write_gzipped(root / "transcribed_data/hr/asr_hr.tsv.gz", COLUMNS, *train, *others)
    return root


@pytest.fixture
def cut(tmp_path) -> Path:
    """As get_asr_data.py leaves speeches: asr_<split>.tsv, which it neither quotes nor escapes, and <year>/<id>.ogg."""
    root = tmp_path / "cut"
    folder = root / "transcribed_data/hr"
    header = "id\traw_text\tnormalized_text\tspeaker_id\tsplit\tgender\tis_gold_transcript\taccent"
    numbers = {"train": range(4), "dev": range(4, 6), "test": range(6, 7)}
    for split, of_split in numbers.items():
        rows = []
        for n in of_split:
            id = f"{DAY}-15-hr_20180206-16:10:06_{n}"
            write_sound(folder / f"2018/{id}.ogg", 16000)
            rows.append(f'{id}\t"Hvala" {n}.\thvala {n}\t{100 + n // 4}\t{split}\tmale\tFalse\tNone')
        write_text(folder / f"asr_{split}.tsv", header, *rows)
    return root


def test_speeches_are_stretches_of_sessions(sessions, tmp_path):
    parts = voxpopuli.prepare(sessions, tmp_path / "data", languages=["hr"])
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 4, "dev": 1, "test": 1, "official_dev": 1, "official_test": 1
    }  # fmt: skip
    (dev,) = parts["official_dev"].utterances
    assert dev.id == f"7-{DAY}-16-hr_20180206-16_10_06_6"
    assert (dev.speaker, dev.start, dev.end, dev.text) == ("7", 0.5, 1.25, "rekao je da")
    assert dev.recording == str(sessions / f"raw_audios/original/2018/{DAY}-16_original.ogg")
    trained = [u for name in ("train", "dev", "test") for u in parts[name].utterances]
    assert sorted((u.start, u.end) for u in trained) == [(n, n + 0.9) for n in range(6)]
    assert {u.speaker for u in trained} == {"119431", "119432"} == set(parts["train"].speakers)
    assert (tmp_path / "data/official_dev/utt2lang").read_text() == f"{dev.id} hr\n"


def test_oddities_are_listed(sessions, tmp_path):
    parts = voxpopuli.prepare(sessions, tmp_path / "data", languages=["hr"])
    (test,) = parts["official_test"].utterances
    assert (test.speaker, test.end) == (f"{DAY}-16", 6.0)  # nobody's number, and the session ends before the speech
    id = f"{DAY}-16-hr_20180206-16:10:06"
    assert findings(tmp_path / "data") == [
        ["20190206-0900-PLENARY-3_original", "left out: a session that is not there", ""],
        [f"{id}_11", "left out: it lies beyond its session, or has no times", "[]"],
        [f"{id}_10", "left out: its transcript is blank", ""],
        [f"{id}_7", "mended: its speaker has no number, the session stands for it", ""],
    ]


def test_either_text_and_some_years(sessions, tmp_path):
    parts = voxpopuli.prepare(sessions, tmp_path / "data", languages=["hr"], years=["2018"], transcripts="original")
    assert parts["official_dev"].utterances[0].text == 'Rekao je "da".'
    assert not any("20190206" in row[0] for row in findings(tmp_path / "data"))
    with pytest.raises(VQAudioError, match=r"Looked for transcribed data in hr of 2012; what was found amiss is in"):
        voxpopuli.prepare(sessions, tmp_path / "data", languages=["hr"], years=["2012"])


def test_the_stretches_are_what_is_read(sessions, tmp_path):
    voxpopuli.prepare(sessions, tmp_path / "data", languages=["hr"])
    format_data(tmp_path / "data/official_dev", tmp_path / "dump", 16000)
    assert [u.duration for u in DataDir.load(tmp_path / "dump").utterances] == pytest.approx([0.75])


def test_as_the_authors_cut_them(cut, tmp_path):
    voxpopuli.prepare(cut, tmp_path / "data", languages=["hr"])
    id = f"{DAY}-15-hr_20180206-16_10_06"
    assert texts(tmp_path / "data/official_dev") == {f"101-{id}_4": "hvala 4", f"101-{id}_5": "hvala 5"}
    voxpopuli.prepare(cut, tmp_path / "raw", languages=["hr"], transcripts="original")
    assert texts(tmp_path / "raw/official_dev")[f"101-{id}_4"] == '"Hvala" 4.'
    (cut / f"transcribed_data/hr/2018/{DAY}-15-hr_20180206-16:10:06_5.ogg").unlink()
    voxpopuli.prepare(cut, tmp_path / "less", languages=["hr"])
    kind = "left out: it is listed, but there is no audio"
    assert findings(tmp_path / "less") == [[f"{DAY}-15-hr_20180206-16:10:06_5", kind, ""]]


@pytest.fixture
def unlabelled(tmp_path) -> Path:
    """As download() leaves archives, each in a folder of its own; the table is that of get_unlabelled_data.py, and the
    second archive of a year, <language>_<year>_2.tar, has the same folders within (README, "Unlabelled Data")."""
    root = tmp_path / "unlabelled"
    write_sound(root / "raw_audios/mt_2019/mt/2019/20190114-0900-PLENARY_mt.ogg", 16000, 7)
    write_sound(root / "raw_audios/mt_2019_2/mt/2019/20190115-1000-COMMITTEE_mt.ogg", 16000, 3)
    rows = [f"20190114-0900-PLENARY_mt\t{n}\t{n * 2}\t{n * 2 + 2}" for n in range(4)]
    rows += [f"20190115-1000-COMMITTEE_mt\t{n}\t{n}\t{n + 1}" for n in range(4)]
    rows += ["20190114-0900-PLENARY_en\t0\t0\t2"]
    write_gzipped(root / "unlabelled_data/unlabelled_v2.tsv.gz", "event_id\tsegment_no\tstart\tend", *rows)
    return root


def test_unlabelled_data_have_sessions_for_speakers(unlabelled, tmp_path):
    parts = voxpopuli.prepare(unlabelled, tmp_path / "data", "unlabelled", ["mt"])
    assert {name: len(part) for name, part in parts.items()} == {"train": 5, "dev": 1, "test": 1}
    everything = {u.id: (u.speaker, u.start, u.end) for part in parts.values() for u in part.utterances}
    assert everything["20190114-0900-PLENARY_mt-3"] == ("20190114-0900-PLENARY_mt", 6.0, 7.0)
    assert "20190115-1000-COMMITTEE_mt-2" in everything
    assert findings(tmp_path / "data") == [["20190115-1000-COMMITTEE_mt_3", "left out: it lies beyond its session", ""]]


def test_unlabelled_data_as_the_authors_cut_them(tmp_path):
    for n in range(5):
        write_sound(tmp_path / f"unlabelled_data/mt/2019/20190114-0900-PLENARY_mt_{n}.ogg", 16000)
    voxpopuli.prepare(tmp_path, tmp_path / "data", "unlabelled", ["mt"])
    assert len(ids(tmp_path / "data/train")) == 3
    assert DataDir.load(tmp_path / "data/train").speakers == ["20190114-0900-PLENARY_mt"]


def test_what_is_missing_is_said(sessions, unlabelled, tmp_path):
    with pytest.raises(
        VQAudioError, match=r"no transcribed data in 'sl'\. Looked for .*asr_train\.tsv and .*asr_sl\.tsv"
    ):
        voxpopuli.prepare(sessions, tmp_path / "data", languages=["sl"])
    with pytest.raises(VQAudioError, match="--languages mt: not transcribed, expected en, de, fr"):
        voxpopuli.prepare(sessions, tmp_path / "data", languages=["mt"])
    with pytest.raises(VQAudioError, match=r"Looked for raw_audios/de/<year>/<session>_de\.ogg"):
        voxpopuli.prepare(unlabelled, tmp_path / "data", "unlabelled", ["de"])
    (unlabelled / "unlabelled_data/unlabelled_v2.tsv.gz").unlink()
    with pytest.raises(
        VQAudioError, match=r"It says how sessions are cut: https://dl\.fbaipublicfiles\.com/voxpopuli/"
    ):
        voxpopuli.prepare(unlabelled, tmp_path / "data", "unlabelled", ["mt"])
    with pytest.raises(VQAudioError, match=r"nothing of VoxPopuli in it\. Looked for raw_audios, transcribed_data, "):
        voxpopuli.prepare(sessions / "raw_audios/original", tmp_path / "data")


def test_what_is_asked_for_is_fetched(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(archives, "obtain", lambda wanted, folder: asked.extend(archive.url for archive in wanted))
    monkeypatch.setattr(fetch, "http_file", lambda url, path: asked.append((url, str(path.relative_to(tmp_path)))))
    site = "https://dl.fbaipublicfiles.com/voxpopuli"
    assert voxpopuli.download(tmp_path, languages=["hr"], years=["2018"]) == tmp_path / "voxpopuli"
    table = (f"{site}/annotations/asr/asr_hr.tsv.gz", "voxpopuli/transcribed_data/hr/asr_hr.tsv.gz")
    assert asked == [table, f"{site}/audios/original_2018.tar"]
    asked.clear()
    voxpopuli.download(tmp_path, "unlabelled", ["mt", "en"])
    assert asked[1:] == [f"{site}/audios/{name}.tar" for name in ("mt_2019", "mt_2020", "en_2019", "en_2020")]
    with pytest.raises(VQAudioError, match="--languages mt: not transcribed"):
        voxpopuli.download(tmp_path, languages=["mt"])


def test_the_command(sessions, tmp_path, capsys):
    given = ["--corpus-dir", str(sessions.parent), "--out", str(tmp_path / "data"), "--languages"]
    with pytest.raises(SystemExit):
        voxpopuli.main([*given, "hrv"])
    assert "got 'hrv', expected one of en, de" in capsys.readouterr().err
    assert voxpopuli.main([*given, "hr", "--years", "2018"]) == 0
    assert len(ids(tmp_path / "data/official_test")) == 1
