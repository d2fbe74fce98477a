"""Each row of the ablations is a configuration, and is one thing other than the default."""

import pytest

from benchmarks.ablations import COLUMNS, ROOT, VARIANTS, length, table
from vqaudio.config import VQVAETrainingConfig
from vqaudio.config_files import load_config
from vqaudio.models.vqvae import VQVAE

CONFIG = ROOT / "recipes/asterisk/conf/train_vqvae.yaml"


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "default"])
def test_a_variant_is_a_configuration_of_its_own(name):
    default, changed = (load_config(CONFIG, VQVAETrainingConfig, VARIANTS[row][1]) for row in ("default", name))
    assert changed != default and VARIANTS[name][0]
    VQVAE(changed.model, 2)
    hop = changed.model.encoder.hop_length
    seconds = changed.training.crops_per_step * changed.training.crop_units * hop / changed.model.sample_rate
    assert seconds == pytest.approx(1.04, rel=0.02) or name == "batch_4"  # as much audio in a step


@pytest.mark.parametrize(("minutes", "spectral_steps"), [(4.0, None), (None, 800)])
def test_rows_are_as_long_as_was_said(minutes, spectral_steps):
    training = load_config(CONFIG, VQVAETrainingConfig, length(minutes, spectral_steps)).training
    assert training.max_minutes == minutes
    if spectral_steps is not None:
        assert (training.spectral_steps, training.max_steps) == (800, 801)


def test_the_default_is_the_default():
    assert VARIANTS["default"] == ("", [])


def test_the_table_has_the_columns_that_were_measured():
    lines = table({"default": {"steps": 1234, "bits": 5.0}, "mol": {"steps": 12, "bits": 6.0, "word_errors": 0.5}})
    head, _, first, second = lines.splitlines()
    titles = [COLUMNS[key][0] for key in ("steps", "bits", "word_errors")]
    assert head == f"| row | what is changed | {' | '.join(titles)} |"
    assert first == "| `default` |  | 1,234 | 5.000 |  |"
    assert second == "| `mol` | mixture of logistics | 12 | 6.000 | 50% |"
