"""What trainings in small are made of: sounds and units, and the shipped configurations shrunk in size, not in rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import yaml

from tests.small import STACK
from tests.training.conftest import merged
from vqaudio.audio.io import write_wav
from vqaudio.config import DecoderConfig, EncoderConfig, QuantizerConfig, VQVAEConfig
from vqaudio.corpus import DataDir, Utterance
from vqaudio.models.folder import save_model
from vqaudio.models.vqvae import VQVAE
from vqaudio.units.spec import UnitSpec
from vqaudio.units.text import write_units

RATE, SECONDS, CODES = 8000, 1.0, 128
SHIPPED = Path(__file__).parents[2] / "recipes" / "common" / "conf"
SMALL_STACK = {"layers": 6, "residual_channels": 16, "gate_channels": 32, "skip_channels": 32}
# Of a learning rate: everything but its size is shrunk. Of steps: enough to be judged (see divergence.py).
SHRUNK_VQVAE = {
    "model": {
        "encoder": {"channels": 16, "residual_blocks": 1},
        "quantizer": {"codebook_size": 32, "code_dim": 8},
        "decoder": {
            "stack": SMALL_STACK, "condition_channels": 16, "condition_blocks": 1, "speaker_channels": 4, "mixtures": 5,
        },
    },
    "training": {"batch_size": 2},
}  # fmt: skip
SHRUNK_PRIOR = {"model": {"stack": SMALL_STACK}, "training": {"batch_size": 4, "crop_units": 64}}


def shipped(name: str) -> dict:
    """Return a shipped configuration, shrunk; its codebook begins within the first hundred steps."""
    config = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"))
    config["training"].pop("max_minutes", None)
    if name.startswith("prior"):
        return merged(config, SHRUNK_PRIOR)
    hop, start = int(np.prod(config["model"]["encoder"]["strides"])), config["model"]["quantizer"]["start_step"]
    changes = {
        "model": {"sample_rate": RATE, "quantizer": {"start_step": min(start, 60)}},
        "training": {"crop_units": max(4, 1024 // hop)},
    }
    if config["training"].get("spectral_steps"):
        changes["training"] |= {"spectral_steps": 80, "spectral_batch_size": 4}
    return merged(merged(config, SHRUNK_VQVAE), changes)


def speechlike(random: np.random.Generator, samples: int) -> np.ndarray:
    """Return sounds that can be learned: gliding harmonics that come and go, in a little noise."""
    time = np.arange(samples) / RATE
    pitch = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * random.uniform(1, 3) * time)) / RATE
    voice = sum(np.sin(h * pitch + random.uniform(0, 6)) / h for h in range(1, 12))
    level = np.clip(np.sin(2 * np.pi * random.uniform(1, 4) * time + random.uniform(0, 6)), 0, 1)
    return 0.2 * voice * level + 0.002 * random.standard_normal(samples)


SOUNDS = {
    "speechlike": speechlike,
    "silence": lambda random, samples: np.zeros(samples),
    "noise at full scale": lambda random, samples: random.uniform(-1, 1, samples),
    "clipped": lambda random, samples: np.sign(np.sin(np.arange(samples) * random.uniform(0.1, 0.5))),
    "clicks": lambda random, samples: (random.uniform(0, 1, samples) < 1e-3).astype(float),
    "bursts": lambda random, samples: speechlike(random, samples) * (random.uniform() < 0.3) * 5,
}  # fmt: skip
"""Kinds of audio, by which a healthy training must not be taken for a lost one."""


def write_sounds(folder: Path, kind: str) -> Path:
    """Write data directories `train` and `dev` of two speakers; return their folder."""
    for split, count in (("train", 12), ("dev", 2)):
        utterances = []
        for number in range(count):
            id, random = f"s{number % 2}-{number}", np.random.default_rng([number, count])
            wave = np.clip(SOUNDS[kind](random, int(SECONDS * RATE)), -1, 1).astype(np.float32)
            write_wav(folder / split / "wavs" / f"{id}.wav", wave, RATE)
            path = str(folder / split / "wavs" / f"{id}.wav")
            utterances.append(Utterance(id, id[:2], path, duration=SECONDS))
        DataDir(sorted(utterances, key=lambda u: u.id)).write(folder / split)
    return folder


def markov(random: np.random.Generator, length: int) -> np.ndarray:
    """Return units of which each says much of the next, some far more frequent than others."""
    units = [int(random.integers(CODES))]
    rare = np.minimum(random.geometric(0.05, length), CODES) - 1
    for jump in rare:
        units.append(int(jump) if random.uniform() < 0.3 else (units[-1] * 5 + 3) % CODES)
    return np.array(units[:length])


UNITS = {
    "speechlike": markov,
    "random": lambda random, length: random.integers(0, CODES, length),
    "one and the same": lambda random, length: np.full(length, 7),
}
"""Kinds of units."""


def write_unit_folders(folder: Path, kind: str) -> Path:
    """Write a VQ-VAE's folder, units `train` and `dev` as if of it, and utt2spk; return their folder."""
    torch.manual_seed(0)
    config = VQVAEConfig(
        sample_rate=RATE,
        encoder=EncoderConfig(strides=(4, 4), channels=8, residual_blocks=1),
        quantizer=QuantizerConfig(codebook_size=CODES, code_dim=4),
        decoder=DecoderConfig(stack=STACK, classes=32, condition_channels=8, speaker_channels=4),
    )
    model = VQVAE(config, 2)
    model.quantizer.initialise(torch.randn(CODES, 4), torch.Generator().manual_seed(0))
    save_model(folder / "model", model, ["s0", "s1"], {})
    names = []
    for split, count in (("train", 40), ("dev", 4)):
        found = [f"s{n % 2}-{split}{n}" for n in range(count)]
        sequences = [(name, UNITS[kind](np.random.default_rng([n, count]), 300)) for n, name in enumerate(found)]
        write_units(folder / split, sorted(sequences), UnitSpec.of_model(model))
        names += found
    (folder / "utt2spk").write_text("".join(f"{name} {name[:2]}\n" for name in sorted(names)))
    return folder
