"""When a finite loss means that a training is lost, and what is said; the trials in tests/reliability train for it."""

import math

import pytest
import torch
from torch import nn

from tests.training.conftest import train
from tests.training.test_training import StopAt
from vqaudio.config import OptimizationConfig
from vqaudio.errors import TrainingError
from vqaudio.training import loop
from vqaudio.training.checkpoint import checkpoint_paths, load_checkpoint
from vqaudio.training.distributed import ALONE
from vqaudio.training.divergence import EXPLODED, INTERVAL, MARGIN, RECENT, WINDOW, Divergence
from vqaudio.training.guard import not_finite, way_back
from vqaudio.training.schedule import Schedule

CHANCE = 8.0


def watch(learning_rate=0.1, warmup_steps=20) -> Divergence:
    config = OptimizationConfig(max_steps=10**6, learning_rate=learning_rate, warmup_steps=warmup_steps)
    return Divergence(Schedule(config), "bits", "unigram", CHANCE)


def see(divergence: Divergence, steps: int, bits=7.0, unigram=7.5, total=5.0) -> None:
    for _ in range(steps):
        divergence.take({"bits": torch.tensor(bits), "unigram": unigram, "loss/total": total})


def first_verdict(divergence: Divergence, most=5000, **scalars) -> tuple[int | None, str]:
    for step in range(1, most + 1):
        see(divergence, 1, **scalars)
        if words := divergence.verdict(step, ALONE):
            return step, words
    return None, ""


def test_knowing_more_than_the_frequencies_is_never_lost():
    assert first_verdict(watch(), bits=7.4)[0] is None


def test_knowing_no_more_than_the_frequencies_is_lost_once_all_weights_could_have_moved():
    worse = 7.5 + MARGIN + 0.01
    step, words = first_verdict(watch(), bits=worse)
    assert step == 20 + WINDOW + WINDOW
    assert words == (
        "nothing is learned: for 100 steps the network has needed about 7.54 bits for what costs 7.5 by knowing only "
        "how often each value occurs (an even guess: 8)"
    )
    step, _ = first_verdict(watch(learning_rate=1e-3), bits=worse)  # a low rate has longer
    assert 20 + 1000 + WINDOW <= step < 20 + 1000 + WINDOW + INTERVAL
    assert first_verdict(watch(), bits=7.5 + MARGIN - 0.01)[0] is None  # data of which there is no more to be known


def test_steps_without_a_prediction_may_explode_and_need_not_predict():
    config = OptimizationConfig(max_steps=5000, learning_rate=0.01, warmup_steps=10, spectral_steps=300, mel_loss=0.1)
    divergence = Divergence(Schedule(config), "bits", "unigram", CHANCE)
    for _ in range(300):
        divergence.take({"loss/mel": 3.0, "loss/total": 3.0})
    assert divergence.verdict(300, ALONE) == ""
    divergence.saved(300)
    assert divergence.good_step == 300
    assert divergence.patience == 300 + 10 + 100
    divergence.load_state_dict(divergence.state_dict())
    for _ in range(WINDOW):
        divergence.take({"loss/mel": 3.0, "loss/total": 1000.0})
    assert "has been about 1000" in divergence.verdict(300, ALONE)
    see(divergence, WINDOW, bits=7.6)
    assert divergence.verdict(400, ALONE) == ""  # 100 of the steps that predict
    assert "nothing is learned" in divergence.verdict(520, ALONE)


def test_an_explosion_needs_no_patience_and_a_spike_is_none():
    exploded = 1.01 * EXPLODED * CHANCE * math.log(2)
    step, words = first_verdict(watch(learning_rate=1e-5), total=exploded)
    assert step == WINDOW and words == (
        "the loss has been about 56.01 for 100 steps, where an even guess among all values would have 5.55"
    )
    divergence = watch()
    see(divergence, WINDOW)
    for step in range(0, 1000, INTERVAL):  # a tenth of the steps, each of them 10^9
        see(divergence, INTERVAL - 2)
        see(divergence, 2, total=1e9)
        assert divergence.verdict(step, ALONE) == ""


def test_the_good_checkpoint_is_the_last_one_before_it_went_wrong():
    divergence = watch()
    see(divergence, 50)
    divergence.saved(50)
    see(divergence, 1, total=1e6)  # too short for a verdict, long enough to be doubted
    divergence.saved(51)
    assert divergence.verdict(60, ALONE) == "" and divergence.good_step == 50
    see(divergence, RECENT)
    divergence.saved(51 + RECENT)
    assert divergence.good_step == 51 + RECENT


def test_at_the_beginning_a_checkpoint_is_good_though_nothing_is_known_yet():
    slow, fast = watch(learning_rate=1e-3), watch(learning_rate=10.0)
    for divergence in (slow, fast):
        see(divergence, 20, bits=8.0)
        divergence.saved(20)
    assert slow.good_step == 20 and fast.good_step is None
    see(slow, 20)
    slow.saved(40)
    see(slow, 20, bits=8.0)  # once it knew something, forgetting it is no beginning
    slow.saved(60)
    assert slow.good_step == 40


