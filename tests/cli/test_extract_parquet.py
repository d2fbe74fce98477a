"""`extract-parquet`: a manifest to units in Parquet."""

import pytest

from vqaudio.units import read_units

pytest.importorskip("pyarrow")


def test_units_are_those_of_extract(lab, tmp_path, run):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("".join(f'{{"audio_filepath": "{wav}"}}\n' for wav in sorted((lab.data / "wavs").iterdir())))
    _, log = run("extract-parquet", "--model", lab.model, "--manifest", manifest, "--out", tmp_path / "u")
    assert "1 parts" in log and "times real time" in log
    found, spec = read_units(tmp_path / "u")
    expected, same = read_units(lab.units)
    assert spec == same
    assert [units.tolist() for units in found.values()] == [units.tolist() for units in expected.values()]


def test_jobs_leave_it_to_the_last_one_to_complete(lab, tmp_path, run):
    words = "extract-parquet", "--model", lab.model, "--manifest", lab.data, "--out", tmp_path / "u", "--collapse"
    run(*words, "--shard", "1/2")
    assert not (tmp_path / "u" / "units.json").exists()
    run(*words)
    assert read_units(tmp_path / "u")[1].collapsed and not (tmp_path / "u" / "shards").exists()
    _, log = run(*words)
    assert "times real time" not in log  # nothing was left to do


def test_who_encodes_is_said_once(lab, tmp_path, fail):
    words = "extract-parquet", "--model", lab.model, "--manifest", lab.data, "--out", tmp_path, "--shard", "1/2"
    assert "expected one of them" in fail(*words, "--num_workers", "2")


def test_parts_of_an_extraction_to_text_are_refused(lab, tmp_path, fail):
    message = fail("extract-parquet", "--model", lab.model, "--manifest", lab.data, "--out", lab.units)
    assert "were not made in parts" in message
