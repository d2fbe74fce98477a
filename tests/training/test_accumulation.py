"""Micro-batches: a step of N of them is a step of one batch N times as large, on one rank and on several."""

import dataclasses
import logging
import signal
from collections import Counter

import numpy as np
import pytest
import torch

from tests.training import two_ranks
from tests.training.conftest import prior_config, vqvae_config
from tests.training.test_distributed import close, config
from tests.training.test_training import assert_same, state_of
from vqaudio.config import PriorTrainingConfig, QuantizerConfig, VQVAETrainingConfig
from vqaudio.corpus.crops import CropDataset
from vqaudio.corpus.datadir import DataDir
from vqaudio.training.loop import Trainer
from vqaudio.training.micro_batches import micro_batches
from vqaudio.training.prior import train_prior
from vqaudio.training.unit_rows import RowBatch, UnitRows
from vqaudio.training.vqvae import VQVAETask, train_vqvae

SPLITS = [(1, 4), (2, 2), (4, 1)]
"""Ranks and micro-batches that make one batch of four; (2, 2) has both. Four ranks are for the data alone."""


def plain_vqvae(update: str, **training) -> VQVAETrainingConfig:
    """Nothing is drawn at random in a step; codes are a sample of encoder outputs (k-means would turn a rounding into
    another centroid), and are revived."""
    quantizer = QuantizerConfig(16, 4, update, start_step=3, init="sample", revive_window=2)
    return config(dataclasses.asdict(quantizer), plain=True, weight_decay=0.01, max_steps=10, **training)


def plain_prior(**training) -> PriorTrainingConfig:
    base = prior_config(**training)
    stack = dataclasses.replace(base.model.stack, dropout=0.0)
    return dataclasses.replace(base, model=dataclasses.replace(base.model, stack=stack))


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_micro_batches_are_one_batch(corpus, tmp_path, update):
    """One utterance is shorter than a crop: its samples, not its micro-batch's share of a mean, are what counts.

    `close` compares weights, codebook statistics, momenta and averages; the codebook begins and is revived on the way.
    """
    folders = corpus / "train", corpus / "dev"
    train_vqvae(plain_vqvae(update, batch_size=4), *folders, tmp_path / "whole")
    train_vqvae(plain_vqvae(update, batch_size=1, accumulate_steps=4), *folders, tmp_path / "parts")
    both = plain_vqvae(update, batch_size=1, accumulate_steps=2)
    assert two_ranks.run(two_ranks.train, both, corpus, tmp_path / "ranks") == [True, True]
    whole = state_of(tmp_path / "whole")
    close(state_of(tmp_path / "parts"), whole)
    close(state_of(tmp_path / "ranks"), whole)


def test_micro_batches_of_units_are_one_batch(trained, units, tmp_path):
    folders, utt2spk = units
    given = trained / "model", folders / "train", folders / "dev", utt2spk
    train_prior(plain_prior(batch_size=4), *given, tmp_path / "whole")
    train_prior(plain_prior(batch_size=1, accumulate_steps=4), *given, tmp_path / "parts")
    both = plain_prior(batch_size=1, accumulate_steps=2)
    job = two_ranks.train_on_units, both, trained / "model", folders, utt2spk, tmp_path / "ranks"
    assert two_ranks.run(*job) == [True, True]
    whole = state_of(tmp_path / "whole")
    close(state_of(tmp_path / "parts"), whole)
    close(state_of(tmp_path / "ranks"), whole)


def test_the_scalars_of_a_step_are_those_of_the_large_batch(corpus, tmp_path):
    one, other = (_first_steps(corpus, plain_vqvae("ema", **sizes), 5)
                  for sizes in ({"batch_size": 4}, {"batch_size": 1, "accumulate_steps": 4}))  # fmt: skip
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys() and "loss/bits_per_sample" in a
        # Of float32 sums in another order: 2e-7 was seen.
        assert {name: float(value) for name, value in a.items()} == pytest.approx(
            {name: float(value) for name, value in b.items()}, rel=1e-5
        )


def _first_steps(corpus, changed, count: int) -> list[dict]:
    from vqaudio.training.experiment import Experiment

    torch.manual_seed(0)
    task = VQVAETask(changed, DataDir.load(corpus / "train"), DataDir.load(corpus / "dev"))
    trainer = Trainer(task, changed.training, Experiment(corpus / "unused"), 0, torch.device("cpu"))
    trainer.precision, scalars = torch.float32, []
    for step in range(count):
        scalars.append(trainer._step(task.crops.batch(step)))
        trainer.progress.step += 1
    return scalars


def test_ranks_with_micro_batches_are_equal_and_resuming_is_exact(corpus, tmp_path):
    """Each draws numbers of its own in every micro-batch; cut between two checkpoints."""
    job = two_ranks.train, vqvae_config(batch_size=1, accumulate_steps=3), corpus
    one, other = two_ranks.run(two_ranks.digests_of_steps, *job, tmp_path / "whole")
    assert [a | {"random": ""} for a in one] == [b | {"random": ""} for b in other]
    two_ranks.run(two_ranks.stop_one, 7, signal.SIGTERM, *job, tmp_path / "cut")
    assert two_ranks.run(*job, tmp_path / "cut") == [True, True]
    assert_same(state_of(tmp_path / "cut"), state_of(tmp_path / "whole"))


