"""Bring a corpus to one form: 16-bit mono WAV files at one sample rate, all of them known to be good.

Each utterance is read in blocks, checked, mixed down, resampled and written to `<target>/wavs/<id>.wav`, in
bounded memory however long it is. What cannot be used goes to `<target>/rejected.tsv` with the reason. A run
that was interrupted goes on where it stood: `<target>/format.jsonl` records what was made of what.
"""

from __future__ import annotations

import logging
import math
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from vqaudio.audio.atomic import remove_unfinished
from vqaudio.audio.io import open_wav
from vqaudio.audio.level import level_gain
from vqaudio.audio.lock_file import locked
from vqaudio.audio.resample import resample_blocks
from vqaudio.audio.space import require_space
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.corpus.journal import Journal, Made
from vqaudio.corpus.reading import Region, open_region
from vqaudio.corpus.rejected import Rejection, check_share, write_rejected
from vqaudio.corpus.strings import Index, Strings
from vqaudio.corpus.utterances import Utterances
from vqaudio.errors import AudioError, DataDirError, VQAudioError

T, R = TypeVar("T"), TypeVar("R")
logger = logging.getLogger(__name__)
_MOST_FRAMES = (0xFFFF_FFFF - 36) // 2  # 16-bit samples that fit into a WAV file


@dataclass(frozen=True)
class FormatOptions:
    """What decides the audio that is written: another value means doing it again."""

    sample_rate: int
    min_seconds: float
    max_seconds: float | None
    silence_db: float
    level_db: float | None


@dataclass(frozen=True)
class FormatSummary:
    """What became of a corpus. `made` is in order of utterance ids; seconds are of the audio written."""

    made: list[Made]
    rejected: list[Rejection]
    reused: int
    sample_rate: int
    seconds: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", sum(made.frames for made in self.made) / self.sample_rate)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Say in words what was kept, rejected, resampled, mixed down and clipped."""
        yield (
            f"{len(self.made)} utterances, {self.seconds / 3600:.2f} h at {self.sample_rate} Hz "
            f"({self.reused} of them done already); {len(self.rejected)} rejected"
        )
        for (rate, channels, subtype), count in sorted(Counter(made.source_form for made in self.made).items()):
            form = f"{rate} Hz, {channels} channel{'s' * (channels > 1)}, {subtype}"
            yield f"  {count} from {form}{self._change(rate, channels)}"
        clipped = [made for made in self.made if made.clipped]
        if clipped:
            samples = sum(made.clipped for made in clipped)
            yield f"  {samples} samples beyond full scale clipped, in {len(clipped)} utterances"
        for reason, count in Counter(r.reason.partition(":")[0] for r in self.rejected).most_common():
            yield f"  {count} rejected: {reason}"

    def _change(self, rate: int, channels: int) -> str:
        changes = ["mixed down by mean"] * (channels > 1)
        if rate > self.sample_rate:
            changes.append("resampled")
        elif rate < self.sample_rate:
            changes.append(f"resampled upwards: they hold nothing above {rate // 2} Hz")
        return f": {', '.join(changes)}" if changes else ""


def format_data(
    source: DataDir | str | os.PathLike,
    target: str | os.PathLike,
    sample_rate: int,
    min_seconds: float = 0.1,
    max_seconds: float | None = None,
    max_rejected_share: float = 0.05,
    silence_db: float = -70.0,
    level_db: float | None = None,
    jobs: int = 1,
    allow_pipes: bool = False,
    progress: bool = True,
) -> FormatSummary:
    """Write a checked copy of `source` at `sample_rate` Hz to `target`, with a data directory over it.

    Rejected are utterances that cannot be read, are truncated, hold NaN, last less than `min_seconds` or more
    than `max_seconds`, or never reach `silence_db` (peak, in dB relative to full scale). With `level_db`, each is
    brought to that level, see `vqaudio.audio.level`; by default each keeps its own. Raises DataDirError
    where more than `max_rejected_share` of them are rejected, and VQAudioError where `target` cannot be
    written or has no room for what `utt2dur` and `segments` announce, or where the disk of the sources fails
    (StorageError); what was done is then kept, and the next run goes on from there. `jobs` threads work at a time.
    """
    data = source if isinstance(source, DataDir) else DataDir.load(source, allow_pipes, progress)
    target = Path(target)
    if data.path is not None and data.path.resolve() == target.resolve():
        raise DataDirError(f"format: source and target are the same directory, {target}")
    options = FormatOptions(int(sample_rate), min_seconds, max_seconds, silence_db, level_db)
    with locked(target / ".lock", lambda who: _refusal(target, who), remove=True):
        return _format(data, target, options, max_rejected_share, jobs, progress)


def _format(
    data: DataDir, target: Path, options: FormatOptions, max_rejected_share: float, jobs: int, progress: bool
) -> FormatSummary:
    with Journal(target, asdict(options)) as journal:
        remove_unfinished(target / "wavs")
        _require_space(data.utterances, options, journal.bytes_made, target)
        made, rejected, reused = _make_all(data.utterances, options, journal, jobs, progress)
    summary = FormatSummary(made, rejected, reused, options.sample_rate)
    write_rejected(target / "rejected.tsv", rejected)
    for line in summary.lines():
        logger.info("%s", line)
    check_share(rejected, len(data), max_rejected_share, target / "rejected.tsv")
    _write_data_dir(data.utterances, made, target, options.sample_rate, progress)
    return summary


