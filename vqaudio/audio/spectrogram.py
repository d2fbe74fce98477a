"""Spectrograms: as features (`LogMel`), and as figures beside the units."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from vqaudio.audio.atomic import write_whole
from vqaudio.audio.torchaudio_compat import import_torchaudio
from vqaudio.errors import ConfigError, VQAudioError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WINDOW_SECONDS = 0.032  # of figures: resolves pitch (about 30 Hz) and still shows the onset of a stop
RANGE_DB = 70.0  # of figures: from the loudest point down
_MAX_COLUMNS = 4000  # of figures: longer recordings are drawn with a longer hop
_COLOURS = "magma"


class LogMel(nn.Module):
    """Log-mel spectrogram: waveform (B, T) or (T,) at `sample_rate` Hz -> (B, N, n_mels) or (N, n_mels).

    Natural logarithm of the mel-weighted magnitude, no lower than log(floor). N = ceil(T / hop_length), and
    frame n is centred on sample n * hop_length, so that frames lie beside the units of an encoder:

        samples   0 . . . . . . . hop . . . . . . . 2 hop . . . .
        frame 0   ^ centre
        frame 1                   ^ centre

    The signal is taken as 0 outside its samples. Mel filters: Slaney's scale, unit area, as librosa's.
    Computed in float32, outside autocast. Raises ConfigError where a filter would cover no bin.
    """

    def __init__(self, sample_rate: int, n_fft: int, hop_length: int, n_mels: int, floor: float = 1e-5) -> None:
        super().__init__()
        if floor <= 0:
            raise ConfigError(f"log-mel floor {floor!r}: expected a positive number, such as 1e-5")
        self.n_fft, self.hop_length, self.floor = n_fft, hop_length, floor
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("filters", _mel_filters(sample_rate, n_fft, n_mels), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the log-mel spectrogram of a waveform; differentiable."""
        frames = -(-waveform.shape[-1] // self.hop_length)
        with torch.autocast(waveform.device.type, enabled=False):
            spectrum = torch.stft(
                waveform.float(), self.n_fft, self.hop_length,
                window=self.window, center=True, pad_mode="constant", return_complex=True,
            )  # (B, n_fft / 2 + 1, 1 + T // hop)  # fmt: skip
            # |.| alone has no gradient at 0, which digital silence reaches.
            magnitude = (torch.view_as_real(spectrum).square().sum(-1) + 1e-20).sqrt()
            mel = magnitude[..., :frames].transpose(-1, -2) @ self.filters  # (B, N, n_mels)
            return mel.clamp_min(self.floor).log()


def plot_reconstruction(
    path: str | os.PathLike,
    natural: np.ndarray | Tensor,
    reconstructed: np.ndarray | Tensor,
    units: Sequence[int] | np.ndarray | Tensor,
    sample_rate: int,
    hop_length: int,
    title: str = "",
) -> None:
    """Draw a recording, its units and what was made of them, one above the other, as a PNG at `path`.

    Both waveforms have shape (T,), at `sample_rate` Hz; unit n covers samples n * hop_length to
    (n + 1) * hop_length. Runs of one unit form one field, with the unit's number where it fits. Shades are dB
    below the loudest point of the natural recording, the same in both spectrograms.
    """
    waves = {"natural": natural, "reconstructed": reconstructed}
    figure = _speech_figure(waves, units, sample_rate, hop_length, title, dpi=144, name=f"{path}: ")
    with write_whole(path) as file:
        figure.savefig(file, format="png")


def reconstruction_image(
    natural: np.ndarray | Tensor,
    reconstructed: np.ndarray | Tensor,
    units: Sequence[int] | np.ndarray | Tensor,
    sample_rate: int,
    hop_length: int,
    title: str = "",
) -> np.ndarray:
    """Draw what `plot_reconstruction` draws, smaller, as pixels: uint8 (H, W, 3)."""
    waves = {"natural": natural, "reconstructed": reconstructed}
    return pixels(_speech_figure(waves, units, sample_rate, hop_length, title))


def speech_image(
    waveform: np.ndarray | Tensor,
    units: Sequence[int] | np.ndarray | Tensor,
    sample_rate: int,
    hop_length: int,
    title: str = "",
) -> np.ndarray:
    """Draw the spectrogram of a waveform (T,) and, below it, its units, as `plot_reconstruction` does: (H, W, 3)."""
    return pixels(_speech_figure({"": waveform}, units, sample_rate, hop_length, title))


def new_figure(width: float, height: float, dpi: int = 100) -> Figure:
    """Return an empty figure of `width` by `height` inches, beside whatever else uses matplotlib in this process."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """Return a figure of `new_figure` as uint8 (H, W, 3)."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


# --------------------------------------------------------------------------------------------- features


def _mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> Tensor:
    """Return the mel filters, shape (n_fft / 2 + 1, n_mels)."""
    functional = import_torchaudio().functional
    with warnings.catch_warnings():  # torchaudio warns of empty filters; here they are an error
        warnings.simplefilter("ignore")
        filters = functional.melscale_fbanks(
            n_fft // 2 + 1, 0.0, sample_rate / 2, n_mels, sample_rate, norm="slaney", mel_scale="slaney"
        )
    empty = torch.nonzero(filters.sum(0) == 0).flatten().tolist()
    if empty:
        raise ConfigError(
            f"{n_mels} mel filters are too many for n_fft {n_fft} at {sample_rate} Hz: {len(empty)} of them "
            f"cover no frequency bin; use fewer mel filters or a larger n_fft"
        )
    return filters


# ----------------------------------------------------------------------------------------------- images


def _as_numpy(values: Sequence[int] | np.ndarray | Tensor) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _levels_db(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the magnitude in dB: (window / 2, columns), row 0 at 0 Hz, column 0 centred on sample 0."""
    window = 2 ** round(math.log2(WINDOW_SECONDS * sample_rate))
    hop = max(window // 8, len(waveform) // _MAX_COLUMNS)
    padded = np.pad(waveform.astype(np.float32), window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(window).astype(np.float32), axis=1))
    return 20 * np.log10(magnitude[:, : window // 2].T + 1e-7)


def _shade(levels: np.ndarray, loudest: float) -> np.ndarray:
    """Map the 70 dB below `loudest` to [0, 1]."""
    return np.clip((levels - loudest) / RANGE_DB + 1.0, 0.0, 1.0)


# ----------------------------------------------------------------------------------------------- figure


def _speech_figure(
    waves: Mapping[str, np.ndarray | Tensor],
    units: Sequence[int] | np.ndarray | Tensor,
    sample_rate: int,
    hop_length: int,
    title: str,
    dpi: int = 100,
    name: str = "",
) -> Figure:
    """Return a figure of one or two waveforms by their labels: the first, the units below it, the second below them.

    `name` begins the error that nothing is to be drawn.
    """
    waves = {label: _as_numpy(wave) for label, wave in waves.items()}
    units = _as_numpy(units).astype(np.int64)
    if not len(units) or not all(map(len, waves.values())):
        raise VQAudioError(f"{name}nothing to draw: {len(units)} units, {list(map(len, waves.values()))} samples")
    seconds = max(*map(len, waves.values()), len(units) * hop_length) / sample_rate
    heights = [1.0, 0.16, 1.0][: 1 + len(waves)]
    figure = new_figure(10.0, 0.4 + 2.22 * sum(heights), dpi)
    figure.get_layout_engine().set(hspace=0.015, h_pad=0.03)
    rows = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    levels = [_levels_db(wave, sample_rate) for wave in waves.values()]
    for axes, level, (label, wave) in zip(rows[::2], levels, waves.items(), strict=True):
        image = _draw_spectrogram(axes, _shade(level, levels[0].max()), len(wave) / sample_rate, sample_rate, label)
    _draw_units(rows[1], units, hop_length / sample_rate, seconds)
    rows[-1].set_xlim(0.0, seconds)
    rows[-1].set_xlabel("time (s)")
    _draw_scale(figure, image, rows[::2])
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _draw_spectrogram(axes: Axes, shades: np.ndarray, seconds: float, sample_rate: int, name: str):
    from matplotlib.ticker import MaxNLocator

    image = axes.imshow(
        RANGE_DB * (shades - 1.0), origin="lower", aspect="auto", cmap=_COLOURS, interpolation="bilinear",
        extent=(0.0, seconds, 0.0, sample_rate / 2000), vmin=-RANGE_DB, vmax=0.0,
    )  # fmt: skip
    axes.set_ylabel("kHz")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set_facecolor("black")
    axes.tick_params(labelsize=9, length=3)
    axes.text(0.008, 0.95, name, transform=axes.transAxes, va="top", color="white", fontsize=10, fontweight="bold")
    return image


def _draw_units(axes: Axes, units: np.ndarray, unit_seconds: float, seconds: float) -> None:
    """Draw runs of equal units as coloured fields, each with its number where the field is wide enough."""
    edges = np.flatnonzero(np.diff(units, prepend=-1, append=-1))  # where runs begin, and the end of the last
    width_points = axes.figure.get_figwidth() * 72 * 0.86 / seconds  # of a second; 0.86 is about the axes' share
    for begin, end in pairwise(edges):
        unit, left, width = int(units[begin]), begin * unit_seconds, (end - begin) * unit_seconds
        axes.axvspan(left, left + width, color=_unit_colour(unit), linewidth=0)
        _label_run(axes, str(unit), left + width / 2, width * width_points)
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([])
    axes.set_ylabel("units", rotation=0, ha="right", va="center", fontsize=9)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _label_run(axes: Axes, label: str, centre: float, width_points: float) -> None:
    size = 6.5
    flat, upright = (
        0.62 * size * len(label) + 2,
        size + 0.5,
    )  # widths of the label, lying and standing, in points
    if width_points >= upright:
        rotation = 0 if width_points >= flat else 90
        axes.text(centre, 0.5, label, ha="center", va="center", fontsize=size, rotation=rotation, color="#202020")


def _unit_colour(unit: int) -> tuple[float, float, float]:
    """Return a light colour for a unit; steps of the golden ratio keep neighbouring numbers apart in hue."""
    from matplotlib.colors import hsv_to_rgb

    hue = (unit * 0.6180339887) % 1.0
    return tuple(hsv_to_rgb((hue, 0.28 + 0.10 * (unit % 3), 0.93)))


def _draw_scale(figure, image, axes: Sequence[Axes]) -> None:
    bar = figure.colorbar(image, ax=list(axes), pad=0.012, fraction=0.02, aspect=45)
    bar.set_label("dB", fontsize=9)
    bar.ax.tick_params(labelsize=8, length=2)
    bar.outline.set_visible(False)
