"""`info`: every kind of path is known, and a wrong one is told what there is."""

import json

import pytest

from tests.cli.conftest import LENGTHS


@pytest.mark.parametrize(("name", "kind", "facts"), [
    ("model", "VQ-VAE", ["8,000", "16 codes of 4 dimensions", "2: anna, boris"]),
    ("prior", "prior", ["16 codes", "sees", "2: anna, boris"]),
    ("data", "data directory", ["utterances       4", "8000 Hz", "2: anna, boris"]),
    ("units", "units", ["utterances          4", "16 codes"]),
    ("units/units.txt", "units", ["utterances          4"]),
    ("data/wavs/anna-1.wav", "audio file", ["WAV PCM_16", "8,000"]),
])  # fmt: skip
def test_kinds(lab, run, name, kind, facts):
    out, _ = run("info", lab.model.parent / name)
    assert out.splitlines()[0] == f"{lab.model.parent / name}: {kind}"
    assert all(fact in out for fact in facts), out


def test_units_count_the_audio_they_stand_for_even_collapsed(lab, tmp_path, run):
    run("extract", "--model", lab.model, "--data_dir", lab.data, "--out", tmp_path / "u", "--collapse")
    plain, collapsed = run("info", lab.units)[0], run("info", tmp_path / "u")[0]
    units = sum(-(-n // 16) for n in LENGTHS.values())
    for out in (plain, collapsed):
        assert [line.split()[-1] for line in out.splitlines() if line.startswith("  units ")] == [str(units)]
    assert "collapsed units" in collapsed and "collapsed units" not in plain


def test_several_paths(lab, run):
    out, _ = run("info", lab.model, lab.data)
    assert f"{lab.model}: VQ-VAE" in out and f"\n\n{lab.data}: data directory" in out


def test_a_finished_experiment(lab, tmp_path, run):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "model").symlink_to(lab.model)
    (tmp_path / "train.json").write_text(json.dumps({"steps": 12345}))
    (tmp_path / "results.json").write_text(json.dumps({"code_usage": 0.5, "generation_rtf": None, "sweep": {"1": {}}}))
    out, _ = run("info", tmp_path)
    assert "to the end" in out and "12,345" in out
    assert out.splitlines()[-1].split() == ["code_usage", "0.5"]  # what was not measured is in the report
    assert "generation_rtf" not in out and "sweep" not in out


def test_wrong_paths(lab, tmp_path, fail):
    assert "Did you mean 'model'" in fail("info", lab.model.parent / "modle")
    assert "it looks like none of them" in fail("info", tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "train.json").write_text("[]")
    assert "train.json is not an object" in fail("info", tmp_path)
