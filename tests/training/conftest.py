"""A corpus of seconds and configurations that train in seconds."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vqaudio.audio.io import write_wav
from vqaudio.config import PriorTrainingConfig, VQVAETrainingConfig
from vqaudio.config_files import from_dict
from vqaudio.models.folder import load_vqvae
from vqaudio.training.vqvae import train_vqvae
from vqaudio.units.spec import UnitSpec
from vqaudio.units.text import write_units

SMALL_VQVAE = {
    "model": {
        "encoder": {"strides": [4, 4], "channels": 8, "residual_blocks": 1, "level_units": [2, 1]},
        "quantizer": {"codebook_size": 16, "code_dim": 4, "start_step": 4, "revive_window": 5},
        "decoder": {
            "stack": {
                "layers": 4, "stacks": 2, "residual_channels": 8, "gate_channels": 8, "skip_channels": 8,
                "dropout": 0.1,
            },
            "classes": 32, "condition_channels": 8, "condition_steps": 2, "speaker_channels": 4, "time_jitter": 0.2,
        },
    },
    "training": {
        "max_steps": 12, "batch_size": 2, "crop_units": 16, "precision": "float32", "mel_loss": 0.5,
        "log_interval": 4, "eval_interval": 6, "checkpoint_interval": 5, "warmup_steps": 3,
    },
}  # fmt: skip
SMALL_PRIOR = {
    "model": {
        "stack": {
            "layers": 2, "stacks": 1, "residual_channels": 8, "gate_channels": 8, "skip_channels": 8, "dropout": 0.1,
        }
    },
    "training": {
        "max_steps": 12, "batch_size": 2, "crop_units": 16, "precision": "float32",
        "log_interval": 4, "eval_interval": 6, "checkpoint_interval": 5, "warmup_steps": 3,
    },
}  # fmt: skip


def merged(base: dict, changes: dict) -> dict:
    """Return nested mappings with `changes` on top."""
    out = dict(base)
    for key, value in changes.items():
        out[key] = merged(out.get(key, {}), value) if isinstance(value, dict) else value
    return out


def vqvae_config(**training) -> VQVAETrainingConfig:
    return from_dict(VQVAETrainingConfig, merged(SMALL_VQVAE, {"training": training}))


def prior_config(**training) -> PriorTrainingConfig:
    return from_dict(PriorTrainingConfig, merged(SMALL_PRIOR, {"training": training}))


def write_corpus(folder: Path, utterances: dict[str, float], speakers: int = 2, rate: int = 8000) -> Path:
    """Write a data directory of tones in noise: utterance name to seconds."""
    random = np.random.default_rng(0)
    lines = {"wav.scp": [], "utt2spk": []}
    by_speaker: dict[str, list[str]] = {}
    for number, (name, seconds) in enumerate(utterances.items()):
        speaker = f"s{number % speakers}"
        identifier = f"{speaker}-{name}"
        time = np.arange(int(seconds * rate)) / rate
        tone = 0.3 * np.sin(2 * np.pi * (200 + 50 * number) * time) + 0.05 * random.standard_normal(len(time))
        write_wav(folder / "wavs" / f"{identifier}.wav", tone.astype(np.float32), rate)
        lines["wav.scp"].append(f"{identifier} wavs/{identifier}.wav")
        lines["utt2spk"].append(f"{identifier} {speaker}")
        by_speaker.setdefault(speaker, []).append(identifier)
    lines["spk2utt"] = [f"{s} {' '.join(sorted(names))}" for s, names in by_speaker.items()]
    for name, content in lines.items():
        (folder / name).write_text("".join(f"{line}\n" for line in sorted(content)))
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Folders train and dev of a corpus of two speakers at 8 kHz."""
    root = tmp_path_factory.mktemp("corpus")
    write_corpus(root / "train", {"a": 0.6, "b": 0.5, "c": 0.02, "d": 0.4})
    write_corpus(root / "dev", {"e": 0.2, "f": 0.2})
    return root


def train(corpus, expdir, **training):
    return train_vqvae(vqvae_config(**training), corpus / "train", corpus / "dev", expdir)


@pytest.fixture(scope="session")
def trained(corpus, tmp_path_factory):
    """An experiment folder of a finished VQ-VAE."""
    expdir = tmp_path_factory.mktemp("exp") / "vqvae"
    assert train(corpus, expdir)
    return expdir


@pytest.fixture(scope="session")
def units(corpus, trained, tmp_path_factory):
    """Unit folders of the corpus, and the speakers of its utterances."""
    return write_small_units(tmp_path_factory.mktemp("units"), trained / "model")


def write_small_units(root: Path, model_folder: Path) -> tuple[Path, dict[str, str]]:
    """Write unit folders train and dev of a model into `root`; return it, and the speakers of their utterances."""
    model, _ = load_vqvae(model_folder)
    random = torch.Generator().manual_seed(0)
    utt2spk = {}
    for split in ("train", "dev"):
        names = [f"s{i % 2}-{split}{i}" for i in range(4)]
        utt2spk |= {name: name[:2] for name in names}
        sequences = [(name, torch.randint(0, 16, (20,), generator=random).numpy()) for name in names]
        write_units(root / split, sequences, UnitSpec.of_model(model))
    return root, utt2spk
