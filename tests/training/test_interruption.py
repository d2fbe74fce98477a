"""Signals where a training is not between two steps: in evaluations, at the codebook, at the end."""

import os
import signal

import pytest
from safetensors.torch import load_file

from tests.training.conftest import train
from tests.training.test_training import assert_same, state_of
from vqaudio.models.folder import load_vqvae
from vqaudio.training import vqvae
from vqaudio.training.best import read_best
from vqaudio.training.checkpoint import load_checkpoint
from vqaudio.training.loop import Trainer
from vqaudio.training.signals import StopRequest


def interrupt(monkeypatch, owner, name, number=signal.SIGTERM, call=1, before=True):
    """Send a signal before (or after) a call of owner.name, which is not to be finished if it comes before."""
    original, calls = getattr(owner, name), []

    def interrupted(*args, **options):
        calls.append(name)
        if before and len(calls) == call:
            os.kill(os.getpid(), number)
        result = original(*args, **options)
        if not before and len(calls) == call:
            os.kill(os.getpid(), number)
        return result

    monkeypatch.setattr(owner, name, interrupted)
    return calls


@pytest.mark.parametrize(
    ("owner", "name", "call", "saved", "calls"),
    [
        (vqvae, "bits_per_sample", 2, 6, 2),  # of three kinds, in the evaluation after step 6
        (vqvae.VQVAETask, "_show_codebook", 1, 6, 1),
        (vqvae.VQVAETask, "_encoder_outputs", 3, 4, 3),  # of 64 batches
        (vqvae.VQVAETask, "_show_audio", 1, 12, 1),  # at the end
        (Trainer, "_evaluate", 2, 12, 2),  # before the one at the end has begun
    ],
)
def test_what_is_broken_off_is_done_again_and_changes_nothing(
    corpus, trained, tmp_path, monkeypatch, owner, name, call, saved, calls
):
    with monkeypatch.context() as patch:
        made = interrupt(patch, owner, name, signal.SIGUSR1, call)
        assert train(corpus, tmp_path) is False
    assert StopRequest.latest is signal.SIGUSR1 and len(made) == calls
    assert state_of(tmp_path)["step"] == saved and not (tmp_path / "model").exists()
    assert train(corpus, tmp_path) is True
    same = state_of(tmp_path), state_of(trained)
    for state in same:
        state["divergence"] = state["divergence"]["window"]
    assert_same(*same)
    assert_same(*(load_file(e / "model" / "model.safetensors") for e in (tmp_path, trained)))
    assert read_best(tmp_path / "checkpoints") == read_best(trained / "checkpoints")


def test_an_evaluation_that_was_broken_off_is_done_when_the_training_goes_on(corpus, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, vqvae, "bits_per_sample", call=1)
        train(corpus, tmp_path)
    assert "on the dev set" not in (tmp_path / "train.log").read_text()
    train(corpus, tmp_path)
    log = (tmp_path / "train.log").read_text()
    assert log.index("going on from step 6") < log.index("step 6  on the dev set") < log.index("step 8 ")


def test_evaluations_draw_no_random_numbers_of_the_training(corpus, trained, tmp_path):
    train(corpus, tmp_path, eval_interval=1)
    assert_same(state_of(tmp_path)["modules"], state_of(trained)["modules"])
    assert_same(state_of(tmp_path)["random"], state_of(trained)["random"])


def test_a_signal_while_the_model_is_published_finds_it_done(corpus, tmp_path, monkeypatch):
    interrupt(monkeypatch, Trainer, "_publish", before=False)
    assert train(corpus, tmp_path) is True
    load_vqvae(tmp_path / "model")
    assert (tmp_path / "train.json").exists()


@pytest.mark.parametrize("publish", ["best", "last", "best, as an afterthought"])
def test_the_model_is_of_the_best_weights_or_the_last(corpus, tmp_path, monkeypatch, publish):
    """The loss on the dev set is as told here: lowest after step 6."""
    values = iter([2.0, 3.0, 3.0, 4.0, 5.0, 5.0, 6.0, 6.0, 6.0])
    monkeypatch.setattr(vqvae, "bits_per_sample", lambda *args: next(values))
    publish, *later = publish.split(", ")
    assert train(corpus, tmp_path, publish="last" if later else publish)
    if later:
        (tmp_path / "train.json").unlink()
        assert train(corpus, tmp_path, publish=publish)
    best = load_checkpoint(tmp_path / "checkpoints" / "step-000000006.pt")
    last = load_checkpoint(tmp_path / "checkpoints" / "step-000000012.pt")
    model = load_file(tmp_path / "model" / "model.safetensors")
    for name, average in (best if publish == "best" else last)["average"].items():
        assert_same(model[name], average, name)
    codebook = {key: value for key, value in model.items() if key.startswith("quantizer.")}
    other = (best if publish == "best" else last)["modules"]
    assert codebook and all((other[f"model.{key}"] == value).all() for key, value in codebook.items())
    differ = [name for name, average in best["average"].items() if not average.equal(last["average"][name])]
    assert differ
