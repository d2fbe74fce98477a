"""Manifests in every form say the same, and what is wrong with one is told with its line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.corpus import DataDir, Utterance
from vqaudio.errors import UnitsError
from vqaudio.units.manifest import Row, read_manifest


def write(path, text: str):
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines_of_whole_recordings_and_of_stretches(tmp_path):
    lines = [
        {"audio_filepath": "a/b c.wav", "duration": 2.5, "text": "what else there may be"},
        {"audio_filepath": str(tmp_path / "d.wav"), "offset": 1.5, "duration": 2, "id": "named"},
        {"audio_filepath": "d.wav", "offset": 0.25},
    ]
    path = write(tmp_path / "m.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))
    assert list(read_manifest(path)) == [
        Row("a/b c.wav", str(tmp_path / "a/b c.wav"), None, 2.5),
        Row("named", str(tmp_path / "d.wav"), 1.5, 2.0),
        Row("d.wav:0.25", str(tmp_path / "d.wav"), 0.25, None),
    ]


def test_a_length_that_rounding_has_changed_cuts_nothing_off():
    whole, stretch = Row("a", "/a.wav", None, 2.4999), Row("b", "/a.wav", 1.5, 2.0)
    assert whole.utterance() == Utterance("a", "", "/a.wav")
    assert stretch.utterance() == Utterance("b", "", "/a.wav", start=1.5, end=3.5)


def test_fairseqs(tmp_path):
    (tmp_path / "wavs").mkdir()
    path = write(tmp_path / "train.tsv", f"{tmp_path / 'wavs'}\nx/1.flac\t16000\n2.flac\t320\n")
    rows = list(read_manifest(path))
    assert [row.id for row in rows] == ["x/1.flac", "2.flac"]
    assert rows[0].audio_filepath == str(tmp_path / "wavs/x/1.flac")


def test_parquet(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"audio_filepath": ["a.wav", "b.wav"], "offset": [None, 0.5], "id": ["one", None], "more": [1, 2]}
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    rows = list(read_manifest(tmp_path / "m.parquet"))
    assert [(row.id, row.offset) for row in rows] == [("one", None), ("b.wav:0.5", 0.5)]
    write(tmp_path / "x.parquet", "no such thing")
    with pytest.raises(UnitsError, match=r"x\.parquet: not a Parquet file that can be read"):
        list(read_manifest(tmp_path / "x.parquet"))


def test_a_data_directory(tmp_path, data):
    rows = list(read_manifest(tmp_path / "data"))
    assert [(row.id, row.audio_filepath) for row in rows] == [(u.id, u.recording) for u in data.utterances]
    cut = Utterance("a-1", "a", data.utterances[0].recording, start=0.25, end=0.5, recording_id="r")
    DataDir([cut]).write(tmp_path / "segments")
    (row,) = read_manifest(tmp_path / "segments")
    assert (row.offset, row.duration) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.jsonl", '{"audio_filepath": "a"}\n{"audio_filepath": \n', "m.jsonl:2: not JSON"),
        ("m.jsonl", "[" * 100_000 + "\n", "m.jsonl:1: not JSON"),
        ("m.jsonl", '{"wav": "a"}\n', r"m.jsonl:1: got \{'wav': 'a'\}, expected an object with audio_filepath"),
        ("m.jsonl", '{"audio_filepath": "touch x |"}\n', r"'touch x \|' is a command, expected a file"),
        ("m.jsonl", '{"audio_filepath": "a", "offset": NaN}\n', "offset is nan, expected seconds, at least 0"),
        ("m.jsonl", '{"audio_filepath": "a", "duration": -1}\n', "duration is -1, expected seconds"),
        ("m.jsonl", '{"audio_filepath": "a", "duration": "1"}\n', "duration is '1', expected seconds"),
        ("m.jsonl", '{"audio_filepath": "a", "id": 7}\n', "the id 7 is not text"),
        ("m.tsv", "x.wav\t16000\n", r"m.tsv:1: got 'x.wav\\t16000', expected the folder of the recordings"),
        ("m.tsv", ".\nx.wav 16000\n", "m.tsv:2: got 'x.wav 16000', expected a file, a tab and its samples"),
        ("m.csv", "", r"expected a data directory, or a manifest named \*.jsonl, "),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, name, text, words):
    with pytest.raises(UnitsError, match=words):
        list(read_manifest(write(tmp_path / name, text)))


def test_a_manifest_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(UnitsError, match="no such manifest"):
        read_manifest(tmp_path / "m.jsonl")
    (tmp_path / "m.jsonl").write_bytes(b'{"audio_filepath": "\xff"}\n')
    with pytest.raises(UnitsError, match="not UTF-8"):
        list(read_manifest(tmp_path / "m.jsonl"))


times = st.none() | st.floats(0, 1e6)


@given(st.builds(Row, st.text(), st.text(), times, times))
def test_a_row_survives_its_line(row):
    line = row.to_json()
    assert line.count("\n") == 1 and line.isascii() and Row.from_json(line) == row
