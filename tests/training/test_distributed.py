"""Two ranks: equal at every step, together what one process would be, ended and resumed as one."""

import dataclasses
import json
import logging
import signal

import pytest
import torch

from tests.training import two_ranks
from tests.training.conftest import prior_config, vqvae_config
from tests.training.test_training import assert_same, state_of
from vqaudio.config import QuantizerConfig, VQVAETrainingConfig
from vqaudio.errors import DataDirError, TrainingError
from vqaudio.training.checkpoint import load_newest
from vqaudio.training.distributed import ALONE, seed_of_rank
from vqaudio.training.prior import train_prior
from vqaudio.training.vqvae import train_vqvae


def config(quantizer: dict | None = None, plain: bool = False, **training) -> VQVAETrainingConfig:
    """Return the small configuration with changes; `plain`: nothing is drawn at random in a step."""
    base = vqvae_config(**training)
    model = dataclasses.replace(base.model, quantizer=dataclasses.replace(base.model.quantizer, **quantizer or {}))
    if plain:
        stack = dataclasses.replace(model.decoder.stack, dropout=0.0)
        model = dataclasses.replace(model, decoder=dataclasses.replace(model.decoder, stack=stack, time_jitter=0.0))
    return dataclasses.replace(base, model=model)


def errors_of(results: list) -> list[type]:
    return [type(result) for result in results]


@pytest.mark.parametrize(("update", "precision"), [("ema", "float32"), ("gradient", "auto")])
def test_ranks_are_equal_after_every_step(corpus, tmp_path, update, precision):
    """Before the codebook, when k-means sets it, and when codes are revived; while each draws its own numbers."""
    trained = config({"update": update, "revive_window": 2}, precision=precision)
    one, other = two_ranks.run(two_ranks.digests_of_steps, two_ranks.train, trained, corpus, tmp_path / "exp")
    assert len(one) == len(other) == 12
    for step, (a, b) in enumerate(zip(one, other)):
        assert a["random"] != b["random"], step
        assert a | {"random": ""} == b | {"random": ""}, step
    assert len({kept["weights"] for kept in one}) == 12


@pytest.mark.parametrize(
    "spectral", [{}, {"spectral_steps": 5, "freeze_units": True, "cepstral_loss": 1.0}], ids=["", "spectral"]
)
@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_two_ranks_are_one_process_with_both_batches(corpus, tmp_path, update, spectral):
    """One utterance is shorter than a crop: its samples, not its rank's share of a mean, are what counts.

    Codes are a sample of encoder outputs: k-means would turn a rounding into another centroid. They are revived.
    """
    quantizer = QuantizerConfig(16, 4, update, start_step=3, init="sample", revive_window=2)
    changes = {
        "quantizer": dataclasses.asdict(quantizer),
        "plain": True,
        "weight_decay": 0.01,
        "max_steps": 10,
    } | spectral
    halves = config(**changes, batch_size=2, spectral_batch_size=3)
    both = two_ranks.run(two_ranks.train, halves, corpus, tmp_path / "two")
    assert both == [True, True]
    train_vqvae(
        config(**changes, batch_size=4, spectral_batch_size=6), corpus / "train", corpus / "dev", tmp_path / "one"
    )
    close(state_of(tmp_path / "two"), state_of(tmp_path / "one"))


def test_two_ranks_are_one_process_with_both_batches_of_units(trained, units, tmp_path):
    folders, utt2spk = units
    changed = prior_config(batch_size=2), prior_config(batch_size=4)
    stack = dataclasses.replace(changed[0].model.stack, dropout=0.0)
    half, whole = (dataclasses.replace(c, model=dataclasses.replace(c.model, stack=stack)) for c in changed)
    two_ranks.run(two_ranks.train_on_units, half, trained / "model", folders, utt2spk, tmp_path / "two")
    train_prior(whole, trained / "model", folders / "train", folders / "dev", utt2spk, tmp_path / "one")
    close(state_of(tmp_path / "two"), state_of(tmp_path / "one"))


def close(a, b, where=""):
    """Compare weights, codebook statistics, momenta and averages of two checkpoints; random states may differ.

    So may the number of micro-batches, and the losses in which rank 0 looks for a divergence: they are its own crops'.
    """
    if isinstance(a, dict):
        for key in a.keys() - {"random", "random_of_others", "accumulate_steps", "divergence"}:
            close(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, torch.Tensor) and a.is_floating_point():
        # Ten steps of float32 sums in another order, of values near 1: 6e-8 was seen.
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, msg=lambda text: f"{where}: {text}")
    else:
        assert_same(a, b, where)


def test_a_signal_to_one_rank_stops_both_and_resuming_is_exact(corpus, tmp_path):
    job = two_ranks.train, vqvae_config(), corpus
    assert two_ranks.run(*job, tmp_path / "whole") == [True, True]
    for step, number in ((3, signal.SIGINT), (8, signal.SIGTERM)):
        stopped = two_ranks.run(two_ranks.stop_one, step, number, *job, tmp_path / "cut")
        assert stopped == [(False, number), (False, number)]
        assert state_of(tmp_path / "cut")["step"] == step + 1
    assert two_ranks.run(*job, tmp_path / "cut") == [True, True]
    whole, cut = state_of(tmp_path / "whole"), state_of(tmp_path / "cut")
    assert_same(cut, whole)
    assert len(whole["random_of_others"]) == 1
    assert json.loads((tmp_path / "cut" / "train.json").read_text())["world_size"] == 2
    assert "; 2 such ranks" in (tmp_path / "cut" / "train.log").read_text()


