"""Whole trainings in small: exact resumption, signals, NaN, locks, changed configurations."""

import dataclasses
import json
import logging
import os
import re
import signal
import socket
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from tests.training.conftest import prior_config, train, vqvae_config
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import ConfigError, DataDirError, TrainingError, UnitsError
from vqaudio.models.folder import load_prior, load_vqvae
from vqaudio.training import loop
from vqaudio.training.checkpoint import checkpoint_paths, load_newest
from vqaudio.training.prior import train_prior
from vqaudio.training.schedule import NOTICE
from vqaudio.training.vqvae import VQVAETask, train_vqvae
from vqaudio.units.spec import UnitSpec


def state_of(expdir):
    state = load_newest(expdir / "checkpoints")[1]
    state["progress"] = {
        k: v for k, v in state["progress"].items() if k not in ("elapsed", "spectral_seconds", "throughput")
    }
    return state


def assert_same(a, b, where=""):
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, list):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


class StopAt:
    """Sends this process a signal when a step begins."""

    def __init__(self, monkeypatch, step, number=signal.SIGTERM):
        original = loop.Trainer._step

        def stepping(trainer, batch):
            if trainer.progress.step == step:
                os.kill(os.getpid(), number)
            return original(trainer, batch)

        monkeypatch.setattr(loop.Trainer, "_step", stepping)


def test_an_experiment_folder_holds_what_it_should(trained):
    names = {p.name for p in trained.iterdir()}
    assert {"config.yaml", "train.log", "train.json", "tensorboard", "checkpoints", "model"} <= names
    summary = json.loads((trained / "train.json").read_text())
    assert summary["steps"] == 12 and summary["train_samples_per_second"] > 0
    model, speakers = load_vqvae(trained / "model")
    assert speakers == ["s0", "s1"] and model.quantizer.initialised
    log = (trained / "train.log").read_text()
    assert "step 4 " in log and "bits_per_sample" in log and "left" in log


@pytest.mark.parametrize(("stop_at", "saved"), [(2, 3), (4, 4), (7, 8), (11, 12)])
def test_resuming_a_vqvae_is_exact(corpus, trained, tmp_path, monkeypatch, stop_at, saved):
    """Before, at and after the codebook's start, which a signal breaks off; and one step before the end."""
    with monkeypatch.context() as patch:
        StopAt(patch, stop_at)
        assert train(corpus, tmp_path / "cut") is False
    assert state_of(tmp_path / "cut")["step"] == saved
    assert train(corpus, tmp_path / "cut") is True
    assert_same(state_of(tmp_path / "cut"), state_of(trained))
    assert_same(*(load_file(e / "model" / "model.safetensors") for e in (tmp_path / "cut", trained)))


@pytest.mark.parametrize(("stop_at", "saved"), [(3, 4), (5, 6), (8, 9)])
def test_resuming_is_exact_before_at_and_after_the_end_of_the_spectral_steps(
    corpus, tmp_path, monkeypatch, stop_at, saved
):
    """With a codebook that begins among them, batches of another size, and other voices for the encoder."""
    options = {"spectral_steps": 6, "spectral_batch_size": 3, "voice_shift": 0.2, "cepstral_loss": 1.0}
    assert train(corpus, tmp_path / "whole", **options) is True
    with monkeypatch.context() as patch:
        StopAt(patch, stop_at)
        assert train(corpus, tmp_path / "cut", **options) is False
    assert state_of(tmp_path / "cut")["step"] == saved
    assert train(corpus, tmp_path / "cut", **options) is True
    assert_same(state_of(tmp_path / "cut"), state_of(tmp_path / "whole"))


def test_spectral_steps_learn_units_and_leave_the_samples_alone(corpus, tmp_path, monkeypatch):
    config = vqvae_config(spectral_steps=11)
    with monkeypatch.context() as patch:
        StopAt(patch, 10)
        assert train(corpus, tmp_path, spectral_steps=11) is False
    state = load_newest(tmp_path / "checkpoints")[1]["modules"]
    torch.manual_seed(config.seed)
    first = VQVAETask(config, *(DataDir.load(corpus / part) for part in ("train", "dev"))).modules.state_dict()
    moved = {name for name, tensor in state.items() if not torch.equal(tensor, first[name])}
    assert not any(name.startswith(("model.decoder.stack", "model.decoder.project")) for name in moved)
    for part in ("model.encoder", "model.decoder.context", "model.decoder.divide", "model.quantizer.codebook", "mel"):
        assert any(name.startswith(part) for name in moved), part


