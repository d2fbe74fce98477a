"""TensorBoard: scalars, sound and pictures, histograms and the codebook; a broken disk only silences it for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from vqaudio.training.monitor_layout import Charts, flat, hyperparameter_summaries

logger = logging.getLogger(__name__)
PAUSE = 60.0
"""Seconds without writing after a failure: a full disk may be so for a while only, and each try takes time."""


class Monitor:
    """Writes events into a folder, or nowhere.

    A failure does not end the training: it is logged, what comes within PAUSE seconds is left out, and what comes then
    goes to a new file of events, which TensorBoard shows as going on from the old ones.

    A name is of one kind: TensorBoard shows neither sounds nor pictures of a name that it has met as another kind.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._writer = None
        self._silent_until = 0.0 if folder is not None else float("inf")
        self._purge_step: int | None = None

    def begin(self, step: int, config: Mapping[str, Any], charts: Charts) -> None:
        """Go on after `step` steps: what an interrupted process wrote of later ones does not count.

        At step 0 the configuration is written as text, and `charts` as the layout of the page Custom Scalars.
        """
        self._purge_step = step + 1 if step else 0
        if step == 0:
            text = f"```yaml\n{yaml.safe_dump(dict(config), sort_keys=False)}```"
            self._write(lambda w: w.add_text("configuration", text, step))
            self._write(lambda w: w.add_custom_scalars(charts))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars named group/name."""
        self._write(lambda w: [w.add_scalar(name, value, step) for name, value in values.items()])

    def audio(self, name: str, waveform: Tensor, sample_rate: int, step: int) -> None:
        """Write a waveform (T,) as sound; nothing of one without samples."""
        if len(waveform):
            waveform = waveform.detach().cpu().float().clamp(-1, 1)
            self._write(lambda w: w.add_audio(name, waveform[None], step, sample_rate))

    def image(self, name: str, draw: Callable[[], np.ndarray], step: int) -> None:
        """Write a picture, uint8 (H, W, 3). `draw` makes it, where it can be written at all."""
        self._write(lambda w: w.add_image(name, draw(), step, dataformats="HWC"))

    def histogram(self, name: str, counts: Tensor, step: int) -> None:
        """Write how often something happened to each code (K,): a histogram with one bin per code."""
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

    def codebook(self, name: str, codes: Tensor, counts: Tensor, revivals: Tensor, step: int) -> None:
        """Write the codes (K, D) for the projector, labelled with their index, share of use and revivals (K,)."""
        share = (100 * counts / counts.sum().clamp_min(1)).tolist()
        rows = [[str(k), f"{percent:.3f}", str(n)] for k, (percent, n) in enumerate(zip(share, revivals.tolist()))]
        header = ["code", "percent", "revived"]
        self._write(lambda w: w.add_embedding(codes.detach().cpu(), rows, None, step, name, metadata_header=header))

    def hyperparameters(self, config: Mapping[str, Any], seconds: float) -> None:
        """Write the configuration of a training of `seconds` that has ended, for comparison with others."""
        self._write(lambda w: [w.file_writer.add_summary(s) for s in hyperparameter_summaries(flat(config), seconds)])

    def flush(self) -> None:
        """Write what there is to the disk."""
        if self._writer is not None:
            self._write(lambda w: w.flush())

    def close(self) -> None:
        """Flush and close the event file."""
        if self._writer is not None:
            self._write(lambda w: w.close())

    def _write(self, write: Callable) -> None:
        if time.monotonic() < self._silent_until:
            return
        try:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter  # imports for a second

                _leave_worker_errors_to_us()
                self._writer = SummaryWriter(str(self.folder), purge_step=self._purge_step)
                self._purge_step = None  # what a later file holds takes nothing away from this one
            write(self._writer)
        except (OSError, RuntimeError) as error:
            logger.warning("cannot write TensorBoard's events to %s: %s; training goes on", self.folder, error)
            self._silent_until = time.monotonic() + PAUSE
            if self._writer is not None:
                with suppress(OSError, RuntimeError):
                    self._writer.close()
                self._writer = None


def _leave_worker_errors_to_us() -> None:
    """Let no traceback be printed of the thread in which TensorBoard writes: its errors come to `_write`, too."""
    if getattr(threading.excepthook, "of_monitor", False):
        return
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not (isinstance(args.exc_value, OSError) and type(args.thread).__module__.startswith("tensorboard.")):
            before(args)

    hook.of_monitor = True  # type: ignore[attr-defined]
    threading.excepthook = hook


class CodeUsage:
    """Counts of each code over a window of steps, kept on the device of the units."""

    def __init__(self, codes: int) -> None:
        self.codes = codes
        self.reset()

    def reset(self) -> None:
        """Begin a new window."""
        self.counts = torch.zeros(self.codes, dtype=torch.long)
        self.revived = 0

    def add(self, units: Tensor, revived: int = 0) -> None:
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
