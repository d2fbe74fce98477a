"""Hours of audio an hour that become units, from files at RATE Hz to a folder of units.

Ours: `extract_units` with an encoder of 256 channels and 64 samples a unit, on a data directory of noise and tones.
The peer: encodec's encoder and quantizer for 24 kHz, random weights, at its lowest rate (two codes a frame); its audio
lies in memory already. Speed does not depend on the values of weights and samples, in either.
"""

from __future__ import annotations

import atexit
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks import limits, peers
from benchmarks.rows import Unit
from benchmarks.timing import Absent, Benchmark, Contest, Effort, Limit, Side
from vqaudio.audio.io import write_wav
from vqaudio.config import EncoderConfig, QuantizerConfig, VQVAEConfig
from vqaudio.corpus import DataDir, Utterance
from vqaudio.models.vqvae import VQVAE
from vqaudio.units.extract import extract_units

HOURS_PER_HOUR = Unit("h audio/h")
RATE, PEER_RATE = 16000, 24000
PEER_BANDWIDTH = 1.5
"""In kbit/s: the least that encodec offers."""
CONFIG = VQVAEConfig(sample_rate=RATE, encoder=EncoderConfig(strides=(4, 4, 4), channels=256))
UTTERANCES, SECONDS = 20, 10.0


def sound(seconds: float, rate: int, seed: int) -> np.ndarray:
    """Return two tones in noise, float32 (T,)."""
    time = np.arange(int(seconds * rate)) / rate
    tones = np.sin(2 * np.pi * (120 + 10 * seed) * time) + np.sin(2 * np.pi * 1500 * time)
    return (0.2 * tones + 0.05 * np.random.default_rng(seed).standard_normal(len(time))).astype(np.float32)


def write_data(folder: Path, utterances: int, seconds: float) -> DataDir:
    """Write a data directory of WAV files."""
    written = []
    for i in range(utterances):
        path = folder / f"utterance-{i:02d}.wav"
        write_wav(path, sound(seconds, RATE, i), RATE)
        written.append(Utterance(path.stem, "speaker", str(path), duration=seconds))
    return DataDir(written).write(folder)


def multiply_adds_per_unit(encoder: EncoderConfig, quantizer: QuantizerConfig) -> int:
    """Return the multiply-adds of one unit: strided convolutions of kernel twice the stride, blocks, codebook."""
    C, D = encoder.channels, quantizer.code_dim
    inputs = [1] + [C] * (len(encoder.strides) - 1)
    strided = sum(
        2 * stride * channels * C * math.prod(encoder.strides[i + 1 :])  # frames of this layer in a unit
        for i, (stride, channels) in enumerate(zip(encoder.strides, inputs))
    )
    return strided + encoder.residual_blocks * 4 * C * C + C * D + D * quantizer.codebook_size


def our_side(folder: Path, effort: Effort) -> Side:
    """Return the extraction of all units, in `folder`."""
    torch.manual_seed(0)
    model = VQVAE(CONFIG, speakers=1).eval()
    utterances, seconds = (2, 1.0) if effort.quick else (UTTERANCES, SECONDS)
    data = write_data(folder / "data", utterances, seconds)

    def run() -> None:
        extract_units(model, data, folder / "units", progress=False)
        shutil.rmtree(folder / "units")

    return Side("ours", run, utterances * seconds)


def peer_side(effort: Effort) -> Side | Absent:
    """Return encodec's encoding of one utterance."""
    name = peers.label("encodec")
    try:
        module = peers.load("encodec")
    except peers.PeerMissing as missing:
        return Absent(name, str(missing))
    model = module.EncodecModel.encodec_model_24khz(pretrained=False).eval()
    model.set_target_bandwidth(PEER_BANDWIDTH)
    seconds = 1.0 if effort.quick else SECONDS
    waveform = torch.from_numpy(sound(seconds, PEER_RATE, 0))[None, None]  # (1, 1, T)

    @torch.inference_mode()
    def run() -> None:
        model.encode(waveform)

    return Side(f"{name}, {PEER_RATE // 1000} kHz", run, seconds)


def contest(effort: Effort) -> Contest:
    """Return our extraction against encodec's."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    peak = limits.multiply_adds("float32")
    work = multiply_adds_per_unit(CONFIG.encoder, CONFIG.quantizer) * RATE / CONFIG.encoder.hop_length
    limit = Limit(peak.per_second / work, f"{work / 1e6:.0f} M multiply-adds a second of audio, at {peak.how}")
    return Contest(our_side(folder, effort), peer_side(effort), limit)


PATHS = {"extraction": Benchmark("units from files of audio", HOURS_PER_HOUR, contest)}