def test_fewer_ranks_may_take_as_many_crops(corpus, tmp_path, caplog):
    """Cut on two ranks, gone on alone with twice the micro-batches: up to rounding, as if there had been no change."""
    two, one = (plain_vqvae("ema", batch_size=1, accumulate_steps=parts) for parts in (2, 4))
    job = two_ranks.train, two, corpus
    assert two_ranks.run(*job, tmp_path / "whole") == [True, True]
    two_ranks.run(two_ranks.stop_one, 5, signal.SIGTERM, *job, tmp_path / "cut")
    with caplog.at_level(logging.INFO):
        assert train_vqvae(one, corpus / "train", corpus / "dev", tmp_path / "cut")
    assert (
        "ranks: 2 until here, 1 from here on, accumulate_steps: 2 until here, 4 from here on. "
        "A step takes 4 crops, as until here" in caplog.text
    )
    changed, whole = state_of(tmp_path / "cut"), state_of(tmp_path / "whole")
    assert changed["progress"].pop("accumulate_steps") == 4 and whole["progress"].pop("accumulate_steps") == 2
    close(changed, whole)


def test_a_prior_goes_on_with_another_number_of_ranks_and_says_what_is_not_exact(trained, units, tmp_path, caplog):
    folders, utt2spk = units
    changed = prior_config(batch_size=1, accumulate_steps=3)
    job = two_ranks.train_on_units, changed, trained / "model", folders, utt2spk, tmp_path
    two_ranks.run(two_ranks.stop_one, 5, signal.SIGINT, *job)
    given = trained / "model", folders / "train", folders / "dev", utt2spk, tmp_path
    with caplog.at_level(logging.INFO):
        assert train_prior(changed, *given)
    assert (
        "ranks: 2 until here, 1 from here on. A step takes 3 crops instead of 6; the place in the data is that of "
        "step 6 with so many" in caplog.text
    )
    assert state_of(tmp_path)["step"] == 12


def test_the_log_says_how_many_crops_a_step_takes(corpus, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        train_vqvae(plain_vqvae("ema", batch_size=2, accumulate_steps=3), corpus / "train", corpus / "dev", tmp_path)
    assert "batch_size 2 × accumulate_steps 3 = 6 crops per step" in caplog.text


# ----------------------------------------------------------------------------------------- without overlap or loss


@pytest.mark.parametrize(("ranks", "parts"), [*SPLITS, (3, 2), (2, 5)])
def test_every_crop_slot_is_met_once_an_epoch(corpus, ranks, parts):
    """In the order in which one process alone would meet them."""
    found, alone = _crops(corpus, ranks, parts), _crops(corpus, 1, 1)
    assert found[: len(alone)] == alone
    slots = _dataset(corpus, 0, 1, 1).slots
    for epoch in range(2):
        met = Counter(name for name, _ in found[epoch * slots : (epoch + 1) * slots])
        assert met == {"s0-a": 19, "s1-b": 16, "s0-c": 1, "s1-d": 12}  # samples by crops of 256, rounded, at least one


def _dataset(corpus, rank: int, ranks: int, crops: int) -> CropDataset:
    data = DataDir.load(corpus / "train")
    return CropDataset(data.utterances, data.speakers, 8000, 256, (0, 0), crops, 7, rank, ranks, progress=False)


def _crops(corpus, ranks: int, parts: int) -> list[tuple[str, bytes]]:
    """Return the crops of two epochs and more, in the order of steps, ranks and micro-batches."""
    datasets = [_dataset(corpus, rank, ranks, parts) for rank in range(ranks)]
    steps = 2 * datasets[0].steps_per_epoch + 1
    parts_met = [part for step in range(steps) for d in datasets for part in micro_batches(d.batch(step), 1)]
    return [(part.utterances[0], part.waveform.numpy().tobytes()) for part in parts_met]


@pytest.mark.parametrize(("ranks", "parts"), [*SPLITS, (3, 2)])
def test_every_row_of_units_is_met_once_an_epoch(ranks, parts):
    random = np.random.default_rng(0)
    given = [random.integers(0, 16, n) for n in (40, 7, 23, 1)], [0, 1, 0, 1], 16, 8

    def rows(ranks: int, parts: int) -> list[tuple]:
        data = [UnitRows(*given, parts, 5, rank, ranks) for rank in range(ranks)]
        steps = -(-2 * data[0].rows_per_epoch // (ranks * parts))
        batches = [part for s in range(steps) for d in data for part in micro_batches(d.batch(s), 1)]
        assert all(len(part.symbols) == len(part.speakers) == 1 for part in batches)
        return [(*part.symbols[0].tolist(), part.speakers.item()) for part in batches]

    alone, found = rows(1, 1), rows(ranks, parts)
    assert found[: len(alone)] == alone
    epoch = UnitRows(*given, 1, 5)
    expected = [(*row, speaker) for row, speaker in zip(*(part.tolist() for part in epoch._draw_epoch(0)))]
    assert found[: epoch.rows_per_epoch] == expected


def test_a_batch_is_cut_in_order():
    batch = RowBatch(torch.arange(12).view(6, 2), torch.arange(6))
    parts = micro_batches(batch, 2)
    assert [part.speakers.tolist() for part in parts] == [[0, 1], [2, 3], [4, 5]]
    assert torch.equal(torch.cat([part.symbols for part in parts]), batch.symbols)
