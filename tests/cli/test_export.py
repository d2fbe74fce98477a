"""A model and its prior as one folder: the same units, half the bytes, and decoded all but alike."""

import pytest
import torch

from tests.small import SPEAKERS, small_prior, small_vqvae, sound
from vqaudio import api
from vqaudio.cli.main import main
from vqaudio.models.folder import load_vqvae, save_model
from vqaudio.units.spec import UnitSpec


@pytest.fixture
def folders(tmp_path):
    model = small_vqvae()
    save_model(tmp_path / "model", model, SPEAKERS, {})
    api.Prior(small_prior(), SPEAKERS, UnitSpec.of_model(model)).save_pretrained(tmp_path / "prior")
    (tmp_path / "card.md").write_text("# A model\n")
    return tmp_path


def test_the_folder_speaks_as_the_model_did(folders):
    out = folders / "out"
    options = ["--model", folders / "model", "--prior", folders / "prior", "--card", folders / "card.md", "--out", out]
    assert main(["export", *map(str, options)]) == 0
    assert (out / "README.md").read_text() == "# A model\n"
    before, after, waveform = api.load(folders / "model"), api.load(out), sound(4000)
    units = before.encode(waveform, before.sample_rate)
    assert torch.equal(after.encode(waveform, after.sample_rate), units)
    assert after.unit_spec == before.unit_spec
    decoder = after.network.decoder.state_dict()
    for name, tensor in before.network.decoder.state_dict().items():
        assert torch.equal(decoder[name], tensor.bfloat16().float())
    prior = api.load_prior(out / "prior")
    assert len(after.sample(prior, n=2, seconds=0.2)) == 2  # it knows these units


def test_the_prior_of_other_units_is_refused(folders, capsys):
    save_model(folders / "other", small_vqvae(seed=1), SPEAKERS, {})
    options = ["--model", folders / "other", "--prior", folders / "prior", "--out", folders / "out"]
    assert main(["export", *map(str, options)]) == 2
    assert "the units that the prior learned" in capsys.readouterr().err
    assert not (folders / "out").exists()


def test_a_card_that_cannot_be_read_costs_nothing(folders, capsys):
    options = ["--model", folders / "model", "--card", folders / "nix.md", "--out", folders / "out"]
    assert main(["export", *map(str, options)]) == 2
    assert "nix.md cannot be read" in capsys.readouterr().err
    assert not (folders / "out").exists()


def test_unrounded_weights_are_as_they_were(folders):
    model = api.load(folders / "model")
    model.save_pretrained(folders / "again")
    again = load_vqvae(folders / "again")[0].state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.network.state_dict().items())
