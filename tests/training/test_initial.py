"""Trainings that begin with a trained model: whose weights, which speakers, and units that stay as they were."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.training.conftest import merged, train, vqvae_config
from vqaudio.config import VQVAETrainingConfig
from vqaudio.config_files import from_dict, load_config, to_dict
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import ConfigError, ModelError, TrainingError
from vqaudio.evaluation.likelihood import bits_per_sample
from vqaudio.models.folder import load_vqvae, save_model, unit_hash
from vqaudio.models.vqvae import VQVAE
from vqaudio.training.initial import begin_with
from vqaudio.training.vqvae import VQVAETask, train_vqvae

CONF = Path(__file__).parents[2] / "recipes/common/conf"


def beginning(folder, changes: dict | None = None, **training) -> VQVAETrainingConfig:
    config = to_dict(dataclasses.replace(vqvae_config(**training), init=str(folder)))
    return from_dict(VQVAETrainingConfig, merged(config, changes or {}))


def task_of(config: VQVAETrainingConfig, corpus: Path) -> VQVAETask:
    return VQVAETask(config, DataDir.load(corpus / "train"), DataDir.load(corpus / "dev"))


def test_all_weights_are_those_of_the_model(corpus, trained):
    config = beginning(trained / "model", {"model": {"quantizer": {"start_step": 99}, "decoder": {"time_jitter": 0.0}}})
    task, (model, _) = task_of(config, corpus), load_vqvae(trained / "model")
    task.model.eval()
    assert unit_hash(task.model) == unit_hash(model)
    assert bits_per_sample(task.model, task.heldout) == bits_per_sample(model, task.heldout)
    batch = next(task.batches(0))
    _, scalars = task.loss(task.begin_step(batch, 0)[0], 0)
    assert scalars["loss/vq"] > 0  # quantized from the first step on


def test_codes_of_a_published_model_stay_where_they_are(corpus, trained, tmp_path):
    """It keeps the codes, and rounds the sums that they are the means of: the first update goes by those."""
    model, speakers = load_vqvae(trained / "model")
    save_model(tmp_path / "published", model, speakers, {}, halve=True)
    quantizer = task_of(beginning(tmp_path / "published"), corpus).model.quantizer
    torch.testing.assert_close(quantizer.sums / quantizer.counts[:, None], quantizer.codebook)
    assert torch.equal(quantizer.codebook, model.quantizer.codebook)
    assert not quantizer.idle.any()


def test_speakers_go_by_their_names_and_new_ones_begin_as_the_mean(corpus, trained):
    names = {"s0": "alice", "s1": "s1"}  # alice comes first, where s0 was

    def renamed(part: str) -> DataDir:
        utterances = DataDir.load(corpus / part).utterances
        return DataDir([dataclasses.replace(u, speaker=names[u.speaker]) for u in utterances])

    task = VQVAETask(beginning(trained / "model"), renamed("train"), renamed("dev"))
    old = load_vqvae(trained / "model")[0].decoder.speaker.weight
    assert task.speakers == ["alice", "s1"]
    assert torch.equal(task.model.decoder.speaker.weight, torch.stack([old.mean(dim=0), old[1]]))


def test_units_of_new_voices_are_those_of_the_model(corpus, trained, tmp_path):
    config = beginning(trained / "model", freeze_units=True, weight_decay=0.1)
    assert train_vqvae(config, corpus / "train", corpus / "dev", tmp_path)
    (before, _), (after, _) = load_vqvae(trained / "model"), load_vqvae(tmp_path / "model")
    assert unit_hash(after) == unit_hash(before)
    assert not torch.equal(after.decoder.stack.taps, before.decoder.stack.taps)


def test_a_model_that_is_built_otherwise_is_refused_with_what_differs(corpus, trained):
    config = beginning(trained / "model", {"model": {"encoder": {"channels": 12}, "quantizer": {"codebook_size": 8}}})
    expected = (
        r"init: .*model is built otherwise. model.encoder.channels: got 12, expected 8; "
        r"model.quantizer.codebook_size: got 8, expected 16$"
    )
    with pytest.raises(ConfigError, match=expected):
        task_of(config, corpus)


def test_a_model_that_is_not_there_is_named(corpus, tmp_path):
    with pytest.raises(ModelError, match="asterisk-51hz"):
        task_of(beginning("asterisk-51hz"), corpus)


def test_a_training_that_began_with_a_model_does_not_go_on_as_another(corpus, trained, tmp_path):
    assert train_vqvae(beginning(trained / "model"), corpus / "train", corpus / "dev", tmp_path)
    with pytest.raises(TrainingError, match=r"another configuration: init was '.*model', now None"):
        train(corpus, tmp_path)


def test_the_configuration_for_new_voices_fits_the_published_model():
    config = load_config(CONF / "new_voices.yaml", VQVAETrainingConfig)
    begin_with(VQVAE(config.model, speakers=1), ["somebody"], config.init)