def _refusal(target: Path, who: str) -> VQAudioError:
    return VQAudioError(f"another `data format` is writing into {target} ({who}); wait for it, or give another --out")


def _require_space(utterances: Sequence[Utterance], options: FormatOptions, made: int, target: Path) -> None:
    """Raise VQAudioError where the disk has no room for as much as tables announce, less the bytes `made` before."""
    columns = Utterances.of(utterances)
    lasting = np.where(np.isnan(columns.durations), columns.ends - np.nan_to_num(columns.starts), columns.durations)
    seconds = float(np.nansum(lasting))
    size = int(2 * options.sample_rate * seconds) - made
    require_space(target, max(0, size), f"audio of {seconds / 3600:.1f} h at {options.sample_rate} Hz")


def _make_all(
    utterances: Sequence[Utterance], options: FormatOptions, journal: Journal, jobs: int, progress: bool
) -> tuple[list[Made], list[Rejection], int]:
    """Make every utterance that was not made before, and note each in the journal as it is done."""
    made, rejected, reused = [], [], 0
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        results = _in_order(pool, lambda utterance: _make_or_reject(utterance, options, journal), utterances, 4 * jobs)
        try:
            for result, was_done in tqdm(results, "format", len(utterances), disable=None if progress else True):
                if isinstance(result, Rejection):
                    rejected.append(result)
                    continue
                made.append(result)
                reused += was_done
                if not was_done:
                    journal.add(result)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return made, rejected, reused


def _in_order(pool: Executor, work: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """Yield `work(item)` for each item in order, as `pool.map` does, but with at most `ahead` of them in the pool."""
    waiting = iter(items)
    pending = deque(pool.submit(work, item) for item in islice(waiting, ahead))
    while pending:
        yield pending.popleft().result()
        pending.extend(pool.submit(work, item) for item in islice(waiting, 1))


def _make_or_reject(utterance: Utterance, options: FormatOptions, journal: Journal) -> tuple[Made | Rejection, bool]:
    """Return what became of one utterance, and whether that was done by an earlier run."""
    try:
        if done := journal.find(utterance):
            return done, True
        return _make(utterance, options, journal), False
    except AudioError as error:
        return Rejection(utterance.id, utterance.recording, error.reason), False


def _make(utterance: Utterance, options: FormatOptions, journal: Journal) -> Made:
    """Check one utterance and write it at the new rate; the file appears only if nothing is wrong with it."""
    stamp = journal.stamp(utterance)
    with open_region(utterance) as region:
        _check_length(region, options)
        gain = 1.0 if options.level_db is None else level_gain(region.blocks(), region.sample_rate, options.level_db)
        meter = _PeakMeter(region)
        with open_wav(journal.wav_path(utterance.id), options.sample_rate) as writer:
            for block in resample_blocks(meter.blocks(), region.sample_rate, options.sample_rate):
                writer.write(block if gain == 1.0 else gain * block)
            meter.check(options.silence_db)
        info = region.info
    return Made(utterance.id, stamp, writer.frames, info.sample_rate, info.channels, info.subtype, writer.clipped)


class _PeakMeter:
    """Passes a recording's blocks on and remembers the largest magnitude."""

    def __init__(self, region: Region) -> None:
        self.region, self.peak = region, 0.0

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the recording's blocks."""
        for block in self.region.blocks():
            self.peak = max(self.peak, float(np.abs(block).max()))
            yield block

    def check(self, silence_db: float) -> None:
        """Raise AudioError where nothing exceeded `silence_db` dB relative to full scale."""
        level = 20 * math.log10(self.peak) if self.peak else -math.inf
        if level < silence_db:
            raise AudioError(self.region.info.path, f"silent: peak {level:.1f} dB, below {silence_db:g} dB")


def _check_length(region: Region, options: FormatOptions) -> None:
    seconds = region.frames / region.sample_rate
    if seconds < options.min_seconds:
        raise AudioError(region.info.path, f"too short: {seconds:.3f} s, less than {options.min_seconds:g} s")
    if options.max_seconds is not None and seconds > options.max_seconds:
        raise AudioError(region.info.path, f"too long: {seconds:.3f} s, more than {options.max_seconds:g} s")
    if seconds * options.sample_rate > _MOST_FRAMES:
        hours, most = seconds / 3600, _MOST_FRAMES / options.sample_rate / 3600
        raise AudioError(
            region.info.path, f"too long: {hours:.1f} h, more than the {most:.1f} h of a WAV file of 4 GiB"
        )


def _write_data_dir(
    utterances: Sequence[Utterance], made: list[Made], target: Path, sample_rate: int, progress: bool
) -> None:
    """Write the data directory over what was made; it says how long each utterance is."""
    source = Utterances.of(utterances)
    names = Strings.of(one.utterance for one in made)
    kept = source.take(Index(source.ids.padded()).find(names.padded()))
    count, frames = len(made), np.array([one.frames for one in made], dtype=np.int64)
    formatted = replace(
        kept,
        recordings=Strings.of(str((target / Journal.wav_name(name)).absolute()) for name in names),
        recording_ids=Strings.absent(count),
        recording_of=np.arange(count),
        starts=np.full(count, np.nan),
        ends=np.full(count, np.nan),
        durations=frames / sample_rate,
        num_samples=frames,
    )
    DataDir(formatted).write(target, progress)
