"""Log-mel features against librosa; images and figures that show what they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.audio.spectrogram import LogMel, plot_reconstruction, reconstruction_image, speech_image
from vqaudio.errors import ConfigError, VQAudioError

RATE = 8000


def tone(hertz: float, samples: int = RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.float32)


@pytest.mark.parametrize(("n_fft", "hop", "n_mels"), [(512, 64, 40), (1024, 200, 80)])
def test_equals_numpy_with_librosas_filters(n_fft, hop, n_mels):
    from librosa.filters import mel

    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 20 * hop)
    padded = np.pad(waveform, n_fft // 2)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    spectra = [np.abs(np.fft.rfft(padded[n * hop : n * hop + n_fft] * window)) for n in range(20)]
    expected = np.array(spectra) @ mel(sr=RATE, n_fft=n_fft, n_mels=n_mels, dtype=np.float64).T
    ours = LogMel(RATE, n_fft, hop, n_mels)(torch.from_numpy(waveform)).numpy()
    # float32 against float64; the logarithm makes relative errors of 1e-4 absolute ones
    np.testing.assert_allclose(ours, np.log(np.maximum(expected, 1e-5)), atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 700))
def test_one_frame_a_unit_at_any_length(samples):
    frames = LogMel(RATE, 256, 64, 20)(torch.zeros(3, samples))
    assert frames.shape == (3, -(-samples // 64), 20)


def test_frame_n_is_centred_on_its_sample():
    click = torch.zeros(64 * 20)
    click[64 * 7] = 1.0
    energy = LogMel(RATE, 256, 64, 20)(click).sum(-1)
    assert energy.argmax() == 7
    torch.testing.assert_close(energy[6], energy[8])  # the click lies symmetrically between them


def test_silence_is_the_floor_with_finite_gradient():
    silence = torch.zeros(512, requires_grad=True)
    frames = LogMel(RATE, 256, 64, 20, floor=1e-4)(silence)
    assert torch.equal(frames, torch.full_like(frames, np.log(np.float32(1e-4))))
    frames.sum().backward()
    assert silence.grad.isfinite().all()


def test_autocast_changes_nothing():
    waveform, mel = torch.rand(2, 640), LogMel(RATE, 256, 64, 20)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = mel(waveform)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, mel(waveform))


def test_filters_without_a_bin_are_refused():
    with pytest.raises(ConfigError, match=r"80 mel filters are too many for n_fft 128 at 8000 Hz"):
        LogMel(RATE, 128, 64, 80)


def test_a_floor_without_logarithm_is_refused():
    with pytest.raises(ConfigError, match=r"floor 0\.0"):
        LogMel(RATE, 256, 64, 20, floor=0.0)


def test_the_state_of_a_model_holds_no_filters():
    assert not LogMel(RATE, 256, 64, 20).state_dict()


def panels(image: np.ndarray) -> list[slice]:
    """Return the rows of each spectrogram: dark ones, apart from the few of a tone."""
    rows = np.flatnonzero(image[:, 200:700].mean(axis=(1, 2)) < 130)
    parts = np.split(rows, 1 + np.flatnonzero(np.diff(rows) > 15))
    return [slice(part[0], part[-1] + 1) for part in parts if len(part) > 100]


def height_of_tone(image: np.ndarray, rows: slice) -> float:
    """Return at which share of a panel's height its brightest row lies."""
    brightness = image[rows, 200:700].sum(axis=(1, 2), dtype=int)[40:-5]  # below the label
    return 1 - (40 + int(brightness.argmax())) / (rows.stop - rows.start)


def test_images_show_tones_at_their_heights():
    units = np.repeat([5, 7], [60, 65])
    image = reconstruction_image(tone(1000), torch.from_numpy(tone(3000)), units, RATE, 64)
    assert image.dtype == np.uint8 and image.shape[1:] == (1000, 3)
    top, bottom = panels(image)
    # half of the rate is the whole height; a panel has about 200 rows, and the tone is a few of them wide
    assert height_of_tone(image, top) == pytest.approx(1000 / 4000, abs=0.03)
    assert height_of_tone(image, bottom) == pytest.approx(3000 / 4000, abs=0.03)
    image = speech_image(tone(2000), units, RATE, 64, title="a")
    (only,) = panels(image)
    assert height_of_tone(image, only) == pytest.approx(2000 / 4000, abs=0.03)


def test_images_of_silence_and_of_one_sample():
    for wave in (np.zeros(4000, np.float32), torch.zeros(1)):
        assert speech_image(wave, [1], RATE, 64).shape[1:] == (1000, 3)


def test_a_figure_of_minutes_has_few_columns():
    from vqaudio.audio.spectrogram import _levels_db

    assert _levels_db(np.zeros(RATE * 300, np.float32), RATE).shape[1] < 5000


def test_figure_is_written_and_shows_its_parts(tmp_path):
    import matplotlib.image

    units = np.repeat([5, 300, 7], [60, 2, 63])
    path = tmp_path / "new" / "a.png"
    plot_reconstruction(path, tone(1000), torch.from_numpy(tone(3000)), units, RATE, 64, title="a — b")
    image = matplotlib.image.imread(path)
    assert image.shape[1] == 1440 and 600 < image.shape[0] < 900
    bright = image[:, 300:1100, :3].sum((1, 2)) / 800
    dark = np.flatnonzero(bright < 0.5)  # rows of the spectrograms without energy
    middle = image.shape[0] // 2
    assert (dark < middle).any() and (dark > middle).any()
    assert bright[middle] > 1.5  # the strip of units between them is light


@pytest.mark.parametrize(("samples", "units"), [(0, [1]), (100, [])])
def test_nothing_to_draw_is_said(tmp_path, samples, units):
    with pytest.raises(VQAudioError, match="nothing to draw"):
        plot_reconstruction(tmp_path / "a.png", np.zeros(samples), np.zeros(100), units, RATE, 64)
    with pytest.raises(VQAudioError, match="nothing to draw"):
        speech_image(np.zeros(samples), units, RATE, 64)


def test_a_figure_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(VQAudioError, match="cannot write"):
        plot_reconstruction(tmp_path / "file" / "a.png", tone(100), tone(100), [1, 2], RATE, 64)
