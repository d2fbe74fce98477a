"""A whole recipe, every stage of it, on the toy corpus; then again, with changed options, and after an interruption."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vqaudio.audio.io import probe, read_audio
from vqaudio.corpus.datadir import DataDir
from vqaudio.units import read_units

pytestmark = pytest.mark.whole_run
ROOT = Path(__file__).parents[2]
STAGES = ("data", "format", "train", "extract", "prior", "resynthesise", "convert", "sample", "score", "eval", "report")
SPEAKERS = ["anna", "boris", "clara", "david"]


class Recipe:
    """A copy of the toy recipe, so that the one in the repository stays as it is."""

    def __init__(self, folder: Path) -> None:
        for name in ("common", "toy"):
            shutil.copytree(ROOT / "recipes" / name, folder / "recipes" / name, ignore=_written)
        self.folder = folder / "recipes/toy"
        self.exp = self.folder / "exp/vqvae_8k"
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = os.environ | {"PYTHONPATH": ":".join(paths)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a run of the recipe."""
        common = ["--python", sys.executable, "--skip_setup", "--ngpu", "0", "--nj", "1"]
        return subprocess.Popen(
            ["bash", str(self.folder / "run.sh"), *common, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: str) -> str:
        """Run the recipe to its end; return what it said."""
        process = self.start(*arguments)
        said, _ = process.communicate()
        assert process.returncode == 0, said
        return said

    def snapshot(self) -> dict[str, int]:
        """When each file was last written, but for locks and the log of the stage that always runs."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
        files = [path for path in files if path.name not in (".lock", "summary.log")]
        return {str(path.relative_to(self.folder)): path.stat().st_mtime_ns for path in files}


def _written(folder: str, names: list[str]) -> set[str]:
    """Leave out what runs in the repository itself have written."""
    return {name for name in names if Path(folder).name == "toy" and name in ("data", "dump", "exp")}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Recipe:
    return Recipe(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def said(recipe) -> str:
    """What the first, whole run says."""
    return recipe()


def test_every_stage_is_done_and_logged(recipe, said):
    for name in STAGES:
        assert f"({name}): done in" in said
        folder = recipe.folder / "exp/log" if name in ("data", "format") else recipe.exp / "log"
        assert (folder / f"{name}.log").stat().st_size > 0


def test_the_audio_is_at_the_models_rate_with_its_phones(recipe, said):
    for part in ("train", "dev", "test"):
        data = DataDir.load(recipe.folder / "dump/8k" / part)
        assert data.speakers == SPEAKERS
        assert {probe(utterance.recording).sample_rate for utterance in data.utterances} == {8000}
        ctm = (recipe.folder / "dump/8k" / part / "phones.ctm").read_text().splitlines()
        assert {line.split()[0] for line in ctm} == {utterance.id for utterance in data.utterances}


def test_every_utterance_has_its_units(recipe, said):
    for part in ("train", "dev", "test"):
        data = DataDir.load(recipe.folder / "dump/8k" / part)
        units, spec = read_units(recipe.exp / "units" / part)
        assert (spec.sample_rate, spec.hop_length, spec.codebook_size) == (8000, 64, 32)
        lengths = {u.id: -(-probe(u.recording).frames // spec.hop_length) for u in data.utterances}
        assert {utterance: len(sequence) for utterance, sequence in units.items()} == lengths


def test_models_can_be_taken_away(recipe, said):
    for folder in (recipe.exp / "model", recipe.exp / "prior/model"):
        assert {"config.yaml", "model.safetensors"} <= set(os.listdir(folder))
    assert (recipe.exp / "model/speakers.txt").read_text().split() == SPEAKERS


def test_held_out_utterances_are_resynthesised_beside_their_originals(recipe, said):
    originals = sorted((recipe.exp / "resynthesis").glob("*.original.wav"))
    assert [path.name.split("-")[0] for path in originals] == SPEAKERS
    for original in originals:
        name = original.name.removesuffix(".original.wav")
        assert "-test-" in name
        resynthesised = original.with_name(f"{name}.wav")
        assert probe(resynthesised).frames == probe(original).frames
        assert abs(read_audio(resynthesised)[0]).max() > 0.01


def test_every_speaker_is_converted_to_every_other(recipe, said):
    names = [path.stem for path in (recipe.exp / "conversion").glob("*-to-*.wav")]
    pairs = sorted((name.split("-")[0], name.split("-to-")[1]) for name in names)
    assert pairs == [(a, b) for a in SPEAKERS for b in SPEAKERS if a != b]


def test_speech_is_drawn_from_the_prior(recipe, said):
    samples = list((recipe.exp / "samples").glob("**/*.wav"))
    assert len(samples) == 2
    assert all(0 < probe(path).duration <= 3 for path in samples)


def test_scores_are_written_and_sane(recipe, said):
    results = json.loads((recipe.exp / "results.json").read_text())
    assert 0 < results["bits_per_sample"] < 8  # 256 levels would be 8 bits
    assert 1 < results["code_perplexity"] <= results["codebook_size"] == 32
    assert results["unit_rate_hz"] == 125
    assert 0 < results["bitrate_entropy"] <= results["bitrate_nominal"] == 625
    assert results["chunk_agreement"] == results["batch_agreement"] == 1
    assert 0 < results["prior_bits_per_unit"] < 8
    assert "bits" in (recipe.exp / "RESULTS.md").read_text()


def test_the_units_carry_what_was_said(recipe, said):
    """With somebody else's units the decoder must predict worse than with the right ones, or it ignores them."""
    results = json.loads((recipe.exp / "results.json").read_text())
    assert results["bits_per_sample"] < results["bits_per_sample_shuffled_units"] - 0.05
    assert results["prior_bits_per_unit"] < results["unigram_bits_per_unit"]


def test_a_set_of_an_unheard_speaker_is_scored_by_itself(recipe, said):
    out = recipe.exp / "scores/unheard"
    results = json.loads((out / "results.json").read_text())
    assert 0 <= results["abx_within"] < 0.5 or "abx_within" in results["not_measured"]
    assert results["code_perplexity"] > 1
    assert set(read_units(out / "units")[0]) == {f"emil-unheard-{take:03d}" for take in range(4)}
    assert {path.stem.split("-to-")[1] for path in (out / "conversion").glob("*-to-*.wav")} == {"anna"}


def test_jobs_make_what_one_job_makes(recipe, said):
    """Extraction, decoding and scoring in three jobs, from the same model."""
    exp = recipe.folder / "exp_jobs/vqvae_8k"
    shutil.copytree(recipe.exp, exp, ignore=lambda folder, names: ["units", "resynthesis", "conversion", "log"])
    shutil.rmtree(exp / "scores")
    for stage in ("extract", "resynthesise", "convert", "score", "eval"):
        (exp / ".done" / stage).unlink()
    again = recipe("--expdir", "exp_jobs", "--num_jobs", "3", "--skip_prior", "--skip_sample", "--stop_stage", "10")
    assert "stage 3 (train): done already" in again and "stage 4 (extract): done in" in again
    same = 0
    for one in sorted(
        path for path in recipe.exp.rglob("*") if path.name in ("units.txt", "units.json") or path.suffix == ".wav"
    ):
        if "unconditional" in one.parts or "samples" in one.parts:
            continue
        assert (exp / one.relative_to(recipe.exp)).read_bytes() == one.read_bytes(), one
        same += 1
    assert same > 30
    figures = [json.loads((folder / "results.json").read_text()) for folder in (recipe.exp, exp)]
    for one in figures:
        for key in ("about", "generation_rtf"):
            one.pop(key, None)
    assert figures[0] == figures[1]


def test_a_failed_jobs_last_lines_are_shown(recipe, said):
    """A model that is no model: the job's message comes to the terminal, with its log."""
    exp = recipe.folder / "exp_broken/vqvae_8k"
    shutil.copytree(recipe.exp, exp, ignore=lambda folder, names: [n for n in names if n in ("units", "extract")])
    (exp / "model/model.safetensors").write_bytes(b"no model")
    process = recipe.start("--expdir", "exp_broken", "--stage", "4", "--stop_stage", "4", "--num_jobs", "2")
    output, _ = process.communicate(timeout=120)
    assert process.returncode not in (0, None)
    assert "model.safetensors" in output and re.search(r"log/jobs/extract-train\.[12]\.log", output), output
    assert "stage 4 (extract): failed" in output


def test_training_on_fewer_hours_keeps_the_parts_together(recipe, said):
    recipe("--expdir", "exp_few", "--dumpdir", "dump_few", "--max_train_hours", "0.015", "--stop_stage", "2")
    parts = {part: DataDir.load(recipe.folder / "dump_few/8k" / part) for part in ("train", "dev", "test")}
    assert 54 <= sum(u.duration for u in parts["train"].utterances) < 60
    assert set(parts["dev"].speakers) <= set(parts["train"].speakers)
    assert (recipe.folder / "dump_few/8k/train/phones.ctm").is_file()


def test_the_listening_report_holds_what_the_stages_made(recipe, said):
    page = (recipe.exp / "report.html").read_text(encoding="utf-8")
    assert page.count("data:audio/wav") >= 10  # recordings, reconstructions, conversions, samples
    assert "not made" not in page


def test_the_end_says_where_to_look_and_listen(recipe, said):
    for words in ("RESULTS.md", "report.html", "resynthesis/", "conversion/", "samples/", "tensorboard.main --logdir"):
        assert words in said[said.index("stage 12 (summary)") :]
    assert list(recipe.exp.glob("tensorboard/events.*"))


def test_a_second_run_does_nothing(recipe, said):
    before, began = recipe.snapshot(), time.monotonic()
    again = recipe()
    assert recipe.snapshot() == before
    assert [name for name in STAGES if f"({name}): done already" not in again] == []
    assert time.monotonic() - began < 20  # of which the shell's part is one second


def test_only_what_depends_on_a_changed_option_runs_again(recipe, said):
    model = (recipe.exp / "model/model.safetensors").stat().st_mtime_ns
    again = recipe("--prior_args", "--set training.max_steps=60", "--stop_stage", "8")
    assert "runs again: --prior_args was '' and is '--set training.max_steps=60'" in again
    assert [name for name in STAGES if f"({name}): done in" in again] == ["prior", "sample"]
    assert len(list(recipe.exp.glob("prior.old-*"))) == 1
    assert (recipe.exp / "model/model.safetensors").stat().st_mtime_ns == model


def test_another_configuration_is_another_experiment(recipe, said):
    recipe("--train_args", "--set training.max_steps=40", "--stop_stage", "3")
    assert (recipe.folder / "exp/vqvae_training.max_steps40_8k/model/model.safetensors").is_file()
    assert (recipe.exp / "model/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("number", "status", "everybody"),
    [
        (signal.SIGINT, 130, True),  # Ctrl-C
        (signal.SIGKILL, -9, True),
        (signal.SIGTERM, 143, False),
        (signal.SIGKILL, -9, False),
    ],
)
def test_an_interrupted_training_ends_as_if_nothing_had_happened(recipe, said, number, status, everybody):
    """Whether the signal is sent to the terminal's processes or to run.sh alone."""
    expdir = f"exp_{number.name}_{everybody}"
    process = recipe.start("--expdir", expdir, "--stop_stage", "3")
    checkpoints = recipe.folder / expdir / "vqvae_8k/checkpoints"
    deadline = time.monotonic() + 120
    while not (checkpoints.is_dir() and os.listdir(checkpoints)) and time.monotonic() < deadline:
        time.sleep(0.05)
    (os.killpg if everybody else os.kill)(process.pid, number)
    output, _ = process.communicate(timeout=60)  # to the end of all that might still write there
    assert process.returncode == status, output
    assert not (recipe.folder / expdir / "vqvae_8k/.done/train").exists()
    again = recipe("--expdir", expdir, "--stop_stage", "3")
    assert "stage 3 (train): was interrupted; goes on where it stood" in again
    weights = recipe.folder / expdir / "vqvae_8k/model/model.safetensors"
    assert weights.read_bytes() == (recipe.exp / "model/model.safetensors").read_bytes()


def test_two_runs_at_a_time_are_refused(recipe, said):
    with open(recipe.folder / "exp/.lock") as lock:
        fcntl = pytest.importorskip("fcntl")
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = recipe.start()
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and "another run is at work" in output