def test_three_ranks_resume_exactly(corpus, tmp_path):
    """Of three numbers the sum depends on their order: gradients must be added in the order of the run that was cut."""
    job = two_ranks.train, vqvae_config(), corpus
    assert two_ranks.run(*job, tmp_path / "whole", size=3) == [True] * 3
    two_ranks.run(two_ranks.stop_one, 7, signal.SIGTERM, *job, tmp_path / "cut", size=3)
    assert two_ranks.run(*job, tmp_path / "cut", size=3) == [True] * 3
    assert_same(state_of(tmp_path / "cut"), state_of(tmp_path / "whole"))


def test_a_signal_that_comes_again_does_not_cost_the_checkpoint(corpus, tmp_path):
    stopped = two_ranks.run(two_ranks.insist, 6, two_ranks.train, vqvae_config(), corpus, tmp_path)
    assert stopped == [(False, signal.SIGTERM)] * 2
    assert state_of(tmp_path)["step"] == 7


def test_another_number_of_ranks_goes_on_and_says_what_is_not_exact(corpus, tmp_path, caplog):
    job = two_ranks.train, vqvae_config(), corpus, tmp_path
    two_ranks.run(two_ranks.stop_one, 5, signal.SIGINT, *job)
    with caplog.at_level(logging.INFO):
        assert train_vqvae(vqvae_config(), corpus / "train", corpus / "dev", tmp_path)
    assert "ranks: 2 until here, 1 from here on. A step takes 2 crops instead of 4; the place in the data is that of " \
        "step 6 with so many" in caplog.text  # fmt: skip
    assert state_of(tmp_path)["step"] == 12


def test_more_ranks_than_before_go_on_with_numbers_of_their_own(corpus, tmp_path):
    two_ranks.stop_one(dataclasses.replace(ALONE, rank=0), 99, 0, two_ranks.train, vqvae_config(), corpus, tmp_path)
    (tmp_path / "checkpoints" / "step-000000012.pt").unlink()
    one, other = two_ranks.run(two_ranks.digests_of_steps, two_ranks.train, vqvae_config(), corpus, tmp_path)
    assert len(one) == 2 and one[-1]["weights"] == other[-1]["weights"] and one[0]["random"] != other[0]["random"]


def test_a_loss_that_is_not_finite_on_one_rank_ends_both(corpus, tmp_path):
    results = two_ranks.run(two_ranks.not_finite, 1, 7, two_ranks.train, vqvae_config(), corpus, tmp_path)
    assert sorted(errors_of(results), key=str) == [SystemExit, TrainingError]
    told = next(str(error) for error in results if isinstance(error, TrainingError))
    assert "step 7: the loss is inf on rank 1 of 2 and the gradient's norm nan; nothing was updated" in told
    assert "step-000000006.pt" in told and "Utterances of the batch: s" in told
    assert all(torch.isfinite(t).all() for t in load_newest(tmp_path / "checkpoints")[1]["modules"].values())


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_on_one_rank_is_told_by_it_alone(corpus, tmp_path, rank):
    results = two_ranks.run(two_ranks.fail, rank, 4, two_ranks.train, vqvae_config(), corpus, tmp_path)
    assert str(results[rank]).endswith("a.wav: ends too early")
    assert str(results[rank]).startswith("rank 1: ") == (rank == 1)
    assert errors_of([results[1 - rank]]) == [SystemExit]


def test_a_rank_that_waits_where_it_notices_nothing_is_ended():
    results = two_ranks.run(two_ranks.hang, TrainingError("a reason"))
    assert errors_of(results) == [EOFError, TrainingError] and str(results[1]) == "rank 1: a reason"


def test_a_rank_that_gives_no_sign_of_life_is_given_up(tmp_path):
    results = two_ranks.run(two_ranks.fall_silent, 15, tmp_path / "note")
    assert errors_of(results) == [EOFError, EOFError]
    assert "rank 1 has given no sign of life for 5 s" in (tmp_path / "note").read_text()


def test_a_rank_that_waits_at_the_end_is_not_given_up():
    assert two_ranks.run(two_ranks.be_late, 9) == [True, True]


def test_a_mistake_of_all_is_told_by_rank_0(corpus, tmp_path):
    results = two_ranks.run(two_ranks.train, vqvae_config(), tmp_path / "absent", tmp_path)
    assert errors_of(results) == [DataDirError, SystemExit]


def test_all_follow_rank_0s_clock(corpus, tmp_path):
    budget = config({"start_step": 0}, max_steps=None, max_minutes=0.05)
    one, other = two_ranks.run(two_ranks.hurry, two_ranks.train, budget, corpus, tmp_path)
    assert one == other == load_newest(tmp_path / "checkpoints")[1]["step"]


def test_an_evaluation_may_outlast_the_patience_of_a_step(corpus, tmp_path):
    once = vqvae_config(eval_interval=6)
    waited = two_ranks.run(two_ranks.wait_long, 7, two_ranks.train, once, corpus, tmp_path, patience=5)
    assert waited == [True, True]


def test_seeds_of_ranks_differ_and_rank_0_has_the_configurations():
    seeds = [seed_of_rank(3, rank, step) for rank in range(4) for step in (0, 7)]
    assert seeds[0] == 3 and len(set(seeds)) == 8
