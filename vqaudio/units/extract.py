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

from vqaudio.audio.fileset import replace_files
from vqaudio.audio.space import require_space
from vqaudio.corpus import DataDir, Utterance
from vqaudio.corpus.prefetch import Block, read_ahead
from vqaudio.corpus.rejected import Rejection, check_share, write_rejected
from vqaudio.errors import AudioError, UnitsError, VQAudioError
from vqaudio.models.vqvae import VQVAE
from vqaudio.units.locks import at_work
from vqaudio.units.partial import Finished, PartialUnits, fingerprint, read_partial_spec, read_partial_units
from vqaudio.units.runs import collapse as collapse_runs
from vqaudio.units.sharding import Shard, find_shards, known_seconds, other_shards, remove_shards
from vqaudio.units.spec import SPEC_FILE, UnitSpec, differences
from vqaudio.units.text import DURATIONS_FILE, UNITS_FILE, format_line

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
    with at_work(folder, shard), closing(Finished()) as finished:
        job = _Job.begin(folder, UnitSpec.of_model(model), data, shard, finished)
        _require_space(job, folder, shard is None and not collapse)
        rejected, seconds = _encode_all(model, job, progress)
        write_rejected(job.folder / REJECTED_FILE, rejected)
        check_share(rejected, len(data), max_rejected_share, job.folder / REJECTED_FILE)
        units = sum(finished.line(u.id).count(b" ") for u in job.utterances if u.id in finished)
        if shard is None:
            _write(folder, finished, job.spec, collapse)
            job.partial.delete()
            remove_shards(folder)
        total, resumed = len(job.utterances), len(job.utterances) - len(job.missing)
        wall = time.monotonic() - started
        summary = Extraction(total - len(rejected), resumed, len(rejected), units, seconds, wall)
        _log(summary, job.folder)
    return summary


@dataclass(frozen=True)
class _Job:
    """What one job has to do, and what is done.

    `folder` is where it leaves its units; `missing` is what it has to encode of its `utterances`. `finished` knows what
    is done: of a job that completes a folder, by itself or by shards; of a shard, by itself.
    """

    folder: Path
    spec: UnitSpec
    utterances: Sequence[Utterance]
    missing: Sequence[Utterance]
    partial: PartialUnits
    finished: Finished

    @classmethod
    def begin(cls, folder: Path, spec: UnitSpec, data: DataDir, shard: Shard | None, finished: Finished) -> _Job:
        _refuse_other_models_units(folder, spec)
        mark = fingerprint(data.utterances)
        done = finished if shard is None else Finished()
        _take_in_others(folder, spec, mark, shard, done)
        own, utterances = folder, data.utterances
        if shard is not None:
            own, utterances = shard.folder(folder), shard.take(utterances, known_seconds(utterances))
        partial = PartialUnits(own, spec, mark, finished)
        missing = [u for u in utterances if u.id not in finished and u.id not in done]
        return cls(own, spec, utterances, missing, partial, finished)


@dataclass(frozen=True)
class Encoded:
    """An utterance's units (N,) int64, and its length in seconds."""

    id: str
    units: np.ndarray
    seconds: float


def encode_each(model: VQVAE, utterances: Iterable[Utterance]) -> Iterator[Encoded | Rejection]:
    """Yield what becomes of each utterance, in order: its units, or, where its audio cannot be read, its rejection.

    Raises VQAudioError for audio of another rate than the model's.
    """
    with closing(read_ahead(utterances)) as readings:
        for utterance, blocks in readings:
            try:
                one = Encoded(utterance.id, *encode_utterance(model, utterance, blocks))
            except AudioError as error:
                logger.warning("%s is left out: %s", utterance.id, error)
                one = Rejection(utterance.id, utterance.recording, error.reason)
            yield one


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


def _take_in_others(folder: Path, spec: UnitSpec, mark: str, shard: Shard | None, into: Finished) -> None:
    """Take in what shards have left in `folder`; for a shard, what an undivided run and other divisions have.

    Raises UnitsError where that is of other data and would be thrown away.
    """
    for path in (*other_shards(folder, shard).values(), *[folder] * (shard is not None)):
        taken = read_partial_units(path, spec, mark, into)
        if not taken and shard is None and read_partial_spec(path) is not None:
            raise UnitsError(
                f"{path} holds units of other data: audio or lists have changed since, or another data directory was "
                f"given. Delete {path.parent} to extract all again, or give the data that it is of."
            )


def _require_space(job: _Job, folder: Path, writes_all: bool) -> None:
    """Raise VQAudioError where the disk of `folder` has no room for what is still to be written.

    That is known where lengths are, but for the digits of the units: were all codes in use alike, they would have as
    many as here. Lines of `missing` utterances are written now; with `writes_all` those of all utterances once more,
    before the unfinished ones are removed. How much shorter collapsed runs are is not known: they are not counted.
    """
    codes = job.spec.codebook_size
    unit_bytes = 1 + sum(len(str(code)) for code in range(codes)) / codes
    size = 0.0
    for utterances in (job.missing, *[job.utterances] * writes_all):
        seconds = known_seconds(utterances)
        if seconds is None:
            return
        size += sum(seconds) * job.spec.unit_rate * unit_bytes + sum(len(u.id) for u in utterances)
    require_space(folder, round(size), "the units")


def _encode_all(model: VQVAE, job: _Job, progress: bool) -> tuple[list[Rejection], float]:
    """Encode what is missing; return what was rejected, and the seconds of audio that were encoded."""
    rejected: list[Rejection] = []
    total, missing = 0.0, len(job.missing)
    if missing < len(job.utterances):
        logger.info("going on: %d utterances are done, %d to do", len(job.utterances) - missing, missing)
    bar = tqdm(total=missing, desc="extract", unit="utt", disable=not progress)
    with bar, closing(job.partial), closing(encode_each(model, job.missing)) as encoded:
        for one in encoded:
            if isinstance(one, Rejection):
                rejected.append(one)
            else:
                job.partial.append(one.id, one.units)
                total += one.seconds
            bar.update()
    return rejected, total


def _write(folder: Path, finished: Finished, spec: UnitSpec, collapse: bool) -> None:
    """Write the files of `folder`, their lines sorted, one at a time in memory."""
    if not len(finished):
        raise UnitsError(f"{folder}: no utterances to write")

    def collapsed(part: int) -> Iterator[str]:
        return (format_line(utt, collapse_runs(finished.units(utt))[part]) for utt in finished)

    contents: dict[str, Iterable[str] | Iterable[bytes]] = {UNITS_FILE: (finished.line(utt) for utt in finished)}
    if collapse:
        contents = {UNITS_FILE: collapsed(0), DURATIONS_FILE: collapsed(1)}
    contents[SPEC_FILE] = [replace(spec, collapsed=collapse).to_json()]
    replace_files(folder, contents, stale=() if collapse else (DURATIONS_FILE,))


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
