"""Model folders: what is saved is what is loaded, and everything unusable is refused in words."""

import errno
import os

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.small import SPEAKERS, small_prior, small_vqvae
from vqaudio.errors import ModelError, VQAudioError
from vqaudio.models.folder import (
    load_prior,
    load_vqvae,
    read_kind,
    read_speakers,
    save_model,
    speaker_index,
    unit_hash,
)


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "model", small_vqvae(), SPEAKERS, {})
    return tmp_path / "model"


def change_config(folder, **changes) -> None:
    """Change keys of config.yaml; None removes one."""
    path = folder / "config.yaml"
    config = {**yaml.safe_load(path.read_text()), **changes}
    path.write_text(yaml.safe_dump({key: value for key, value in config.items() if value is not None}))


def refused(folder, load=load_vqvae) -> str:
    with pytest.raises(ModelError) as error:
        load(folder)
    assert str(folder) in str(error.value)
    return str(error.value)


# ------------------------------------------------------------------------------------------------- round trip


def test_a_model_comes_back_bit_by_bit_ready_for_use(folder):
    model, speakers = load_vqvae(folder)
    saved = small_vqvae().state_dict()
    assert model.state_dict().keys() == saved.keys()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.state_dict().items())
    assert speakers == SPEAKERS
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_a_prior_comes_back_with_what_was_said_about_it(tmp_path):
    save_model(tmp_path, small_prior(), SPEAKERS, {"units": {"model_hash": "abc"}})
    prior, speakers, about = load_prior(tmp_path)
    saved = small_prior().state_dict()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in prior.state_dict().items())
    assert (speakers, about["units"]) == (SPEAKERS, {"model_hash": "abc"})


def test_the_folder_holds_three_files_that_execute_nothing(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "model.safetensors", "speakers.txt"]
    assert yaml.safe_load((folder / "config.yaml").read_text())["kind"] == read_kind(folder) == "vqvae"
    assert (folder / "speakers.txt").read_text() == "anna\nboris\n"


def test_names_of_speakers_in_any_script(tmp_path):
    names = ["анна", "ボリス", "c-3_x"]
    save_model(tmp_path, small_vqvae(speakers=3), names, {})
    assert load_vqvae(tmp_path)[1] == read_speakers(tmp_path) == names