def test_what_it_knows_goes_into_the_checkpoint():
    before, after = watch(), watch()
    see(before, WINDOW + 3, bits=9.0)
    before.saved(7)
    after.load_state_dict(before.state_dict())
    assert after.state_dict() == before.state_dict() and len(after.state_dict()["window"]) == WINDOW


def test_the_way_back_can_be_followed_to_the_letter(corpus, tmp_path):
    """As the message says: the checkpoint copied into a new folder goes on there at another rate."""
    assert train(corpus, tmp_path / "old")
    good = checkpoint_paths(tmp_path / "old" / "checkpoints")[-1]
    new, step = tmp_path / "new", int(good.stem[5:])
    words = way_back(good.parent, step, 0.5)
    assert f"The last good checkpoint is {good}." in words and words.endswith(
        f"mkdir -p NEW/checkpoints, cp {good} NEW/checkpoints, and the same command with --set "
        "training.learning_rate=0.001 --expdir NEW"
    )
    (new / "checkpoints").mkdir(parents=True)
    (new / "checkpoints" / good.name).write_bytes(good.read_bytes())
    assert train(corpus, new, learning_rate=1e-4)
    assert f"going on from step {step}" in (new / "train.log").read_text()


def test_without_a_good_checkpoint_there_is_no_way_back(tmp_path):
    for good_step in (None, 5):  # never saved, or gone since
        assert way_back(tmp_path, good_step, 0.5) == (
            "No checkpoint was saved while all was well. training.learning_rate=0.5 may be too high: begin anew with "
            "--set training.learning_rate=0.001 and another --expdir"
        )


def test_bad_checkpoints_do_not_push_out_the_good_one(corpus, tmp_path, monkeypatch):
    original = loop.Trainer._step

    def step(trainer, batch):
        scalars = original(trainer, batch)
        if trainer.progress.step >= 41:  # as if it exploded there
            last = trainer.divergence._window
            last[-1] = (*last[-1][:2], 1e6)
        return scalars

    monkeypatch.setattr(loop.Trainer, "_step", step)
    with pytest.raises(TrainingError, match=r"step 100: the loss has been about 1e\+06.*is \S+step-000000040\.pt\."):
        train(corpus, tmp_path, max_steps=400, keep_checkpoints=1)
    names = {path.name for path in checkpoint_paths(tmp_path / "checkpoints")}
    assert names >= {"step-000000040.pt", "step-000000096.pt"}
    assert load_checkpoint(tmp_path / "checkpoints" / "step-000000040.pt")["divergence"]["good_step"] == 40
    with pytest.raises(TrainingError, match=r"step 100: .*step-000000040\.pt\."):  # the same command comes to the same
        train(corpus, tmp_path, max_steps=400, keep_checkpoints=1)


@pytest.mark.parametrize("what", ["modules.model.quantizer.sums", "optimizer.state.0.exp_avg", "average."])
def test_what_is_not_finite_is_not_saved(corpus, tmp_path, monkeypatch, what):
    original = loop.Trainer._step

    def step(trainer, batch):
        scalars = original(trainer, batch)
        if trainer.progress.step == 9:
            spoilt = {
                "m": trainer.task.model.quantizer.sums,
                "o": next(iter(trainer.update.optimizer.state.values()))["exp_avg"],
                "a": next(iter(trainer.average.average.values())),
            }[what[0]]
            spoilt.data.view(-1)[0] = float("inf")
        return scalars

    monkeypatch.setattr(loop.Trainer, "_step", step)
    with pytest.raises(TrainingError, match=rf"step 10: {what}\S* holds numbers.*good checkpoint is \S+step-0+6\.pt"):
        train(corpus, tmp_path)
    assert all(not not_finite(load_checkpoint(path)) for path in checkpoint_paths(tmp_path / "checkpoints"))


def test_a_signal_at_a_bad_moment_keeps_the_good_checkpoint(corpus, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        StopAt(patch, 7)
        assert train(corpus, tmp_path) is False
    assert load_checkpoint(checkpoint_paths(tmp_path / "checkpoints")[0])["divergence"]["good_step"] == 8


def test_not_finite_names_the_place():
    state = {"a": [torch.ones(2), {"b": torch.tensor([1.0, math.nan])}], "n": torch.tensor([1]), "x": math.inf}
    assert not_finite(state) == "a.1.b"
    assert not_finite(nn.Linear(2, 2).state_dict()) == ""


def test_the_loop_watches_with_the_schedule_of_its_configuration(corpus, tmp_path, monkeypatch):
    """That the scalars of the real tasks are there, and that a lost one is stopped, is seen by training one."""
    lost = {"learning_rate": 300.0, "max_steps": 400, "warmup_steps": 5, "checkpoint_interval": 10**6}
    with pytest.raises(TrainingError, match=r"No checkpoint was saved while all was well\..*learning_rate=300"):
        train(corpus, tmp_path, **lost)
