"""A batch in parts has the gradient of the batch in one piece."""

import dataclasses

import pytest
import torch

from tests.training.conftest import vqvae_config
from vqaudio.corpus.datadir import DataDir
from vqaudio.training.checkpoint import load_newest
from vqaudio.training.gradient import BatchGradient
from vqaudio.training.vqvae import VQVAETask, train_vqvae

CPU = torch.device("cpu")


def config(**training):
    plain = vqvae_config(**training)
    stack = dataclasses.replace(plain.model.decoder.stack, dropout=0.0)
    decoder = dataclasses.replace(plain.model.decoder, time_jitter=0.0, stack=stack)
    return dataclasses.replace(plain, model=dataclasses.replace(plain.model, decoder=decoder))


def make_task(corpus, settings) -> VQVAETask:
    torch.manual_seed(0)
    return VQVAETask(settings, DataDir.load(corpus / "train"), DataDir.load(corpus / "dev"))


@pytest.fixture
def four_threads():
    """As on a machine of four cores; torch counts what it is told, not what there is."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("batch_size, parts", [(4, 4), (2, 2), (6, 3), (5, 1), (1, 1)])
def test_parts_divide_the_batch_and_suit_the_cores(corpus, four_threads, batch_size, parts):
    task = make_task(corpus, config(batch_size=batch_size))
    gradient = BatchGradient(task, list(task.modules.parameters()), CPU, batch_size)
    assert gradient.parts == parts
    assert torch.get_num_threads() == 4
    gradient.close()


def test_random_losses_stay_in_one_piece(corpus, four_threads):
    task = make_task(corpus, vqvae_config(batch_size=4))  # with jitter and dropout
    assert BatchGradient(task, list(task.modules.parameters()), CPU, 4).parts == 1


def test_gradients_are_those_of_the_whole(corpus, four_threads):
    task = make_task(corpus, config(batch_size=4))
    parameters = list(task.modules.parameters())
    batch = dataclasses.replace(task.crops.batch(0), lengths=torch.full((4,), task.crop_length))
    whole = task.loss(batch, step=0)
    expected = torch.autograd.grad(whole.value, parameters, allow_unused=True)
    gradient = BatchGradient(task, parameters, CPU, 4)
    found = gradient.compute(batch, 0, torch.float32)
    gradient.close()
    torch.testing.assert_close(found.value, whole.value.detach())
    torch.testing.assert_close(found.scalars["loss/mel"], whole.scalars["loss/mel"])
    # float32: the order of sums of some thousand terms differs.
    for parameter, own in zip(parameters, expected):
        assert (parameter.grad is None) == (own is None)
        if own is not None:
            torch.testing.assert_close(parameter.grad, own, rtol=1e-4, atol=1e-6)
    assert torch.equal(torch.cat([units for _, units in found.kept]), whole.kept[1])


def test_an_error_in_a_part_is_raised(corpus, four_threads):
    task = make_task(corpus, config(batch_size=4))
    gradient = BatchGradient(task, list(task.modules.parameters()), CPU, 4)
    batch = dataclasses.replace(task.crops.batch(0), speakers=torch.tensor([0, 1, 99, 0]))
    with pytest.raises(IndexError):
        gradient.compute(batch, 0, torch.float32)
    gradient.close()


def test_trainings_in_parts_repeat_bitwise(corpus, four_threads, tmp_path):
    states = []
    for name in ("one", "two"):
        train_vqvae(config(batch_size=4), corpus / "train", corpus / "dev", tmp_path / name)
        states.append(load_newest(tmp_path / name / "checkpoints")[1]["modules"])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
