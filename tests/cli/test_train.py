"""`train` and `train-prior`: from a configuration and folders to a model folder, stopped and resumed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.small import HOP, write_data
from tests.training.conftest import SMALL_PRIOR, SMALL_VQVAE
from vqaudio.cli import main as cli
from vqaudio.models.folder import load_prior, load_vqvae

ROOT = Path(cli.__file__).parents[2]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_data(folder / "train", {"anna-1": 120 * HOP, "boris-1": 90 * HOP})
    write_data(folder / "dev", {"anna-2": 40 * HOP})
    return folder


def command(verb: str, config: dict, corpus: Path, out: Path, *more: str) -> list[str]:
    path = out.parent / f"{verb}.yaml"
    path.write_text(yaml.safe_dump(config))
    folders = ["--train-dir", str(corpus / "train"), "--dev_dir", str(corpus / "dev"), "--expdir", str(out)]
    return [verb, "--config", str(path), *folders, "--device", "cpu", *more]


def test_a_model_is_trained_with_overrides_and_a_second_run_finds_it_done(corpus, tmp_path, run):
    exp = tmp_path / "exp"
    words = command(
        "train", SMALL_VQVAE, corpus, exp, "--set", "training.max_steps=6", "model.quantizer.beta=0.5", "--seed", "3"
    )
    run(*words)
    model, speakers = load_vqvae(exp / "model")
    assert speakers == ["anna", "boris"]
    assert model.config.quantizer.beta == 0.5
    assert yaml.safe_load((exp / "config.yaml").read_text())["seed"] == 3
    assert json.loads((exp / "train.json").read_text())["steps"] == 6
    _, err = run(*words)
    assert "done already" in err


def test_a_run_in_the_folder_is_refused_where_resuming_is_not_wanted(corpus, tmp_path, run, fail):
    words = command("train", SMALL_VQVAE, corpus, tmp_path / "exp", "--set", "training.max_steps=6")
    run(*words)
    assert "holds a run already" in fail(*words, "--resume", "never")
    assert "max_steps was 6, now 7" in fail(*words[:-1], "training.max_steps=7")


def test_a_wrong_key_is_told_the_nearest(corpus, tmp_path, fail):
    words = command("train", SMALL_VQVAE, corpus, tmp_path / "exp", "--set", "training.max_step=2")
    assert "unknown key 'training.max_step'. Did you mean 'max_steps'" in fail(*words)
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_a_checkpoint_and_the_same_command_goes_on(corpus, tmp_path, number, status, run):
    exp = tmp_path / "exp"
    # At a hundred steps a second, it would train for hours.
    words = command("train", SMALL_VQVAE, corpus, exp, "--set", "training.max_steps=1000000", "training.log_interval=1")
    process = subprocess.Popen(
        [sys.executable, "-m", "vqaudio", *words], stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        for line in process.stderr:
            if "step 3 " in line:
                process.send_signal(number)
                break
        err = process.stderr.read()
        assert process.wait(timeout=60) == status
    finally:
        process.kill()
    assert f"{number.name}: stopped after step" in err and "the same command goes on from there" in err
    saved = sorted((exp / "checkpoints").iterdir())[-1]
    step = int(saved.stem.split("-")[1])
    assert step >= 3 and not (exp / "model").exists()
    out, _ = run("info", exp)
    assert "the same command goes on" in out and saved.name in out


def test_a_prior_is_trained_on_extracted_units(corpus, tmp_path, run, fail):
    exp = tmp_path / "exp"
    run(*command("train", SMALL_VQVAE, corpus, exp, "--set", "training.max_steps=6"))
    for part in ("train", "dev"):
        run(
            "extract",
            "--model",
            exp / "model",
            "--data_dir",
            corpus / part,
            "--out",
            exp / "units" / part,
            "--collapse",
        )
    units = ["--train_units", str(exp / "units/train"), "--dev_units", str(exp / "units/dev")]
    words = command("train-prior", SMALL_PRIOR, corpus, exp / "prior", *units, "--vqvae", str(exp / "model"))
    run(*words, "--set", "training.max_steps=4")
    prior, speakers, about = load_prior(exp / "prior" / "model")
    assert speakers == ["anna", "boris"]
    assert prior.config.codebook_size == about["units"]["codebook_size"] == 16
    without = [word for word in words if word not in ("--train-dir", str(corpus / "train"))]
    assert "the model knows 2 speakers (anna, boris): give --train_dir" in fail(*without)


def test_the_speaker_of_a_model_that_knows_one_need_not_be_told(tmp_path, run):
    for part in ("train", "dev"):
        write_data(tmp_path / part, {f"anna-{part}": 100 * HOP})
    exp = tmp_path / "exp"
    run(*command("train", SMALL_VQVAE, tmp_path, exp, "--set", "training.max_steps=6"))
    for part in ("train", "dev"):
        run("extract", "--model", exp / "model", "--data_dir", tmp_path / part, "--out", exp / "units" / part)
    (tmp_path / "prior.yaml").write_text(yaml.safe_dump(SMALL_PRIOR))
    run(
        "train-prior", "--config", tmp_path / "prior.yaml", "--vqvae", exp / "model", "--expdir", exp / "prior",
        "--train_units", exp / "units/train", "--dev_units", exp / "units/dev", "--set", "training.max_steps=2",
    )  # fmt: skip
    assert load_prior(exp / "prior/model")[1] == ["anna"]


def test_a_mistake_in_the_command_line_of_several_ranks_is_told_by_the_first(fail, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    assert "unknown option --confg" in fail("train", "--confg", "c.yaml")
    monkeypatch.setenv("RANK", "1")
    assert fail("train", "--confg", "c.yaml") == ""
