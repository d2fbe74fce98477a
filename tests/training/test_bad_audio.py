"""Audio that turns out bad during a training: left out and listed, while what is learned stays right."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path

import pytest
import soundfile
import torch

from vqaudio.corpus import DataDir
from vqaudio.corpus.rejected import read_rejected
from vqaudio.errors import DataDirError, TrainingError
from vqaudio.training.vqvae import VQVAETask, train_vqvae

from . import two_ranks
from .conftest import vqvae_config, write_corpus


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Folders train, of ten utterances of which number 7 is a FLAC file cut off, and dev."""
    write_corpus(tmp_path / "train", {f"u{i}": 0.1 for i in range(10)})
    write_corpus(tmp_path / "dev", {"e": 0.2, "f": 0.2})
    path = tmp_path / "train/wavs/s1-u7.wav"
    soundfile.write(path, *soundfile.read(path), format="FLAC")
    os.truncate(path, os.path.getsize(path) // 2)
    return tmp_path


def run(corpus: Path, expdir: str, max_rejected_share: float = 0.2, **training) -> bool:
    config = vqvae_config(**{"batch_size": 5, "checkpoint_interval": 6} | training)
    return train_vqvae(config, corpus / "train", corpus / "dev", corpus / expdir, max_rejected_share=max_rejected_share)


def weights(expdir: Path) -> bytes:
    return (expdir / "model/model.safetensors").read_bytes()


def test_a_file_that_was_cut_off_is_listed_and_the_training_goes_on(corpus, caplog):
    assert run(corpus, "exp")
    (rejection,) = read_rejected(corpus / "exp/rejected.tsv")
    assert (rejection.utterance, rejection.path) == ("s1-u7", str(corpus / "train/wavs/s1-u7.wav"))
    assert "unreadable" in rejection.reason or "truncated" in rejection.reason
    assert caplog.text.count("left out: s1-u7") == 1


def test_resuming_is_exact_with_bad_audio(corpus):
    """The run ends at 12 steps, or stops after 6 and goes on: the same weights, and the same list."""
    assert run(corpus, "whole")
    assert run(corpus, "parts")
    for path in (corpus / "parts/checkpoints").glob("step-000000012*"):
        path.unlink()
    for name in ("model/model.safetensors", "train.json"):
        (corpus / "parts" / name).unlink()
    assert run(corpus, "parts")
    assert weights(corpus / "parts") == weights(corpus / "whole")
    assert read_rejected(corpus / "parts/rejected.tsv") == read_rejected(corpus / "whole/rejected.tsv")


def test_too_many_end_the_training_and_are_named(corpus):
    with pytest.raises(DataDirError, match=r"1 of 10 utterances rejected .* more than the 5.0%") as caught:
        run(corpus, "exp", max_rejected_share=0.05)
    assert f"s1-u7: {corpus}/train/wavs/s1-u7.wav: " in str(caught.value)
    assert f"All are listed in {corpus}/exp/rejected.tsv" in str(caught.value)
    assert run(corpus, "exp")  # with a larger share, it goes on


def test_ranks_end_together_wherever_the_bad_audio_was_met(corpus):
    """The file is of one rank's share at a time; the other would wait for it without end."""
    found = two_ranks.run(two_ranks.train, vqvae_config(batch_size=2), corpus, corpus / "exp")
    assert isinstance(found[0], DataDirError) and "1 of 10 utterances rejected" in str(found[0])
    assert isinstance(found[1], SystemExit)  # without saying it again
    assert [rejection.utterance for rejection in read_rejected(corpus / "exp/rejected.tsv")] == ["s1-u7"]


def test_a_new_training_does_not_keep_the_list_of_an_old_one(corpus):
    run(corpus, "exp", max_steps=6)
    for path in (corpus / "exp/checkpoints").iterdir():
        path.unlink()
    (corpus / "train/wavs/s1-u7.wav").write_bytes((corpus / "train/wavs/s1-u5.wav").read_bytes())
    run(corpus, "exp", max_steps=6)
    assert (corpus / "exp/rejected.tsv").read_text() == "utterance\tpath\treason\n"


def task_of(corpus: Path, **options) -> VQVAETask:
    torch.manual_seed(0)
    train, dev = DataDir.load(corpus / "train"), DataDir.load(corpus / "dev")
    return VQVAETask(vqvae_config(batch_size=5), train, dev, max_rejected_share=1.0, **options)


def loss_of(task: VQVAETask, batch) -> tuple[torch.Tensor, dict]:
    (part,) = task.begin_step(batch, 0)
    torch.manual_seed(1)
    return task.loss(part, 0)


def test_the_likelihood_is_that_of_the_samples_there_are(corpus):
    """Of a batch with an empty crop, the bits per sample are those of the other crops' samples alone."""
    task = task_of(corpus)
    step, row = next(
        (step, batch.utterances.index("s1-u7"))
        for step in range(20)
        if "s1-u7" in (batch := task.crops.batch(step)).utterances
    )
    batch = task.crops.batch(step)
    assert batch.lengths[row] == 0 and (batch.lengths > 0).sum() == 4
    _, found = loss_of(task, batch)
    batch.waveform[row] = torch.rand_like(batch.waveform[row]) - 0.5  # what is in an empty crop does not count
    _, other = loss_of(task, batch)
    assert found["loss/bits_per_sample"] == other["loss/bits_per_sample"]


def test_a_batch_without_a_sample_teaches_nothing(corpus):
    task = task_of(corpus)
    batch = task.crops.batch(0)
    batch.waveform.zero_()
    batch.lengths.zero_()
    loss, scalars = loss_of(task, batch)
    loss.backward()
    assert scalars["loss/bits_per_sample"] == 0 and math.isfinite(loss.item())
    output = task.model.decoder.stack.output.weight.grad
    assert output is not None and not output.any()
    assert all(p.grad is None or p.grad.isfinite().all() for p in task.modules.parameters())


def test_a_corpus_whose_disk_has_gone_ends_the_training(corpus):
    task = task_of(corpus)
    task.window_scalars()
    task.crops.batch(0)
    task.window_scalars()  # one bad file among many
    for path in (corpus / "train/wavs").iterdir():
        path.unlink()
    task.crops.rejections.max_share = 0.7
    task.crops.batch(1)
    with pytest.raises(DataDirError, match=r"[45] of the last 5 crops could not be read: is the disk"):
        task.window_scalars()


def test_dev_audio_that_is_bad_is_left_out_and_what_vanishes_later_matters_not(corpus, caplog):
    write_corpus(corpus / "dev", {"e": 0.2, "f": 0.2, "g": 0.2})
    (corpus / "dev/wavs/s1-f.wav").write_bytes(b"")
    task = task_of(corpus, rejected=corpus / "exp/rejected.tsv")
    assert [u.id for u in task.dev] == ["s0-e", "s0-g"] and len(task.heldout) == 2
    assert "s1-f" in (corpus / "exp/rejected.tsv").read_text()
    (corpus / "dev/wavs/s0-e.wav").unlink()
    with caplog.at_level(logging.INFO):
        assert task.evaluate(None, 1, last=False) == {}  # there is no codebook yet: nothing is read, or scored


def test_no_dev_audio_at_all(corpus):
    for path in (corpus / "dev/wavs").iterdir():
        path.write_bytes(b"")
    with pytest.raises(TrainingError, match=r"none of the 2 dev utterances .*The first: s0-e: .*empty"):
        task_of(corpus)
