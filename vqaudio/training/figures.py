"""Figures of a codebook for TensorBoard, as arrays of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.audio.spectrogram import new_figure, pixels
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.unit_statistics import code_perplexity

_USED, _REVIVED = "#2a6f97", "#d1495b"


def sorted_usage_image(counts: ArrayLike, revivals: ArrayLike) -> np.ndarray:
    """Draw how often each code occurs, most frequent first: uint8 (H, W, 3).

    `counts` (K,): how often; `revivals` (K,): how often each was revived, marked where that is not 0. The horizontal
    axis has all K codes, so that what it leaves empty is the share that is never used; the line is where all codes
    would lie if all were as frequent. Raises VQAudioError where the two do not fit together or nothing was counted.
    """
    counts, revivals = np.asarray(counts), np.asarray(revivals)
    if counts.ndim != 1 or counts.shape != revivals.shape or not counts.sum():
        raise VQAudioError(
            f"counts of shape {counts.shape} with the sum {counts.sum()}, revivals of shape {revivals.shape}: "
            "expected (K,) each, and at least one unit"
        )
    order = np.argsort(-counts, kind="stable")
    shares = 100.0 * counts[order] / counts.sum()
    used, codes = int((counts > 0).sum()), len(counts)
    revived = np.flatnonzero(revivals[order])
    figure = new_figure(7.0, 3.6)
    axes = figure.subplots()
    ranks = np.arange(1, codes + 1)
    axes.step(ranks[:used], shares[:used], where="mid", color=_USED)
    axes.fill_between(ranks[:used], shares[:used], step="mid", color=_USED, alpha=0.2, linewidth=0)
    axes.axhline(100.0 / codes, color="grey", linewidth=0.8, linestyle="--", label="all equally frequent")
    lowest = shares[:used].min()  # codes that were not met have no place on the axis's logarithm: they go to its foot
    axes.plot(ranks[revived], np.maximum(shares[revived], lowest), ".", color=_REVIVED,
              label=f"revived since the last evaluation: {len(revived)}")  # fmt: skip
    axes.set(yscale="log", xlim=(0, codes + 1), xlabel="codes, most frequent first", ylabel="% of the units")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(f"{used} of {codes} codes used, perplexity {code_perplexity(counts):.0f}", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    return pixels(figure)
