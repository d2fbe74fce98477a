"""Mending loses nothing silently; splitting and joining lose nothing at all."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vqaudio.corpus.datadir import DataDir, Utterance, check
from vqaudio.corpus.fixing import fix
from vqaudio.corpus.transform import combine, split, subset
from vqaudio.errors import DataDirError

from .conftest import edit, table


def ids(data: DataDir) -> list[str]:
    return [utterance.id for utterance in data.utterances]


@pytest.fixture
def many(data) -> DataDir:
    """A hundred utterances of ten speakers, of which the first has half."""
    path = str(data / "wavs/ann-1.wav")
    speakers = ["s0"] * 50 + [f"s{1 + i % 9}" for i in range(50)]
    utterances = [Utterance(f"u{i:02}", speaker, path, duration=0.5, text="a") for i, speaker in enumerate(speakers)]
    return DataDir(utterances).write(data.parent / "many")


# ------------------------------------------------------------------------------------------------- fix


def test_a_valid_directory_is_left_alone(data):
    before = {path: path.read_bytes() for path in data.iterdir() if path.is_file()}
    summary = fix(data)
    assert (summary.kept, summary.dropped, summary.violations) == (3, {}, [])
    assert {path: path.read_bytes() for path in data.iterdir() if path.is_file()} == before


def test_order_and_speaker_map_are_restored_without_loss(data):
    before = DataDir.load(data)
    table(data, "text", "bob-1 no", "", "ann-2 good night", "ann-1 good morning\r")
    table(data, "spk2utt", "bob ann-2 bob-1")
    summary = fix(data)
    assert summary.dropped == {} and summary.kept == 3
    assert {v.rule for v in summary.violations} == {
        "unsorted", "blank-line", "line-end", "speaker-map", "missing-utterance",
    }  # fmt: skip
    assert DataDir.load(data).utterances == before.utterances


def test_a_missing_spk2utt_is_made(data):
    (data / "spk2utt").unlink()
    fix(data)
    assert (data / "spk2utt").read_text() == "ann ann-1 ann-2\nbob bob-1\n"


def test_what_is_dropped_is_named_with_its_reason(data, caplog):
    (data / "wavs/ann-1.wav").unlink()
    edit(data / "text", lambda text: text.replace("ann-2 good night\n", "").replace("no\n", "no\ncy-1 yes\n"))
    summary = fix(data)
    assert summary.kept == 1
    assert summary.dropped["ann-1"].startswith("audio-missing: 'wavs/ann-1.wav' is no file")
    assert summary.dropped["ann-2"] == "not in text"
    assert summary.dropped["cy-1"] == "not in utt2spk, wav.scp"
    assert all(f"dropped {id}: " in caplog.text for id in ("ann-1", "ann-2", "cy-1"))
    assert ids(DataDir.load(data)) == ["bob-1"]


def test_the_tables_as_they_were_are_kept(data):
    table(data, "text", "bob-1 no", "ann-2 good night", "ann-1 good morning")
    before = (data / "text").read_text()
    fix(data)
    assert (data / ".backup/text").read_text() == before
    assert check(data) == []


def test_a_later_mending_leaves_the_backup_of_an_earlier_one(data):
    for number, name in enumerate(("text", "utt2spk"), 1):
        edit(data / name, lambda text: text + text)
        before = (data / name).read_text()
        backup = fix(data).backup
        assert backup == data / (".backup" if number == 1 else ".backup-2")
        assert (backup / name).read_text() == before
    assert (data / ".backup/text").read_text().count("ann-1") == 2


def test_carriage_returns_within_lines_stop_it(data):
    before = "ann-1 good morning\rann-2 good night\rbob-1 no\r"  # an old Mac's
    (data / "text").write_bytes(before.encode())
    edit(data / "utt2spk", lambda text: text.replace("ann-2 ann\nbob-1 bob\n", ""))
    with pytest.raises(DataDirError, match=r"text of 'ann-1' cannot be written: .* has a line break"):
        fix(data)
    assert (data / "text").read_bytes() == before.encode() and not (data / ".backup").exists()


def test_what_is_shorter_than_a_microsecond_is_still_something(segmented):
    edit(segmented / "segments", lambda text: text.replace("rec-a 0.0 0.2", "rec-a 0.0000001 0.0000002"))
    table(segmented, "utt2dur", "ann-1 0.0000001", "ann-2 0.3", "bob-1 0.6")
    subset(segmented, segmented.parent / "out", first=2)
    assert check(segmented.parent / "out") == []
    assert DataDir.load(segmented.parent / "out").utterances[0].duration == 1e-7


def test_the_source_is_not_overwritten(data):
    before = (data / "utt2spk").read_text()
    for act in (
        lambda: subset(data, data, first=1),
        lambda: split(data, data.parent, {"data": 0.5, "other": 0.5}),
        lambda: combine([data], data),
    ):
        with pytest.raises(DataDirError, match="is read from, and would be overwritten"):
            act()
    assert (data / "utt2spk").read_text() == before


def test_fixing_twice_changes_nothing_more(data):
    table(data, "text", "bob-1 no", "ann-1 good morning")
    fix(data)
    assert fix(data).violations == []


@pytest.mark.parametrize("name", ["utt2dur", "utt2num_samples"])
def test_a_want_of_lengths_costs_no_utterance(data, name):
    table(data, name, "ann-1 5", "ann-2 long")
    summary = fix(data)
    assert (summary.kept, summary.dropped) == (3, {})
    assert not (data / name).exists() and (data / ".backup" / name).exists()


def test_segments_of_lost_recordings_go(segmented):
    (segmented / "wavs/rec-bob-1.wav").unlink()
    edit(segmented / "segments", lambda text: text.replace("0.2 0.5", "0.2 0.9"))
    summary = fix(segmented)
    assert summary.dropped["bob-1"].startswith("recording 'rec-b': audio-missing")
    assert summary.dropped["ann-2"].startswith("segment-beyond: ends at 0.9 s")
    assert ids(DataDir.load(segmented)) == ["ann-1"]


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk"])
def test_what_cannot_be_made_up_stops_it(data, name):
    (data / name).unlink()
    with pytest.raises(DataDirError, match=f"cannot mend this.*\n.*{name}: missing-file"):
        fix(data)


def test_commands_stop_it_unless_allowed(data):
    edit(data / "wav.scp", lambda text: text.replace("wavs/bob-1.wav", "cat x |"))
    edit(data / "text", lambda text: text.replace("bob-1 no\n", "bob-1 no\nann-1 twice\n"))
    with pytest.raises(DataDirError, match="pipe"):
        fix(data)
    assert fix(data, allow_pipes=True).kept == 3
    assert "bob-1 cat x |\n" in (data / "wav.scp").read_text()


def test_nothing_is_written_where_nothing_would_be_left(data):
    for path in (data / "wavs").iterdir():
        path.unlink()
    before = (data / "wav.scp").read_text()
    with pytest.raises(DataDirError, match="no utterance would be left"):
        fix(data)
    assert (data / "wav.scp").read_text() == before


# ----------------------------------------------------------------------------------------------- split


PARTS = {"train": 0.8, "dev": 0.1, "test": 0.1}
SPLIT_BY_UTTERANCE = ["u05", "u13", "u16", "u20", "u26", "u29", "u36", "u50", "u80", "u93"]
SPLIT_BY_SPEAKER = ["s0", "s7", "s9"]


def test_split_by_utterance_meets_the_shares_exactly(many, tmp_path):
    parts = split(many.path, tmp_path / "out", PARTS)
    assert {name: len(part) for name, part in parts.items()} == {"train": 80, "dev": 10, "test": 10}
    assert sorted(id for part in parts.values() for id in ids(part)) == ids(many)
    assert ids(DataDir.load(tmp_path / "out/dev")) == ids(parts["dev"])


def test_a_split_is_that_of_earlier_versions(many, tmp_path):
    by_utterance = split(many.path, tmp_path / "1", PARTS, seed=3)
    assert ids(by_utterance["dev"]) == SPLIT_BY_UTTERANCE
    by_speaker = split(many.path, tmp_path / "2", {"a": 0.6, "b": 0.4}, by="speaker", seed=3)
    assert by_speaker["a"].speakers == SPLIT_BY_SPEAKER


def test_split_by_speaker_divides_no_speaker(many, tmp_path):
    parts = split(many.path, tmp_path / "out", {"a": 0.6, "b": 0.4}, by="speaker")
    assert not set(parts["a"].speakers) & set(parts["b"].speakers)
    assert len(parts["a"]) + len(parts["b"]) == 100
    assert 50 <= len(parts["a"]) <= 70  # as near as speakers of 5 or 6, and one of 50, allow


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.1, 0.9), seed=st.integers(0, 99))
def test_a_split_is_a_partition_decided_by_its_seed(many, tmp_path, share, seed):
    parts = {"a": share, "b": 1 - share}
    first = {name: ids(part) for name, part in split(many.path, tmp_path / "1", parts, seed=seed).items()}
    again = {name: ids(part) for name, part in split(many.path, tmp_path / "2", parts, seed=seed).items()}
    assert first == again
    assert sorted(first["a"] + first["b"]) == ids(many)
    assert abs(len(first["a"]) - 100 * share) <= 1


def test_other_seeds_split_otherwise(many, tmp_path):
    one, other = (split(many.path, tmp_path / str(seed), PARTS, seed=seed) for seed in (0, 1))
    assert ids(one["dev"]) != ids(other["dev"])


@pytest.mark.parametrize("parts", [{}, {"a": 0.5}, {"a": 0.7, "b": 0.4}, {"a": 1.2, "b": -0.2}])
def test_shares_must_make_a_whole(many, tmp_path, parts):
    with pytest.raises(DataDirError, match="expected positive shares that add up to 1"):
        split(many.path, tmp_path, parts)


def test_an_empty_part_is_refused_before_anything_is_written(data, tmp_path):
    with pytest.raises(DataDirError, match=r"part 'b' gets nothing: 0\.1 of 3 utterances"):
        split(data, tmp_path / "out", {"a": 0.9, "b": 0.1})
    assert not (tmp_path / "out").exists()


def test_split_by_something_else(many, tmp_path):
    with pytest.raises(DataDirError, match=r"'speakers': expected .* Did you mean 'speaker'"):
        split(many.path, tmp_path, PARTS, by="speakers")


# ---------------------------------------------------------------------------------------------- subset


def test_subset_by_ids_speakers_and_number(many, tmp_path):
    out = tmp_path / "out"
    assert ids(subset(many.path, out, utterances=["u07", "u03"])) == ["u03", "u07"]
    assert subset(many.path, out, speakers=["s3"]).speakers == ["s3"]
    assert ids(subset(many.path, out, first=3)) == ["u00", "u01", "u02"]
    assert ids(subset(many.path, out, speakers=["s1", "s2"], first=2)) == ["u50", "u51"]
    assert ids(DataDir.load(out)) == ["u50", "u51"]


def test_subset_by_time_stops_as_soon_as_it_lasts(many, tmp_path):
    chosen = subset(many.path, tmp_path / "out", seconds=5.2)
    assert len(chosen) == 11  # of half a second each
    assert len(chosen.speakers) > 1
    assert ids(chosen) == ids(subset(many.path, tmp_path / "out", seconds=5.2))
    assert ids(chosen) != ids(subset(many.path, tmp_path / "out", seconds=5.2, seed=1))
    assert len(subset(many.path, tmp_path / "out", seconds=1e9)) == 100


def test_subset_by_time_measures_audio_where_no_table_tells(data, tmp_path):
    assert len(subset(data, tmp_path / "out", seconds=1.0)) == 2


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({}, "subset of what"),
        ({"first": 1, "seconds": 1.0}, "not both"),
        ({"utterances": ["u1", "u07"]}, r"1 utterance\(s\) not in the data: 'u1'.* Did you mean 'u"),
        ({"speakers": ["s99"]}, r"1 speaker\(s\) not in the data: 's99'"),
        ({"first": 0}, "no utterances to write"),
    ],
)
def test_choices_that_cannot_be_met(many, tmp_path, choice, message):
    with pytest.raises(DataDirError, match=message):
        subset(many.path, tmp_path / "out", **choice)


# --------------------------------------------------------------------------------------------- combine


def test_combining_undoes_splitting(many, tmp_path):
    split(many.path, tmp_path, PARTS)
    joined = combine([tmp_path / name for name in PARTS], tmp_path / "joined")
    assert joined.utterances == many.utterances == DataDir.load(tmp_path / "joined").utterances


def test_an_utterance_in_two_directories_is_refused(many, tmp_path):
    subset(many.path, tmp_path / "part", first=1)
    with pytest.raises(DataDirError, match=r"'u00' is both in .*/many and in .*/part"):
        combine([many.path, tmp_path / "part"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
