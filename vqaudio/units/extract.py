"""From a data directory to a folder of units."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
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
from vqaudio.units.locks import at_work
from vqaudio.units.partial import PartialUnits, fingerprint, read_partial_spec, read_partial_units
from vqaudio.units.runs import collapse as collapse_runs
from vqaudio.units.sharding import Shard, find_shards, known_seconds, other_shards, remove_shards
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
    shard: Shard | None = None,
) -> Extraction:
    """Encode every utterance of `data` and write `units.txt` and `units.json` into `folder`.

    Audio is read and encoded in blocks, the next ones read while one is encoded: an utterance of hours takes no more
    memory than one of minutes.
    An interrupted extraction goes on where it stopped. Utterances whose audio cannot be read are left out and
    listed in `rejected.tsv`.

    Args:
        collapse: write runs of one unit once, and their lengths to `durations.txt`.
        max_rejected_share: share of rejected utterances, of all in `data`, above which the extraction fails.
        shard: encode this part alone, and leave it in `folder/shards` for a later extraction without a shard, which
            takes it over and encodes what is missing: the files are the same as if it had encoded all.

    Raises:
        UnitsError: the folder holds units of another model, or shards of other data.
        VQAudioError: audio of another sample rate, too many utterances rejected, a folder that cannot be
            written or that another job is writing; what was encoded until then is kept for the next run.
    """
    folder = Path(folder)
    started = time.monotonic()
    with at_work(folder, shard):
        job = _Job.begin(folder, UnitSpec.of_model(model), data, shard)
        rejected, seconds = _encode_all(model, job, progress)
        write_rejected(job.folder / REJECTED_FILE, rejected)
        check_share(rejected, len(data), max_rejected_share, job.folder / REJECTED_FILE)
        if shard is None:
            _write(folder, job.sequences, job.spec, collapse)
            job.partial.delete()
            remove_shards(folder)
        units = sum(len(job.sequences[u.id]) for u in job.utterances if u.id in job.sequences)
        total, resumed = len(job.utterances), len(job.utterances) - len(job.missing)
        wall = time.monotonic() - started
        summary = Extraction(total - len(rejected), resumed, len(rejected), units, seconds, wall)
        _log(summary, job.folder)
    return summary


@dataclass(frozen=True)
class _Job:
    """What one job has to do, and what is done.

    `folder` is where it leaves its units; `missing` is what it has to encode of its `utterances`. `sequences` maps ids
    to the units (N,) that are finished, be it by this job or by others; what this one adds goes to `partial` too.
    """

    folder: Path
    spec: UnitSpec
    utterances: Sequence[Utterance]
    missing: Sequence[Utterance]
    partial: PartialUnits
    sequences: dict[str, np.ndarray]

    @classmethod
    def begin(cls, folder: Path, spec: UnitSpec, data: DataDir, shard: Shard | None) -> _Job:
        _refuse_other_models_units(folder, spec)
        mark = fingerprint(data.utterances)
        sequences = _done_by_others(folder, spec, mark, shard)
        own, utterances = folder, data.utterances
        if shard is not None:
            own, utterances = shard.folder(folder), shard.take(utterances, known_seconds(utterances))
        partial = PartialUnits(own, spec, mark)
        sequences |= partial.sequences
        missing = [utterance for utterance in utterances if utterance.id not in sequences]
        return cls(own, spec, utterances, missing, partial, sequences)

    def add(self, utterance: str, units: np.ndarray) -> None:
        self.partial.append(utterance, units)
        self.sequences[utterance] = units


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
    unfinished = [read_partial_spec(path) for path in (folder, *find_shards(folder).values())]
    for present in (finished, *unfinished):
        if present is not None and (differing := differences(present, spec)):
            raise UnitsError(
                f"{folder} holds units of another model: {present.describe()}; the model given is "
                f"{spec.describe()} (differing: {', '.join(differing)}). "
                "Choose another folder, or delete this one."
            )


def _done_by_others(folder: Path, spec: UnitSpec, mark: str, shard: Shard | None) -> dict[str, np.ndarray]:
    """Return the units that shards have left in `folder`; for a shard, what an undivided run and other divisions have.

    Raises UnitsError where that is of other data and would be thrown away.
    """
    done: dict[str, np.ndarray] = {}
    for path in (*other_shards(folder, shard).values(), *[folder] * (shard is not None)):
        units = read_partial_units(path, spec, mark)
        if units is None and shard is None and read_partial_spec(path) is not None:
            raise UnitsError(
                f"{path} holds units of other data: audio or lists have changed since, or another data directory was "
                f"given. Delete {path.parent} to extract all again, or give the data that it is of."
            )
        done |= units or {}
    return done


def _encode_all(model: VQVAE, job: _Job, progress: bool) -> tuple[list[Rejection], float]:
    """Encode what is missing; return what was rejected, and the seconds of audio that were encoded."""
    rejected: list[Rejection] = []
    total, missing = 0.0, len(job.missing)
    if missing < len(job.utterances):
        logger.info("going on: %d utterances are done, %d to do", len(job.utterances) - missing, missing)
    bar = tqdm(total=missing, desc="extract", unit="utt", disable=not progress)
    with bar, closing(job.partial), closing(read_ahead(job.missing)) as readings:
        for utterance, blocks in readings:
            try:
                units, seconds = encode_utterance(model, utterance, blocks)
            except AudioError as error:
                logger.warning("%s is left out: %s", utterance.id, error)
                rejected.append(Rejection(utterance.id, utterance.recording, error.reason))
            else:
                job.add(utterance.id, units)
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
    seconds, speed = summary.audio_seconds, summary.speed
    logger.info(
        "%s: %d units of %d utterances (%d done before, %d rejected)%s",
        folder,
        summary.units,
        summary.utterances,
        summary.resumed,
        summary.rejected,
        f"; {seconds:.0f} s of audio in {summary.wall_seconds:.1f} s, {speed:.0f} times real time" if seconds else "",
    )