def test_loading_draws_no_random_numbers_of_the_caller(folder):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load_vqvae(folder)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("file", ["config.yaml", "speakers.txt", "model.safetensors"])
def test_a_model_that_cannot_be_written_leaves_the_one_that_was_there(tmp_path, monkeypatch, file):
    """New speakers beside old weights would speak with the wrong voices, and nothing would tell."""
    save_model(tmp_path, small_vqvae(), SPEAKERS, {})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    rename = os.replace

    def full(source, target):
        if str(target).endswith(file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(VQAudioError, match=f"cannot write {tmp_path}/{file}: No space left"):
        save_model(tmp_path, small_vqvae(seed=1), ["clara", "david"], {})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# ------------------------------------------------------------------------------------------------ config.yaml


def test_a_folder_that_is_none(tmp_path):
    assert "is not a model folder" in refused(tmp_path / "nowhere")
    assert "is not a model folder" in refused(tmp_path)


def test_the_experiment_folder_around_the_model(folder):
    assert refused(folder.parent).endswith(f"Did you mean {folder}?")
    (folder.parent / "config.yaml").write_text("seed: 0\n")  # that of the training
    assert refused(folder.parent).endswith(f"Did you mean {folder}?")


def test_the_wrong_kind(folder, tmp_path):
    assert "holds a model of kind 'vqvae', expected 'prior'" in refused(folder, load_prior)
    save_model(tmp_path / "prior", small_prior(), SPEAKERS, {})
    assert "holds a model of kind 'prior', expected 'vqvae'" in refused(tmp_path / "prior")


@pytest.mark.parametrize("version", [2, "1", None])
def test_another_format_version(folder, version):
    change_config(folder, format_version=version)
    assert f"format version {version!r}; this version of vqaudio reads 1" in refused(folder)


@pytest.mark.parametrize("changes", [{"kind": None}, {"kind": "gan"}])
def test_an_unknown_kind(folder, changes):
    change_config(folder, **changes)
    assert "expected `kind: vqvae` or `kind: prior`" in refused(folder)


@pytest.mark.parametrize(("text", "words"), [
    ("- 1\n", "does not describe a model"),
    ("a: [", "cannot be read"),
    ("!!python/object/apply:os.getpid []", "cannot be read"),
])  # fmt: skip
def test_a_config_that_is_not_one(folder, text, words):
    (folder / "config.yaml").write_text(text)
    assert words in refused(folder)


@pytest.mark.parametrize("kind", [["vqvae"], {"a": 1}, 7])
def test_a_kind_that_is_no_text(folder, kind):
    change_config(folder, kind=kind)
    assert "expected `kind: vqvae` or `kind: prior`" in refused(folder)


def test_sizes_beyond_the_weights_are_refused_before_memory_is_taken(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text())["model"]
    config["encoder"]["channels"] = 65536  # its weights would take 200 GB
    change_config(folder, model=config)
    assert "encoder.strided.0.taps.weight has shape (16, 4), expected (131072, 4)" in refused(folder)


def test_a_config_that_is_not_text(folder):
    (folder / "config.yaml").write_bytes(b"\xff\xff")
    assert "cannot be read" in refused(folder)


def test_a_model_configuration_with_a_mistake_names_the_key(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text())["model"]
    config["encoder"]["chanels"] = config["encoder"].pop("channels")
    change_config(folder, model=config)
    assert "config.yaml: unknown key 'encoder.chanels'. Did you mean 'channels'" in refused(folder)
    change_config(folder, model=None)
    assert "expected a mapping of keys" in refused(folder)


# ----------------------------------------------------------------------------------------------- speakers.txt


@pytest.mark.parametrize(("content", "words"), [
    (None, "speakers.txt cannot be read"),
    (b"", "found 0 names"),
    (b"anna\nanna\n", "each once"),
    (b"\xff\n", "speakers.txt cannot be read"),
    (b"anna\0\nboris\n", r"without control characters; found 'anna\x00'"),
    (b"a\n" * 1_000_001, "at most 1,000,000; found more"),
])  # fmt: skip
def test_speakers_that_cannot_be_used(folder, content, words):
    path = folder / "speakers.txt"
    path.unlink() if content is None else path.write_bytes(content)
    assert words in refused(folder)


def test_one_speaker_more_than_there_are_weights_for(folder):
    (folder / "speakers.txt").write_text("anna\nboris\nclara\n")
    assert "decoder.speaker.weight has shape (2, 4), expected (3, 4)" in refused(folder)


def test_an_unknown_speaker_is_told_the_nearest():
    names = [f"s{i}" for i in range(30)]
    assert speaker_index(names, "s7") == 7
    with pytest.raises(ModelError, match=r"speaker 's99' is not among the model's 30\. Did you mean .*s19, …"):
        speaker_index(names, "s99")


# ---------------------------------------------------------------------------------------------------- weights


def test_weights_that_are_missing_cut_short_or_no_weights_at_all(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text, and more of it than a header", None):
        path.unlink() if content is None else path.write_bytes(content)
        assert "model.safetensors cannot be read as weights" in refused(folder)


def test_weights_that_do_not_fit_the_configuration_are_named(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["extra"] = weights.pop("encoder.output.bias")
    save_file(weights, path)
    message = refused(folder)
    assert "lacks encoder.output.bias" in message and "has the unknown tensor extra" in message


def test_many_misfits_are_counted(folder):
    save_file({f"t{i}": torch.zeros(1) for i in range(10)}, folder / "model.safetensors")
    assert refused(folder).count("lacks") == 5 and "more)" in refused(folder)


# ------------------------------------------------------------------------------------------------------- hash


def test_the_hash_is_of_what_makes_the_units_and_of_nothing_else(folder):
    model = small_vqvae()
    name = unit_hash(model)
    assert len(name) == 16 and int(name, 16) >= 0
    assert unit_hash(load_vqvae(folder)[0]) == name
    model.decoder.stack.output.bias.data += 1
    assert unit_hash(model) == name
    model.quantizer.codebook.data[0, 0] += 1
    assert unit_hash(model) != name
    assert unit_hash(small_vqvae(seed=1)) != name
