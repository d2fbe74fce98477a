"""`score`: the options find the parts of an experiment, and the report is written."""

import json

from vqaudio.evaluation.results import read_results


def score(lab, out, *more):
    return ["score", "--model", lab.model, "--data_dir", lab.data, "--units_dir", lab.units,
            "--train_units", lab.units, "--out", out, *more]  # fmt: skip


def test_an_experiment_folder_is_scored_from_what_lies_in_it(lab, tmp_path, run):
    exp = tmp_path / "exp"
    words = ["--model", lab.model, "--units", lab.units, "--utt2spk", lab.data]
    run("decode", *words, "--out", exp / "resynthesis")
    (exp / "model").symlink_to(lab.model)
    (exp / "train.json").write_text(json.dumps({"train_seconds": 60.5, "train_samples_per_second": 1000}))
    words = score(lab, exp, "--prior", lab.prior)
    words[2] = exp / "model"
    out, _ = run(*words)
    assert out == f"{exp / 'RESULTS.md'}\n"
    results = read_results(exp)
    assert None not in results.values()
    assert results["train_seconds"] == 60.5
    assert results["generation_rtf"] == json.loads((exp / "resynthesis/generation.json").read_text())["rtf"]
    report = (exp / "RESULTS.md").read_text()
    assert all(f"(figures/{path.name})" in report for path in (exp / "figures").glob("*.png"))
    assert "(resynthesis/anna-1.wav)" in report


def test_what_is_elsewhere_can_be_named(lab, tmp_path, run):
    (tmp_path / "t.json").write_text(json.dumps({"train_seconds": 1.5}))
    (tmp_path / "r").mkdir()
    (tmp_path / "r/generation.json").write_text(json.dumps({"rtf": 0.25}))
    run(*score(lab, tmp_path / "out", "--train_json", tmp_path / "t.json", "--resynthesis", tmp_path / "r"))
    results = read_results(tmp_path / "out")
    assert (results["train_seconds"], results["generation_rtf"]) == (1.5, 0.25)


def test_what_is_missing_is_said_and_not_invented(lab, tmp_path, run):
    _, err = run(*score(lab, tmp_path / "out"))
    results = read_results(tmp_path / "out")
    for key in ("generation_rtf", "train_seconds", "train_samples_per_second", "prior_bits_per_unit"):
        assert results[key] is None
    assert "`vqaudio train` writes it" in err and "`vqaudio decode` writes it" in err