def test_units_that_learn_from_cepstra_learn_nothing_from_what_conditions_the_decoder(corpus, tmp_path):
    """The gradient that reaches the encoder is that of cepstra and commitment alone; the condition has its own."""
    config = vqvae_config(spectral_steps=6, cepstral_loss=2.0)
    task = VQVAETask(config, *(DataDir.load(corpus / part) for part in ("train", "dev")))
    encoder, condition = task.model.encoder.output.weight, task.model.decoder.context.bias

    def gradients() -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(0)  # of dropout and jitter
        task.modules.zero_grad(set_to_none=True)
        batch = next(task.batches(5))
        task.loss(task.begin_step(batch, 5)[0], 5)[0].backward()
        return encoder.grad, condition.grad

    taught, told = gradients()
    with torch.no_grad():
        task.modules["mel"].predict.weight.mul_(3)
    as_before, otherwise = gradients()
    assert torch.equal(taught, as_before) and taught.any()
    assert not torch.equal(told, otherwise)


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_frozen_units_stay_as_the_spectral_steps_left_them(corpus, tmp_path, monkeypatch, update):
    """To the bit, though the optimizer has momentum and decays weights; the decoder goes on learning."""
    config = vqvae_config(spectral_steps=6, freeze_units=True, weight_decay=0.1, weight_average=0.0)
    quantizer = dataclasses.replace(config.model.quantizer, update=update)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, quantizer=quantizer))

    def run() -> dict:
        train_vqvae(config, corpus / "train", corpus / "dev", tmp_path)
        return load_newest(tmp_path / "checkpoints")[1]["modules"]

    with monkeypatch.context() as patch:
        StopAt(patch, 5)
        before = run()
    after = run()
    units = ("model.encoder", "model.quantizer.codebook")
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith(units))
    for part in ("model.decoder.stack", "model.decoder.context", "mel"):
        assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith(part)), part


def test_a_decoder_of_frozen_units_hears_them_of_the_voice_that_it_is_to_give(corpus):
    """Shifted voices are for units that learn: in the spectral steps, and no longer."""
    config = vqvae_config(spectral_steps=6, freeze_units=True, voice_shift=0.4)
    task = VQVAETask(config, *(DataDir.load(corpus / part) for part in ("train", "dev")))
    heard = []
    hook = task.model.encoder.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    for step in (5, 6):
        batch = next(task.batches(step))
        task.loss(task.begin_step(batch, step)[0], step)
        natural = task.model.emphasise(batch.waveform)
        assert torch.equal(heard[-1], natural[: len(heard[-1])]) == (step == 6)
    hook.remove()


def test_units_cannot_be_frozen_before_there_are_any(corpus, tmp_path):
    with pytest.raises(ConfigError, match=r"start_step: got 4, expected less than training.spectral_steps \(3\)"):
        train(corpus, tmp_path, spectral_steps=3, freeze_units=True)
    with pytest.raises(ConfigError, match=r"less than training.spectral_steps \(0\), after which units are frozen"):
        train(corpus, tmp_path, freeze_units=True)


def test_resuming_a_prior_is_exact(trained, units, tmp_path, monkeypatch):
    folders, utt2spk = units

    def run(expdir):
        return train_prior(prior_config(), trained / "model", folders / "train", folders / "dev", utt2spk, expdir)

    assert run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        StopAt(patch, 8, signal.SIGINT)
        assert run(tmp_path / "cut") is False
    assert run(tmp_path / "cut")
    assert_same(state_of(tmp_path / "cut"), state_of(tmp_path / "whole"))
    prior, speakers, about = load_prior(tmp_path / "cut" / "model")
    assert prior.config.codebook_size == 16 and speakers == ["s0", "s1"]
    assert about["units"]["model_hash"] == UnitSpec.of_model(load_vqvae(trained / "model")[0]).model_hash


def test_a_finished_run_is_not_run_again(corpus, trained, caplog):
    before = (trained / "model" / "model.safetensors").stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        assert train(corpus, trained)
    assert "done already: 12 steps" in caplog.text
    assert (trained / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_nan_names_step_utterances_and_checkpoint(corpus, tmp_path, monkeypatch):
    original = VQVAETask.loss

    def loss(task, batch, step):
        value, scalars = original(task, batch, step)
        return (value * float("nan") if step == 7 else value), scalars

    monkeypatch.setattr(VQVAETask, "loss", loss)
    with pytest.raises(TrainingError, match=r"step 7: the loss is nan.*s\d-\w.*step-000000006\.pt"):
        train(corpus, tmp_path)
    state = load_newest(tmp_path / "checkpoints")[1]
    assert state["step"] == 6
    assert all(torch.isfinite(t).all() for t in state["modules"].values())


def test_a_second_run_in_the_folder_is_refused(corpus, tmp_path, monkeypatch):
    original, refused = loop.Trainer._step, []

    def stepping(trainer, batch):
        if trainer.progress.step == 2:
            before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
            who = rf"process {os.getpid()} on {re.escape(socket.gethostname())}, since 20"
            for changes in ({}, {"learning_rate": 0.1}, {"keep_checkpoints": 9}):
                with pytest.raises(TrainingError, match=rf"another training is running in .*{who}"):
                    train(corpus, tmp_path, **changes)
            assert before == {path: path.read_bytes() for path in before}
            refused.append({path.name for path in before})
        return original(trainer, batch)

    monkeypatch.setattr(loop.Trainer, "_step", stepping)
    assert train(corpus, tmp_path) and refused[0] >= {".lock", "config.yaml", "train.log"}


def test_another_configuration_in_the_folder_is_refused(corpus, trained):
    with pytest.raises(TrainingError, match=r"training\.learning_rate was 0\.001, now 0\.01"):
        train(corpus, trained, learning_rate=0.01)


def test_resume_never_refuses_a_folder_with_a_run(corpus, trained):
    with pytest.raises(TrainingError, match="holds a run already"):
        train_vqvae(vqvae_config(), corpus / "train", corpus / "dev", trained, resume="never")


def test_a_broken_tensorboard_does_not_end_the_training(corpus, tmp_path, caplog):
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    assert train(corpus, tmp_path)
    assert "training goes on" in caplog.text


def test_checkpoints_are_few(trained):
    assert [p.name[5:14] for p in checkpoint_paths(trained / "checkpoints")] == ["000000012", "000000010", "000000006"]


def test_a_missing_data_directory_is_named(corpus, tmp_path):
    with pytest.raises(DataDirError, match="absent"):
        train_vqvae(vqvae_config(), corpus / "absent", corpus / "dev", tmp_path)


def test_a_budget_in_minutes_ends_by_itself(corpus, tmp_path):
    config = vqvae_config(max_steps=None, max_minutes=0.02)
    # The codebook begins at once: a busy machine may manage a single step.
    quantizer = dataclasses.replace(config.model.quantizer, start_step=0)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, quantizer=quantizer))
    assert train_vqvae(config, corpus / "train", corpus / "dev", tmp_path)
    progress = load_newest(tmp_path / "checkpoints")[1]["progress"]
    assert progress["step"] == progress["total_steps"] > 0


