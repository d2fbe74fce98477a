"""`score`: an experiment folder is enough, parts elsewhere can be named, and so can units of other systems."""

from __future__ import annotations

import json

import pytest

from vqaudio.evaluation.results import read_results

QUICK = ["--skip", "baselines", "samples", "agreement", "reconstruction", "conversion"]


@pytest.fixture
def exp(lab, tmp_path):
    """An experiment folder as a recipe leaves it."""
    folder = tmp_path / "exp"
    for name, source in (("model", lab.model), ("prior/model", lab.prior), ("units/test", lab.units),
                         ("units/train", lab.units)):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(source)
    (folder / "train.json").write_text(json.dumps({"train_seconds": 60.5, "train_samples_per_second": 1000}))
    return folder


def test_an_experiment_folder_is_scored_from_what_lies_in_it(lab, exp, run):
    run("decode", "--model", exp / "model", "--units", lab.units, "--utt2spk", lab.data, "--out", exp / "resynthesis")
    out, _ = run("score", exp, "--data_dir", lab.data, "--skip", "baselines", "--num_samples", 4, "--num_spoken", 1,
                 "--temperatures", 1, "--sample_seconds", 0.1)  # fmt: skip
    assert out == f"{exp / 'RESULTS.md'}\n"
    results = read_results(exp)
    assert results.figures["train_seconds"] == 60.5
    assert results.figures["generation_rtf"] == json.loads((exp / "resynthesis/generation.json").read_text())["rtf"]
    assert results.figures["prior_bits_per_unit"] is not None and list(results.sweep) == ["1", "shuffled", "held-out"]
    report = (exp / "RESULTS.md").read_text()
    assert all(f"(figures/{path.name})" in report for path in (exp / "figures").glob("*.png"))
    assert "(resynthesis/anna-1.wav)" in report


def test_results_tell_how_they_were_measured_and_the_data_directory_is_remembered(lab, exp, run, fail):
    assert "--data_dir is needed" in fail("score", exp)
    run("score", exp, "--data_dir", lab.data, *QUICK)
    about = read_results(exp).about
    assert about["date"] and about["machine"] and about["command"].startswith("vqaudio")
    assert (exp / about["data_dir"]).samefile(lab.data)  # relative: the folders can move together
    run("score", exp, *QUICK)
    assert read_results(exp).about["data_dir"] == about["data_dir"]


def test_a_further_set_is_scored_beside_the_first(lab, exp, run):
    run("score", exp, "--data_dir", lab.data, *QUICK)
    before = (exp / "results.json").read_bytes()
    out, _ = run("score", exp, "--name", "other", "--data_dir", lab.data, *QUICK)
    assert out == f"{exp / 'scores/other/RESULTS.md'}\n"
    assert (exp / "results.json").read_bytes() == before
    results = read_results(exp / "scores/other")
    assert (exp / "scores/other/units/units.json").is_file()
    assert "prior_bits_per_unit" not in results.figures and "train_seconds" not in results.figures


def test_what_is_elsewhere_can_be_named(lab, tmp_path, run):
    (tmp_path / "t.json").write_text(json.dumps({"train_seconds": 1.5}))
    (tmp_path / "r").mkdir()
    (tmp_path / "r/generation.json").write_text(json.dumps({"rtf": 0.25}))
    run("score", "--model", lab.model, "--data_dir", lab.data, "--units_dir", lab.units, "--train_units", lab.units,
        "--train_json", tmp_path / "t.json", "--resynthesis", tmp_path / "r", "--out", tmp_path / "out",
        *QUICK)  # fmt: skip
    figures = read_results(tmp_path / "out").figures
    assert (figures["train_seconds"], figures["generation_rtf"]) == (1.5, 0.25)


def test_what_is_missing_is_said_and_not_invented(lab, exp, run):
    (exp / "train.json").unlink()
    (exp / "prior/model").unlink()
    run("score", exp, "--data_dir", lab.data, *QUICK)
    results = read_results(exp)
    for key, reason in {
        "generation_rtf": "`vqaudio decode` writes it",
        "train_seconds": "`vqaudio train` writes it",
        "prior_bits_per_unit": "`vqaudio train-prior` makes one",
        "abx_within": "no phones.ctm",
    }.items():
        assert results.figures[key] is None and reason in results.not_measured[key]


def test_units_of_another_system_are_scored_without_a_model(lab, tmp_path, run, fail):
    units = tmp_path / "hubert.txt"
    units.write_text("anna-1 0 1 1 2\nboris-1 3 3 1 0\n")
    words = ["score", "--units_dir", units, "--data_dir", lab.data, "--out", tmp_path / "out"]
    assert "expected the units' rate (--unit_rate" in fail(*words)
    run(*words, "--unit_rate", 50)
    results = read_results(tmp_path / "out")
    figures = results.figures
    assert (figures["codebook_size"], figures["unit_rate_hz"], figures["bitrate_nominal"]) == (4, 50, 100)
    assert results.baselines["mfcc_kmeans"].figures["bitrate_nominal"] == 100
    run(*words, "--unit_rate", 49.9)
    results = read_results(tmp_path / "out")
    assert not results.baselines and "no whole number of samples" in results.not_measured["baselines.mfcc_kmeans"]
    run(*words, "--unit_rate", 50, "--codebook_size", 8)
    assert read_results(tmp_path / "out").figures["bitrate_nominal"] == 150


def test_mistakes_are_named(lab, exp, tmp_path, fail):
    assert "need --data_dir, --out" in fail("score", "--units_dir", lab.units)
    assert f"no such folder: {tmp_path / 'nothing'}" in fail("score", tmp_path / "nothing", "--data_dir", lab.data)
    assert "invalid choice: 'vibes'" in fail("score", exp, "--data_dir", lab.data, "--skip", "vibes")
    contradiction = fail("score", "--units_dir", lab.units, "--unit_rate", 7, "--data_dir", lab.data, "--out", tmp_path)
    assert "a unit rate of 7 for" in contradiction
    assert "recogniser 'whisprer'" in fail("score", exp, "--data_dir", lab.data, "--asr", "whisprer")
