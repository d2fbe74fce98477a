"""`report`: an experiment folder becomes one file, where it is asked for, and mistakes are told."""

import argparse

import pytest

from tests.cli.conftest import LENGTHS
from vqaudio.cli import report
from vqaudio.cli.main import COMMAND
from vqaudio.cli.parser import Parser, UsageError
from vqaudio.config import VQVAETrainingConfig
from vqaudio.config_files import save_config
from vqaudio.models.folder import load_vqvae


@pytest.fixture
def experiment(lab, tmp_path, run):
    exp = tmp_path / "exp"
    run("decode", "--model", lab.model, "--units", lab.units, "--utt2spk", lab.data, "--out", exp / "resynthesis")
    (exp / "model").symlink_to(lab.model)
    (exp / "units").mkdir()
    (exp / "units" / "test").symlink_to(lab.units)
    save_config(VQVAETrainingConfig(model=load_vqvae(lab.model)[0].config), exp / "config.yaml")
    return exp


def parsed(*words: object) -> argparse.Namespace:
    return Parser("vqaudio report", report.VERB).parse([str(word) for word in words])


def test_the_report_lies_in_the_experiment_and_holds_its_utterances(experiment, lab, capsys):
    capsys.readouterr()
    report.run(parsed(experiment, "--data-dir", lab.data))
    assert capsys.readouterr().out == f"{experiment / 'report.html'}\n"
    text = (experiment / "report.html").read_text(encoding="utf-8")
    assert all(f">{id}</h3>" in text for id in LENGTHS)
    assert text.count('aria-label="natural"') == text.count('aria-label="reconstructed"') == len(LENGTHS)


def test_it_goes_where_it_is_asked_to_and_shows_what_it_is_asked_to(experiment, tmp_path):
    report.run(parsed(experiment, "--out", tmp_path / "a" / "b.html", "--utterances", 2))
    text = (tmp_path / "a" / "b.html").read_text(encoding="utf-8")
    assert text.count('aria-label="reconstructed"') == 2 and not (experiment / "report.html").exists()


@pytest.mark.parametrize(
    "words", [[], ["exp", "--utterances", "0"], ["exp", "--max_megabytes", "0"], ["exp", "--utterence", "3"]]
)
def test_words_that_make_no_sense_are_refused(words):
    with pytest.raises(UsageError):
        parsed(*words)


@pytest.mark.skipif("report" not in COMMAND.verbs, reason="the verb is not registered yet")
def test_a_folder_that_is_no_experiment_is_told_without_a_traceback(lab, fail):
    assert "no config.yaml in it, expected an experiment folder" in fail("report", lab.data)
