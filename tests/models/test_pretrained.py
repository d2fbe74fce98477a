"""Models known by name: found without a folder, after one that is there, and named where none is meant."""

import pytest

from tests.small import SPEAKERS, small_prior, small_vqvae
from vqaudio import pretrained
from vqaudio.errors import ModelError
from vqaudio.models.folder import load_prior, load_vqvae, read_kind, read_speakers, save_model


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A package with one model, and a working directory without any."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "package")
    save_model(tmp_path / "package" / "small-500hz", small_vqvae(), SPEAKERS, {})
    save_model(tmp_path / "package" / "small-500hz" / "prior", small_prior(), SPEAKERS, {})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.usefixtures("shelf")
def test_a_name_is_a_model_and_its_prior():
    assert pretrained.names() == ["small-500hz"]
    assert load_vqvae("small-500hz")[1] == SPEAKERS == read_speakers("small-500hz")
    assert load_prior("small-500hz")[1] == SPEAKERS
    assert read_kind("small-500hz") == "vqvae"


@pytest.mark.usefixtures("shelf")
def test_a_folder_of_that_name_comes_first():
    save_model("small-500hz", small_vqvae(1), ["own"], {})
    assert load_vqvae("small-500hz")[1] == ["own"]
    with pytest.raises(ModelError, match="of kind 'vqvae', expected 'prior'"):
        load_prior("small-500hz")


@pytest.mark.usefixtures("shelf")
def test_a_name_that_is_none_gets_the_nearest():
    with pytest.raises(ModelError) as error:
        load_vqvae("smal-500hz")
    assert "Did you mean 'small-500hz'?" in str(error.value)
    assert str(error.value).endswith("Models that come with vqaudio: small-500hz")