def test_a_slow_machine_makes_fewer_spectral_steps(corpus, tmp_path, monkeypatch, caplog):
    """By a clock on which a step takes a second, of two minutes; stopped and gone on with, it is the same training."""
    sizes: list[int] = []
    begin = VQVAETask.begin_step
    monkeypatch.setattr(
        VQVAETask,
        "begin_step",
        lambda task, batch, step: sizes.append(len(batch.utterances)) or begin(task, batch, step),
    )
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: float(len(sizes))))
    options = {
        "max_steps": None, "max_minutes": 2, "spectral_steps": 10**6, "spectral_share": 0.25, "spectral_batch_size": 3,
        "freeze_units": True, "eval_interval": 200, "checkpoint_interval": 200,
    }  # fmt: skip
    with caplog.at_level("INFO"):
        assert train(corpus, tmp_path / "whole", **options) is True
    assert sizes == [3] * (30 + NOTICE) + [2] * (90 - NOTICE)
    assert f"{30 + NOTICE} spectral steps, of 1000000: more would take over 25% of the time here" in caplog.text
    with monkeypatch.context() as patch:
        StopAt(patch, 34)  # between the decision and the end of the spectral steps
        assert train(corpus, tmp_path / "cut", **options) is False
    del sizes[:]
    assert train(corpus, tmp_path / "cut", **options) is True
    assert sizes == [3] * (NOTICE - 5) + [2] * (90 - NOTICE)
    cut, whole = (state_of(tmp_path / name) for name in ("cut", "whole"))
    for part in ("progress", "modules", "optimizer"):
        assert_same(cut[part], whole[part], part)


def test_a_prior_refuses_units_of_another_model(corpus, trained, units, tmp_path):
    folders, utt2spk = units
    other = tmp_path / "other"
    config = dataclasses.replace(vqvae_config(), seed=1)
    assert train_vqvae(config, corpus / "train", corpus / "dev", other)
    with pytest.raises(UnitsError, match="model"):
        train_prior(prior_config(), other / "model", folders / "train", folders / "dev", utt2spk, tmp_path / "prior")


def test_a_prior_refuses_steps_without_its_units(trained, units, tmp_path):
    folders, utt2spk = units
    config = prior_config(spectral_steps=5, mel_loss=0.1)
    with pytest.raises(ConfigError, match=r"training\.spectral_steps: got 5, expected 0: a prior learns no spectra"):
        train_prior(config, trained / "model", folders / "train", folders / "dev", utt2spk, tmp_path / "prior")


def test_a_prior_needs_every_utterances_speaker(trained, units, tmp_path):
    folders, _ = units
    with pytest.raises(TrainingError, match=r"have no speaker in utt2spk, such as 's0-train0'"):
        train_prior(prior_config(), trained / "model", folders / "train", folders / "dev", {}, tmp_path)


def test_a_training_too_short_for_a_codebook_is_refused(corpus, tmp_path):
    with pytest.raises(ConfigError, match=r"start_step: got 4, expected less than training\.max_steps \(3\)"):
        train(corpus, tmp_path / "steps", max_steps=3)
    config = dataclasses.replace(vqvae_config(max_steps=None, max_minutes=0.005))
    quantizer = dataclasses.replace(config.model.quantizer, start_step=10**6)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, quantizer=quantizer))
    with pytest.raises(TrainingError, match="before step 1000000, at which the codebook begins"):
        train_vqvae(config, corpus / "train", corpus / "dev", tmp_path / "minutes")
