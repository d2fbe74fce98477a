"""A recipe's RESULTS.md: the figures of an experiment, without what only its folder holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vqaudio.evaluation.report import REPORT_FILE
from vqaudio.evaluation.results import Results, write_results

SCRIPT = Path(__file__).parents[2] / "recipes/common/publish_results.py"
ABOUT = {"date": "2026-01-02 03:04 UTC", "commit": "abc123", "machine": "some machine", "python": "3.12, torch 2"}


@pytest.fixture
def experiment(tmp_path) -> Path:
    folder = tmp_path / "recipes/digits/exp/vqvae_8k"
    results = Results()
    results.about = dict(ABOUT)
    results.put_all({"bits_per_sample": 4.5, "codebook_size": 512, "unit_rate_hz": 125.0})
    results.lack(["abx_within"], "no alignments")
    write_results(folder, results)
    (folder / "resynthesis").mkdir()
    (folder / "resynthesis/a.wav").write_bytes(b"sound")
    of_set = Results()
    of_set.about = dict(ABOUT)
    of_set.put_all({"codebook_size": 512, "code_perplexity": 200.0, "generation_rtf": 0.5})
    write_results(folder / "scores/strangers", of_set)
    training = {"steps": 12345, "train_seconds": 90.0, "train_samples_per_second": 1e5, "precision": "float32"}
    training["machine"] = "another machine"
    (folder / "train.json").write_text(json.dumps(training))
    return folder


def publish(experiment: Path, *arguments: str) -> str:
    command = [sys.executable, str(SCRIPT), str(experiment), "--command", "bash recipes/digits/run.sh", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return (experiment.parents[1] / REPORT_FILE).read_text(encoding="utf-8")


def test_the_page_says_how_and_what(experiment):
    page = publish(experiment, "--note", "Other work ran beside it.")
    assert "`bash recipes/digits/run.sh`, one run, scored on 2026-01-02 03:04 UTC by commit abc123" in page
    assert (
        "trained for 12,345 steps in 1.5 minutes (another machine: 100,000 samples of waveform a second, float32)"
        in page
    )
    assert "Other work ran beside it." in page
    assert "| bits per sample | 4.5" in page


def test_what_was_not_measured_and_what_stays_in_the_folder_is_left_out(experiment):
    page = publish(experiment)
    assert "not measured" not in page and "Not measured" not in page
    assert ".wav" not in page and "results.json" not in page
    assert "What the units know" not in page  # nothing of it was measured


def test_further_sets_follow_with_their_units_alone(experiment):
    page = publish(experiment)
    of_set = page[page.index("## The set strangers") :]
    assert "### Units" in of_set and "| perplexity | 200" in of_set
    assert "### Speed" not in of_set
