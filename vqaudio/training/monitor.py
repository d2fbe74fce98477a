"""TensorBoard: scalars, audio and spectrograms, histograms and the codebook; a broken disk only silences it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqaudio.audio.spectrogram import spectrogram_image

logger = logging.getLogger(__name__)


class Monitor:
    """Writes events into a folder. The first failure is logged and ends the writing, not the training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer = None
        self._failed = False

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars named group/name."""
        self._write(lambda w: [w.add_scalar(name, value, step) for name, value in values.items()])

    def audio(self, name: str, waveform: Tensor, sample_rate: int, step: int) -> None:
        """Write a waveform (T,) as sound and as a spectrogram."""
        waveform = waveform.detach().cpu().float().clamp(-1, 1)
        self._write(lambda w: w.add_audio(name, waveform[None], step, sample_rate))
        image = spectrogram_image(waveform.numpy(), sample_rate)
        self._write(lambda w: w.add_image(name, image, step, dataformats="HWC"))

    def histogram(self, name: str, counts: Tensor, step: int) -> None:
        """Write how often each code was used (K,): a histogram with one bin per code."""
        counts = counts.double().cpu().numpy()
        index = np.arange(len(counts))
        self._write(
            lambda w: w.add_histogram_raw(
                name,
                min=0,
                max=len(counts),
                num=counts.sum(),
                sum=(index * counts).sum(),
                sum_squares=(index**2 * counts).sum(),
                bucket_limits=(index + 1).tolist(),
                bucket_counts=counts.tolist(),
                global_step=step,
            )
        )

    def codebook(self, name: str, codes: Tensor, counts: Tensor, step: int) -> None:
        """Write the codes (K, D) for the projector, labelled with their index and share of use (K,)."""
        share = (100 * counts / counts.sum().clamp_min(1)).tolist()
        rows = [[str(k), f"{percent:.3f}"] for k, percent in enumerate(share)]
        self._write(
            lambda w: w.add_embedding(codes.detach().cpu(), rows, None, step, name, metadata_header=["code", "percent"])
        )

    def close(self) -> None:
        """Flush and close the event file."""
        if self._writer is not None:
            self._write(lambda w: w.close())

    def _write(self, write: Callable) -> None:
        if self._failed:
            return
        try:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter  # imports for a second

                self._writer = SummaryWriter(str(self.folder))
            write(self._writer)
        except (OSError, RuntimeError) as error:
            self._failed = True
            logger.warning("cannot write TensorBoard's events to %s: %s; training goes on", self.folder, error)


class CodeUsage:
    """Counts of each code over a window of steps, kept on the device of the units."""

    def __init__(self, codes: int) -> None:
        self.codes = codes
        self.reset()

    def reset(self) -> None:
        """Begin a new window."""
        self.counts = torch.zeros(self.codes, dtype=torch.long)
        self.revived = 0

    def add(self, units: Tensor, revived: int) -> None:
        """Take in the units of a step, and the number of codes that it revived."""
        self.counts = self.counts.to(units.device) + torch.bincount(units.reshape(-1), minlength=self.codes)
        self.revived += revived

    def scalars(self) -> dict[str, float]:
        """Return usage (share of codes used), perplexity (codes), dead and revived codes of the window."""
        total = int(self.counts.sum())
        if not total:
            return {}
        p = self.counts.double() / total
        entropy = -(p * p.clamp_min(1e-30).log()).sum()
        used = int((self.counts > 0).sum())
        return {
            "codebook/usage": used / self.codes,
            "codebook/perplexity": float(entropy.exp()),
            "codebook/dead": self.codes - used,
            "codebook/revived": self.revived,
        }
