"""The experiment folder: whose it is, with what configuration it goes on, and what is cleared away."""

import logging

import pytest

from tests.training.conftest import train, vqvae_config
from vqaudio.errors import TrainingError
from vqaudio.training.experiment import Experiment

CONFIG = vqvae_config()


@pytest.fixture
def begun(tmp_path):
    """A folder with a run's configuration and a checkpoint."""
    with Experiment(tmp_path).opened(CONFIG, "auto"):
        pass
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-000000001.pt").write_bytes(b"")
    return tmp_path


def opened(folder, **training):
    with Experiment(folder).opened(vqvae_config(**training), "auto"):
        return (folder / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"model: [", "not valid YAML"), (b"\xff\xfe", "UTF-8"), (b"training: 3", "training was 3, now {"),
     (b"", "it holds None, expected a mapping")],
)  # fmt: skip
def test_a_broken_configuration_of_a_run_is_told(begun, content, told):
    (begun / "config.yaml").write_bytes(content)
    with pytest.raises(TrainingError) as error:
        opened(begun)
    assert str(begun) in str(error.value) and told in str(error.value)
    assert (begun / "config.yaml").read_bytes() == content


def test_a_configuration_that_is_gone_is_told_and_written_anew(begun, caplog):
    text = (begun / "config.yaml").read_text()
    (begun / "config.yaml").unlink()
    assert opened(begun) == text
    assert "config.yaml is missing: whether the run began with this configuration is not known" in caplog.text


def test_what_changes_no_weight_may_change(begun, caplog):
    caplog.set_level(logging.INFO)
    assert "keep_checkpoints: 7" in opened(begun, keep_checkpoints=7, checkpoint_interval=2, publish="best")
    assert "training.keep_checkpoints was 2, now 7" in caplog.text
    with pytest.raises(TrainingError, match=r"training\.max_steps was 12, now 13\. Give"):
        opened(begun, max_steps=13, log_interval=1)
    assert "keep_checkpoints: 7" in (begun / "config.yaml").read_text()


def test_what_killed_processes_left_is_cleared_away(begun):
    for folder in (begun, begun / "checkpoints", begun / "model"):
        folder.mkdir(exist_ok=True)
        (folder / ".unfinished-x-1234").write_bytes(b"half")
    opened(begun)
    assert not list(begun.rglob(".unfinished-*"))


def test_a_checkpoint_of_another_model_is_told_as_such(corpus, tmp_path):
    train(corpus, tmp_path / "with")
    train(corpus, tmp_path / "without", mel_loss=0.0, max_steps=5)
    for path in (tmp_path / "without" / "checkpoints").iterdir():
        path.unlink()
    (tmp_path / "with" / "checkpoints" / "step-000000012.pt").rename(
        tmp_path / "without" / "checkpoints" / "step-000000012.pt"
    )
    with pytest.raises(TrainingError, match=r"step-000000012\.pt is not of a training with this configuration.*mel"):
        train(corpus, tmp_path / "without", mel_loss=0.0, max_steps=5)
