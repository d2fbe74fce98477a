"""Spectral losses: what is predicted, against NumPy and SciPy, and what it leaves out."""

import math

import numpy as np
import pytest
import scipy.fft
import torch

from vqaudio.training.spectra import BANDS, CEPSTRA, FLOOR, CepstralPredictor, MelPredictor, cosines

RATE, HOP, FRAMES, UNITS, BEFORE, AFTER = 8000, 160, 4, 6, 1000, 330
CROP = UNITS * HOP


def predictor() -> CepstralPredictor:
    torch.manual_seed(0)
    return CepstralPredictor(8, 2, RATE, HOP, FRAMES)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype(np.float32).clip(-3, 3) / 10


def window() -> torch.Tensor:
    """Return a crop with its context, (1, T)."""
    return torch.from_numpy(noise((BEFORE + CROP + AFTER) / RATE))[None]


def loss(learner: CepstralPredictor, waveform: torch.Tensor, first: int = BEFORE, speaker: int = 0) -> float:
    z_q = torch.linspace(-1, 1, UNITS * 8).view(1, UNITS, 8)
    return learner(z_q, torch.tensor([speaker]), waveform, first).item()


def test_cosines_are_scipys_transform():
    assert cosines().numpy() == pytest.approx(scipy.fft.dct(np.eye(BANDS), norm="ortho", axis=0)[:CEPSTRA], abs=1e-6)


def test_envelopes_are_what_scipy_makes_of_the_frames():
    """Nothing predicted: the loss is the mean size of the bands, their mean off, smoothed by 13 of 40 cosines."""
    learner = predictor()
    with torch.no_grad():
        for parameter in learner.predict.parameters():
            parameter.zero_()
    waveform, hop = window(), HOP // FRAMES
    frames = learner.log_mel(waveform[:, BEFORE % hop :])[0].double().numpy()
    cepstra = scipy.fft.dct(frames - frames.mean(axis=0), norm="ortho", axis=1)
    cepstra[:, CEPSTRA:] = 0
    bands = scipy.fft.idct(cepstra, norm="ortho", axis=1)[BEFORE // hop :][: UNITS * FRAMES]
    assert loss(learner, waveform) == pytest.approx(np.abs(bands).mean(), rel=1e-5)


def test_how_loud_it_is_does_not_count():
    learner = predictor()
    assert loss(learner, 0.3 * window()) == pytest.approx(loss(learner, window()), rel=1e-4)


def test_digital_silence_around_an_utterance_leaves_its_mean():
    """Padding beyond an utterance, to either side: frames that lie in it would pull the mean down to the floor."""
    learner, inner = predictor(), window()
    padded = torch.cat([torch.zeros(1, 1600), inner, torch.zeros(1, 4000)], dim=1)
    # Frames across the two edges differ: 2 · 256 samples of 2,290.
    assert loss(learner, padded, first=BEFORE + 1600) == pytest.approx(loss(learner, inner), abs=0.15)
    drawn_down = 5600 / padded.shape[1] * abs(math.log(FLOOR))
    assert drawn_down > 3  # what silence would have added to every band


def test_a_code_tells_its_own_envelope_without_its_neighbours():
    learner = predictor()
    z_q = torch.randn(1, UNITS, 8, generator=torch.Generator().manual_seed(1))
    whole = learner(z_q, torch.tensor([0]), window(), BEFORE)
    alone = [learner(z_q[:, n : n + 1], torch.tensor([0]), window(), BEFORE + n * HOP) for n in range(UNITS)]
    assert whole.item() == pytest.approx(torch.stack(alone).mean().item(), rel=1e-5)


def test_the_speaker_helps():
    learner = predictor()
    assert loss(learner, window(), speaker=0) != loss(learner, window(), speaker=1)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_mel_predictor_that_knows_the_frames_has_no_loss(rate):
    learner = MelPredictor(BANDS, rate, HOP)
    with torch.no_grad():
        learner.predict.weight.copy_(torch.eye(BANDS))
        learner.predict.bias.zero_()
    waveform = torch.from_numpy(noise(0.5))[None]
    assert learner(learner.log_mel(waveform), waveform).item() == pytest.approx(0, abs=1e-5)
