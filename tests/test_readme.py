"""The README is run: its Python as it stands, its commands, and the options of the scripts that it names."""

from __future__ import annotations

import dataclasses
import re
import subprocess

import pytest
import torch

from tests.markdown import ROOT, code_blocks, command_lines, table
from tests.small import HOP, RATE, small_prior, small_vqvae, sound, write_data
from vqaudio.audio import probe, write_wav
from vqaudio.cli.main import main
from vqaudio.config import VQVAETrainingConfig
from vqaudio.config_files import load_config, save_config
from vqaudio.corpus import DataDir
from vqaudio.evaluation.measures import GROUPS
from vqaudio.evaluation.results import Results, write_results
from vqaudio.models.folder import save_model
from vqaudio.units import UnitSpec
from vqaudio.units.extract import extract_units

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENT = "recipes/asterisk/exp/vqvae_8k"
OTHER = "recipes/asterisk/exp/codec_two_cores_8k"
DEFAULT = load_config(ROOT / "recipes/asterisk/conf/train_vqvae.yaml", VQVAETrainingConfig)
VOICES = ["allison", "carlo", "ivrvoice", "june"]


@pytest.fixture
def after_the_recipe(tmp_path, monkeypatch):
    """Stand in a folder where a tiny recipes/asterisk has run, with a recording of the user's own."""
    monkeypatch.chdir(tmp_path)
    model, prior = small_vqvae(len(VOICES)), small_prior(len(VOICES))
    with torch.no_grad():
        prior.stack.output.bias[prior.boundary] = -20.0  # so that no utterance ends before it has begun
    save_model(tmp_path / EXPERIMENT / "model", model, VOICES, {})
    units = {"units": dataclasses.asdict(UnitSpec.of_model(model))}
    save_model(tmp_path / EXPERIMENT / "prior/model", prior, VOICES, units)
    data = tmp_path / "recipes/asterisk/dump/8k/test"
    write_data(data, {f"{voice}-1": 20 * HOP for voice in VOICES})
    save_config(VQVAETrainingConfig(model=model.config), tmp_path / EXPERIMENT / "config.yaml")
    extract_units(model, DataDir.load(data), tmp_path / EXPERIMENT / "units/train", progress=False)
    write_results(tmp_path / OTHER, Results({"bits_per_sample": 5.2}))
    write_wav(tmp_path / "hello.wav", sound(3000, rate=16000), 16000)
    return tmp_path


def test_its_python_runs_as_it_stands(after_the_recipe):
    (block,) = code_blocks(README, "python")
    names: dict = {}
    exec(compile(block, "README.md", "exec"), names)
    model, units = names["model"], names["units"]
    length = round(len(names["waveform"]) * RATE / 16000)
    assert len(units) == -(-length // model.hop_length)  # N = ceil(T / hop_length), at the model's rate
    assert len(names["audio"]) == len(units) * model.hop_length
    assert len(names["other"]) == length
    assert torch.equal(names["audio"][-len(names["chunk"]) :], names["chunk"])
    assert names["live"] == model.encode(names["audio"], model.sample_rate).tolist()
    assert len(names["speech"]) == 4 and all(0 < len(speech) <= 3 * RATE for speech in names["speech"])
    assert probe("june.wav").sample_rate == RATE and probe("june.wav").frames == length


def test_its_commands_run_one_after_the_other(after_the_recipe, capsys):
    commands = command_lines(README, "vqaudio ")
    assert {words[1] for words in commands} == {
        "info", "convert", "extract", "decode", "sample", "score", "compare", "report"
    }  # fmt: skip
    for words in commands:
        assert main(words[1:]) == 0, capsys.readouterr().err
    for made in (
        "converted/hello-to-june.wav",
        "decoded/allison-1.wav",
        "my_units/units.txt",
        "speech/units/units.txt",
        f"{EXPERIMENT}/results.json",
        f"{EXPERIMENT}/report.html",
    ):
        assert (after_the_recipe / made).is_file()
    assert len(list((after_the_recipe / "speech").glob("*.wav"))) == 4


@pytest.mark.parametrize("words", command_lines(README, "bash recipes/"), ids=" ".join)
def test_its_recipes_take_the_options_that_it_gives(words):
    script = ROOT / words[1]
    said = subprocess.run(["bash", str(script), "--help"], capture_output=True, text=True, check=True).stdout
    given = [word for word in words[2:] if word.startswith("--") and " " not in word]
    known = re.findall(r"^  (--\w+)", said, flags=re.MULTILINE)
    assert set(given) <= set(known)


def test_the_options_that_its_prose_names_exist():
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`(--\w+)", prose)) - {"--help"}
    helps = [
        subprocess.run(
            ["bash", str(ROOT / f"recipes/{recipe}/run.sh"), "--help"], capture_output=True, text=True
        ).stdout
        for recipe in ("asterisk", "template")
    ]
    assert named and named <= set(re.findall(r"^  (--\w+)", "".join(helps), flags=re.MULTILINE))


def test_the_first_two_commands_are_those_that_everything_begins_with():
    first = [line.split("#")[0].split() for line in code_blocks(README, "sh")[0].splitlines()]
    assert first == [["bash", "recipes/asterisk/run.sh"], ["bash", "tests/run.sh"]]
    assert (ROOT / "tests/run.sh").is_file()


def test_its_experiment_is_the_one_that_the_recipe_makes():
    """run.sh names it after the configuration and the rate."""
    assert f"vqvae_{DEFAULT.model.sample_rate // 1000}k" == EXPERIMENT.rsplit("/", 1)[-1]
    assert set(re.findall(r"recipes/asterisk/exp/\w+", README)) == {EXPERIMENT, OTHER}


def test_its_figures_are_those_of_the_default_configuration():
    model = DEFAULT.model
    turned = (
        f"{model.sample_rate:,} samples a second into {model.unit_rate:g} units out of {model.quantizer.codebook_size}"
    )
    assert turned in " ".join(README.split())


def test_its_results_are_figures_of_the_report():
    body = README.split("<!-- results:begin -->")[1].split("<!-- results:end -->")[0]
    measures = {m.key: m for group in GROUPS.values() for m in group}
    rows = table(body)
    assert {row["key in results.json"] for row in rows} <= measures.keys()
    for row in rows:
        assert row["better"] == measures[row["key in results.json"]].better, row


def test_its_folders_are_there():
    (tree,) = [block for block in code_blocks(README, "text") if "vqaudio/audio" in block]
    listed = [line.split()[0] for line in tree.splitlines()]
    rooms = {f"vqaudio/{path.parent.name}" for path in (ROOT / "vqaudio").glob("*/__init__.py")}
    assert set(listed) == rooms | {"data_prep", "recipes"}
