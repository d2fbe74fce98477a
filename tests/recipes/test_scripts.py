"""What holds for every recipe: it can be asked for help, its defaults exist, and it stays a thin wrapper."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vqaudio.config import PriorTrainingConfig, VQVAETrainingConfig
from vqaudio.config_files import load_config

ROOT = Path(__file__).parents[2]
# The environment's own programs are not on the path where its Python was called by its full name.
SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
RECIPES = sorted(path.parent for path in (ROOT / "recipes").glob("*/run.sh") if path.parent.name != "common")
SCRIPTS = sorted([*(ROOT / "recipes").glob("*/*.sh"), *(ROOT / "recipes").glob("*/local/*.sh"), ROOT / "tests/run.sh",
                  ROOT / ".ci/run"])  # fmt: skip


def run(recipe: Path, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(recipe / "run.sh"), *arguments], capture_output=True, text=True,
                          errors="replace", **options)  # fmt: skip


@pytest.fixture(params=RECIPES, ids=lambda path: path.name)
def recipe(request) -> Path:
    return request.param


def test_there_are_recipes():
    assert {"asterisk", "template", "toy"} <= {path.name for path in RECIPES}


def test_help_shows_stages_and_options_from_anywhere(recipe, tmp_path):
    result = run(recipe, "--help", cwd=tmp_path)
    assert result.returncode == 0 and result.stderr == ""
    for words in (
        "Stages:",
        "   3  train ",
        "  12  summary ",
        "--stop_stage ",
        "--train_config ",
        f"{recipe.name}/run.sh",
    ):
        assert words in result.stdout
    assert os.listdir(tmp_path) == []


def test_the_recipes_are_listed(recipe, tmp_path):
    lines = run(ROOT / "recipes/common", "--help", cwd=tmp_path).stdout.splitlines()
    assert len(lines) == len(RECIPES)
    assert any(line.startswith(f"{recipe.name} ") and len(line) > 40 for line in lines)


def test_the_options_of_its_data_are_options_of_the_recipe(recipe):
    own = subprocess.run(["bash", str(recipe / "local/data.sh"), "--help"], capture_output=True, text=True)
    names = set(re.findall(r"^  --(\w+)", own.stdout, re.MULTILINE))
    assert own.returncode == 0
    assert names <= set(re.findall(r"^  --(\w+)", run(recipe, "--help").stdout, re.MULTILINE))


def test_a_recipe_is_a_thin_wrapper(recipe):
    assert len((recipe / "run.sh").read_text().splitlines()) <= 60


def test_its_default_configurations_exist(recipe):
    for name in re.findall(r"conf/\w+\.yaml", (recipe / "run.sh").read_text()):
        assert (recipe / name).is_file() or name.endswith("_paper.yaml")


@pytest.mark.parametrize("name", ["train_vqvae.yaml", "train_prior.yaml"])
def test_the_template_starts_from_the_main_recipes_configuration(name):
    # Files of their own, not links: whoever edits theirs must not change the main recipe's.
    cls = VQVAETrainingConfig if name == "train_vqvae.yaml" else PriorTrainingConfig
    configs = [ROOT / "recipes" / recipe / "conf" / name for recipe in ("template", "asterisk")]
    assert load_config(configs[0], cls) == load_config(configs[1], cls)
    assert not configs[0].is_symlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ngpu", "many"), "--ngpu: got 'many', expected a number of GPUs"),
        (("--num-nodes", "4"), "--num_nodes 4: --cmd_backend local runs on this machine alone; give slurm or ssh"),
        (("--num-jobs", "0"), "--num_jobs 0: expected at least 1"),
        (("--cmd_backend", "slurm"), "--cmd_backend slurm: give --nj too, the processor cores of each job"),
        (("--cmd_backend", "pbs"), "--cmd_backend: got 'pbs', expected local, slurm or ssh"),
        (("--stage", "5", "--stop_stage", "4"), "--stage 5 comes after --stop_stage 4"),
        (("--train_config", "conf/train_vqva.yaml"), "there is no file 'conf/train_vqva.yaml'; the recipe has conf/"),
        (("--fs", "8"), "--fs: got '8'"),
        (("--expdir", "a\nb"), "expected a line of UTF-8 without control characters"),
        (("--dumpdir", b"a\xff"), "expected a line of UTF-8 without control characters"),
        (("--tag", "../elsewhere"), "--tag: got '../elsewhere', expected a name; --expdir says in which folder"),
        (("--tag", "long" * 60), "is too long; --tag gives another"),
        (
            ("--eval_sets", "unheard ../elsewhere"),
            "--eval_sets: got '../elsewhere', expected names of folders in data/",
        ),
        (("--preset", "paper"), "--preset: got 'paper', expected units or codec"),
        (
            ("--preset", "units", "--prior_config", "conf/other.yaml"),
            "--preset units and --prior_config conf/other.yaml: give one of the two",
        ),
        (("--corpus_sed", "1"), "unknown option '--corpus_sed'. Did you mean '--corpus_seed'"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is(arguments, message):
    result = run(ROOT / "recipes/toy", *arguments)
    assert result.returncode == 2 and message in result.stderr and result.stderr.startswith("run.sh: ")


@pytest.mark.parametrize(
    ("recipe", "options", "configurations"),
    [
        ("asterisk", ["--ngpu", "0"], "conf/train_vqvae.yaml, conf/train_prior.yaml"),
        ("asterisk", ["--ngpu", "2"], "conf/train_vqvae_accelerator.yaml, conf/train_prior_accelerator.yaml"),
        ("vctk", ["--ngpu", "0"], "conf/train_vqvae_two_cores.yaml, conf/train_prior_two_cores.yaml"),
        ("vctk", ["--ngpu", "2"], "conf/train_vqvae.yaml, conf/train_prior.yaml"),
        ("vctk", ["--ngpu", "0", "--train_config", "./conf/train_vqvae.yaml"],
         "./conf/train_vqvae.yaml, conf/train_prior_two_cores.yaml"),
        ("toy", ["--ngpu", "2"], "conf/train_vqvae.yaml, conf/train_prior.yaml"),
        ("toy", ["--ngpu", "0", "--preset", "units"],
         "../common/conf/units_two_cores.yaml, ../common/conf/prior_units_two_cores.yaml"),
        ("toy", ["--ngpu", "1", "--preset", "codec"],
         "../common/conf/codec_accelerator.yaml, ../common/conf/prior_codec_accelerator.yaml"),
    ],
)  # fmt: skip
def test_the_configuration_is_that_for_the_machine(recipe, options, configurations):
    said = run(ROOT / "recipes" / recipe, *options, "--fs", "8").stdout  # which is refused right afterwards
    assert f"configurations: {configurations}\n" in said


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_pass_shellcheck(script):
    result = subprocess.run([SHELLCHECK, "-x", str(script)], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
