"""From a data directory to a folder of units."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vqaudio.corpus import DataDir, Utterance
from vqaudio.corpus.prefetch import Block, read_ahead
from vqaudio.corpus.rejected import Rejection, check_share, write_rejected
from vqaudio.errors import AudioError, UnitsError, VQAudioError
from vqaudio.models.vqvae import VQVAE
from vqaudio.units.partial import PartialUnits, fingerprint, read_partial_spec
from vqaudio.units.runs import collapse as collapse_runs
from vqaudio.units.spec import SPEC_FILE, UnitSpec, differences
from vqaudio.units.text import write_units

logger = logging.getLogger(__name__)

REJECTED_FILE = "rejected.tsv"


@dataclass(frozen=True)
class Extraction:
    """What an extraction did. Seconds of audio and of computing are those of this run alone."""

    utterances: int
    resumed: int
    rejected: int
    units: int
    audio_seconds: float
    wall_seconds: float

    @property
    def speed(self) -> float:
        """Seconds of audio encoded per second of computing."""
        return self.audio_seconds / self.wall_seconds if self.wall_seconds else 0.0


def extract_units(
    model: VQVAE,
    data: DataDir,
    folder: str | Path,
    *,
    collapse: bool = False,
    max_rejected_share: float = 0.05,
    progress: bool = True,
) -> Extraction:
    """Encode every utterance of `data` and write `units.txt` and `units.json` into `folder`.

    Audio is read and encoded in blocks, the next ones read while one is encoded: an utterance of hours takes no more
    memory than one of minutes.
    An interrupted extraction goes on where it stopped. Utterances whose audio cannot be read are left out and
    listed in `rejected.tsv`.

    Args:
        collapse: write runs of one unit once, and their lengths to `durations.txt`.
        max_rejected_share: share of rejected utterances above which the extraction fails.

    Raises:
        UnitsError: the folder holds units of another model.
        VQAudioError: audio of another sample rate, too many utterances rejected, or a folder that cannot be
            written; what was encoded until then is kept for the next run.
    """
    folder = Path(folder)
    spec = UnitSpec.of_model(model)
    _refuse_other_models_units(folder, spec)
    started = time.monotonic()
    partial = PartialUnits(folder, spec, fingerprint(data.utterances))
    try:
        resumed = len(partial.sequences)
        rejected, seconds = _encode_all(model, data, partial, progress)
    finally:
        partial.close()
    write_rejected(folder / REJECTED_FILE, rejected)
    check_share(rejected, len(data), max_rejected_share, folder / REJECTED_FILE)
    _write(folder, partial.sequences, spec, collapse)
    partial.delete()
    units = sum(map(len, partial.sequences.values()))
    wall = time.monotonic() - started
    summary = Extraction(len(partial.sequences), resumed, len(rejected), units, seconds, wall)
    _log(summary, folder)
    return summary


def encode_utterance(model: VQVAE, utterance: Utterance, blocks: Iterable[Block]) -> tuple[np.ndarray, float]:
    """Return the units (N,) int64 of one utterance, encoded block by block, and its length in seconds.

    Raises:
        AudioError: its audio cannot be read.
        VQAudioError: its audio has another rate than the model's.
    """
    rate, device, samples = model.config.sample_rate, next(model.parameters()).device, 0

    def waveform() -> Iterator[Tensor]:
        nonlocal samples
        for block in blocks:
            require_rate(utterance, block.sample_rate, rate)
            samples += len(block.samples)
            yield torch.from_numpy(block.samples).to(device)

    units = torch.cat(list(model.encode_stream(waveform())))
    return units.cpu().numpy(), samples / rate


def require_rate(utterance: Utterance, rate: int, expected: int) -> None:
    """Raise a VQAudioError that names the file, both rates (Hz) and the remedy unless `rate` is `expected`."""
    if rate != expected:
        raise VQAudioError(
            f"{utterance.recording} has {rate} Hz, the model takes {expected} Hz: convert the data first "
            f"(`vqaudio data format --sample_rate {expected}`, or the recipe's format stage)"
        )


def _refuse_other_models_units(folder: Path, spec: UnitSpec) -> None:
    finished = UnitSpec.load(folder) if (folder / SPEC_FILE).exists() else None
    for present in (finished, read_partial_spec(folder)):
        if present is not None and (differing := differences(present, spec)):
            raise UnitsError(
                f"{folder} holds units of another model: {present.describe()}; the model given is "
                f"{spec.describe()} (differing: {', '.join(differing)}). "
                "Choose another folder, or delete this one."
            )


def _encode_all(model: VQVAE, data: DataDir, partial: PartialUnits, progress: bool) -> tuple[list[Rejection], float]:
    """Encode what `partial` lacks; return what was rejected, and the seconds of audio that were encoded."""
    rejected: list[Rejection] = []
    total = 0.0
    missing = [u for u in data.utterances if u.id not in partial.sequences]
    if len(missing) < len(data):
        logger.info("going on: %d utterances are done, %d to do", len(partial.sequences), len(missing))
    bar = tqdm(total=len(missing), desc="extract", unit="utt", disable=not progress)
    with bar, closing(read_ahead(missing)) as readings:
        for utterance, blocks in readings:
            try:
                units, seconds = encode_utterance(model, utterance, blocks)
            except AudioError as error:
                logger.warning("%s is left out: %s", utterance.id, error)
                rejected.append(Rejection(utterance.id, utterance.recording, error.reason))
            else:
                partial.append(utterance.id, units)
                total += seconds
            bar.update()
    return rejected, total


def _write(folder: Path, sequences: dict[str, np.ndarray], spec: UnitSpec, collapse: bool) -> None:
    if not collapse:
        write_units(folder, sequences.items(), spec)
        return
    runs = {utt: collapse_runs(units) for utt, units in sequences.items()}
    values = [(utt, values) for utt, (values, _) in runs.items()]
    durations = {utt: lengths for utt, (_, lengths) in runs.items()}
    write_units(folder, values, replace(spec, collapsed=True), durations)


def _log(summary: Extraction, folder: Path) -> None:
    logger.info(
        "%s: %d units of %d utterances (%d from an earlier run, %d rejected); "
        "%.0f s of audio in %.1f s, %.0f times real time",
        folder,
        summary.units,
        summary.utterances,
        summary.resumed,
        summary.rejected,
        summary.audio_seconds,
        summary.wall_seconds,
        summary.speed,
    )
