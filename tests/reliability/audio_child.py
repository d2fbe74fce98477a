"""The process that reads bad audio, so that it is one of its own that dies: `python -m tests.reliability.audio_child`.

It may take 2 GB of memory, and MOST_SECONDS a file; where it takes more it is ended. What became of each trial it
writes to a file, a line each; which one it is at, to another.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.reliability.audio_catalogue import CATALOGUE, Case
from tests.reliability.audio_mutants import RATE, mutant, speechlike
from vqaudio.audio.io import AudioInfo, iter_blocks, probe, write_wav
from vqaudio.corpus.crops import CropDataset
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.corpus.format import format_data
from vqaudio.corpus.rejected import Rejections, read_rejected
from vqaudio.errors import AudioError

MEMORY = 2 << 30
MOST_SECONDS = 60
"""A file of the catalogue takes up to 3 on a quiet machine (hours of samples), a mutant a thousandth."""
GROUP = 100
"""Mutants that share a data directory."""
NOBODY = 65534
_STEPS = 200
"""Of an epoch at most: one file may say, and be believed, that it is hours long."""
GOOD = {"good-1": 9000, "good-2": 5000}
"""Neighbours of what is bad, and their samples."""


class Broken(Exception):
    """What was promised did not hold, and how."""


def require(holds: object, words: str) -> None:
    """Raise Broken unless something holds."""
    if not holds:
        raise Broken(words)


# ------------------------------------------------------------------------------------------------ reading


def read(info: AudioInfo, most: int = 1 << 24) -> np.ndarray:
    """Return at most so many samples of a file, having checked every one that it has."""
    kept, done = [], 0
    for block in iter_blocks(info):
        require(block.dtype == np.float32 and block.ndim == 1 and len(block), f"a block {block.dtype} {block.shape}")
        require(np.abs(block).max() <= 8, f"samples reach {np.abs(block).max()}")  # what is NaN is not, either
        kept += [block] * (done < most)
        done += len(block)
        require(done <= info.frames, f"{done} samples of {info.frames}")
    require(done == info.frames, f"{done} samples of {info.frames}, and no error")
    return np.concatenate(kept)[:most]


def is_alike(found: np.ndarray, case: Case) -> bool:
    """Whether what was read is what was written."""
    if case.name == "hours long":
        return len(found) > len(case.wave) and np.array_equal(found[: len(case.wave)], case.wave)
    if len(found) != len(case.wave):
        return False
    if case.tolerance is not None:
        return float(np.abs(found - case.wave).max()) <= case.tolerance
    # A codec's filters may delay; libsndfile and FFmpeg take that away for some, and not for G.722 (22 samples).
    last = len(found) - 50
    return max(np.corrcoef(found[delay : delay + last], case.wave[:last])[0, 1] for delay in range(50)) > 0.98


def require_reason(case: Case, reason: str, pattern: str | None) -> None:
    """Raise Broken unless a reason is the one expected, in one line."""
    require(pattern, f"refused: {reason}")
    require(re.search(pattern, reason), f"the reason is {reason!r}, expected {pattern!r}")
    require(len(reason.splitlines()) == 1 and "\t" not in reason, f"the reason takes more than a line: {reason!r}")


def reading(case: Case, path: Path) -> None:
    """Read a file as anyone would."""
    try:
        info = probe(path)
        if case.later:
            case.later(path)
        found = read(info)
    except AudioError as error:
        require_reason(case, error.reason, case.reason)
        require(len(str(error).splitlines()) == 1 and str(error).isprintable(), f"{error} takes more than a line")
    else:
        require(case.reason is None, f"read without an error: {len(found)} samples")
        require(is_alike(found, case), f"{len(found)} samples of {len(case.wave)} read, and not what was written")


# ------------------------------------------------------------------------------------------ whole corpora


def utterances_of(paths: dict[str, Path], folder: Path) -> list[Utterance]:
    """Return utterances of these files and of their neighbours, which are written."""
    for seed, (name, samples) in enumerate(GOOD.items()):
        write_wav(folder / f"{name}.wav", speechlike(samples, seed), RATE)
    return [Utterance(name, "a", str(path)) for name, path in paths.items()] + [
        Utterance(name, "b", str(folder / f"{name}.wav")) for name in GOOD
    ]


def require_listed(path: Path, utterances: list[Utterance], names: set[str]) -> dict[str, str]:
    """Raise Broken unless a list holds these utterances alone, with their paths; return the reasons."""
    listed = {rejection.utterance: rejection for rejection in read_rejected(path)}
    require(set(listed) == names, f"listed are {sorted(set(listed) ^ names)} too many or too few")
    for one in utterances:
        require(one.id not in listed or listed[one.id].path == one.recording, f"{one.id}: another path is listed")
    for line in path.read_text(encoding="utf-8").splitlines():
        require(len(line.split("\t")) == 3, f"a line of {path.name} is no row: {line!r}")
    return {name: rejection.reason for name, rejection in listed.items()}


def format_all(utterances: list[Utterance], folder: Path) -> dict[str, str]:
    """Format a corpus; return the reasons of what was rejected. What was written is read again."""
    summary = format_data(
        DataDir(utterances), folder, RATE, min_seconds=0.01, max_seconds=3600, max_rejected_share=1, progress=False
    )
    made = {one.utterance: one.frames for one in summary.made}
    reasons = require_listed(folder / "rejected.tsv", utterances, {one.id for one in utterances} - set(made))
    require(made.items() >= GOOD.items(), "a neighbour of bad audio is missing")
    written = DataDir.load(folder, progress=False).utterances
    require({one.id: one.num_samples for one in written} == made, "the data directory is of other utterances")
    for one in written:
        require(len(read(probe(one.recording))) == made[one.id], f"{one.recording} has another length")
    return reasons


def crop_all(utterances: list[Utterance], folder: Path, later=None) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Meet every utterance as training does; return what was rejected, and the crops of what was not."""
    listed = folder / "rejected.tsv"
    rejections = Rejections(listed, max_share=1)
    rates = {}
    for one in utterances:  # one rate is what training asks of a corpus, before it begins
        try:
            rates[one.id] = probe(one.recording).sample_rate
        except AudioError:
            rates[one.id] = RATE
    utterances = [one for one in utterances if rates[one.id] == RATE]
    crops = CropDataset(utterances, ["a", "b"], RATE, 4000, (30, 20), 4, 0, rejections=rejections, progress=False)
    if later:
        later()
    met: dict[str, np.ndarray] = {}
    for step in range(min(crops.steps_per_epoch, _STEPS)):
        batch = crops.batch(step)
        require(batch.waveform.isfinite().all() and batch.waveform.abs().max() <= 8, "what is no audio in a batch")
        for name, length, crop in zip(batch.utterances, batch.lengths.tolist(), batch.waveform.numpy(), strict=True):
            require(length or name in rejections.found, f"{name}: an empty crop of what is not listed")
            require(length or not crop.any(), f"{name}: an empty crop that is not silent")
            is_whole = name not in rejections.found or not crops.is_cached  # else its good parts may be met
            require(not length or is_whole, f"{name}: a crop of what was rejected")
            if length:
                met[name] = crop[30 : 30 + length]
    require(set(GOOD) <= set(met) or crops.steps_per_epoch > _STEPS, "a neighbour of bad audio was not met")
    reasons = {name: rejection.reason for name, rejection in rejections.found.items()}
    if reasons:
        require_listed(listed, utterances, set(reasons))
    return reasons, met


# ---------------------------------------------------------------------------------------------- catalogue


def catalogue(folder: Path, numbers: set[int], at: int) -> Iterator[tuple[int, str]]:
    """Yield the number of a trial of the catalogue, and what became of it; those asked for alone."""
    trials = list_trials()
    alike = {}
    for way in ("format", "extraction"):
        cases = [case for number, (case, its_way) in enumerate(trials) if number in numbers and its_way == way]
        alike[way] = together(way, folder / way, cases)
    for number, (case, way) in enumerate(trials):
        if number not in numbers:
            continue
        os.pwrite(at, b"%20d" % number, 0)
        with within_time():
            if way in alike:
                words = told(verdict_of_list, case, alike[way], way)
            else:
                words = told(globals()[way], case, place(case, folder / f"{number}"))
        yield number, words and f"{case.name}, {way}: {words}"


def list_trials() -> list[tuple[Case, str]]:
    """Return each case with each of its ways."""
    return [(case, way) for case in CATALOGUE for way in case.ways]


def place(case: Case, folder: Path) -> Path:
    """Make a case's file in a folder of its own; return its path."""
    folder.mkdir(parents=True)
    path = folder / case.file
    case.make(path if path.parent == folder else path.parent)
    return path


def told(work, *given) -> str:
    """Return what became of a trial, in a sentence; an empty one where it held."""
    as_nobody = given[0].unprivileged and os.geteuid() == 0
    try:
        with acting_as_nobody() if as_nobody else nullcontext():
            work(*given)
        return ""
    except Broken as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@contextmanager
def acting_as_nobody() -> Iterator[None]:
    """Give up root's rights within the block: root may read everything."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def training(case: Case, path: Path) -> None:
    """Meet a case's file as training does, with neighbours."""
    utterances = utterances_of({"case": path}, path.parent if path.parent.is_dir() else path.parents[1])
    later = (lambda: case.later(path)) if case.later else None
    folder = Path(utterances[-1].recording).parent
    reasons, met = crop_all(utterances, folder, later)
    require(set(reasons) <= {"case"}, f"{sorted(reasons)} were rejected")
    if case.reason is not None:
        require("case" in reasons, "not rejected")
        require_reason(case, reasons["case"], case.reason)
    else:
        require("case" not in reasons, f"rejected: {reasons}")
        require("case" in met or case.file.endswith(".g722"), "not met")


def together(way: str, folder: Path, cases: list[Case]) -> tuple[dict[str, Case], dict[str, str]] | str:
    """Do with all cases what is done with a corpus; return the reasons, or what went wrong with all of them."""
    named = {f"case-{number:03d}": case for number, case in enumerate(cases)}
    try:
        with within_time(4 * MOST_SECONDS):
            paths = {name: place(case, folder / name) for name, case in named.items()}
            do = format_all if way == "format" else extract_all
            return named, do(utterances_of(paths, folder), folder / "out")
    except Exception as error:
        return f"all failed: {type(error).__name__}: {error}"


def extract_all(utterances: list[Utterance], folder: Path) -> dict[str, str]:
    """Extract the units of a corpus; return the reasons of what was rejected."""
    import torch

    from tests.small import HOP, small_vqvae
    from vqaudio.models.vqvae import VQVAE
    from vqaudio.units.extract import extract_units
    from vqaudio.units.text import read_units

    torch.set_num_threads(1)
    small = small_vqvae()
    model = VQVAE(replace(small.config, sample_rate=RATE), 2).eval()
    model.load_state_dict(small.state_dict())
    extract_units(model, DataDir(utterances), folder, max_rejected_share=1, progress=False)
    sequences, _ = read_units(folder)
    missing = {one.id for one in utterances} - set(sequences)
    reasons = require_listed(folder / "rejected.tsv", utterances, missing)
    for one in utterances:
        if one.id in sequences:
            units, samples = len(sequences[one.id]), probe(one.recording).frames
            require(units == -(-samples // HOP), f"{one.id}: {units} units of {samples} samples")
    return reasons


def verdict_of_list(case: Case, done: tuple[dict[str, Case], dict[str, str]] | str, way: str) -> None:
    """Raise Broken unless a case was listed with its reason, or not listed, as is right."""
    if isinstance(done, str):
        raise Broken(done)
    named, reasons = done
    name = next(name for name, one in named.items() if one is case)
    expected = case.format_reason or case.reason if way == "format" else case.reason
    if expected is None:
        require(name not in reasons, f"rejected: {reasons.get(name)}")
    else:
        require(name in reasons, "not rejected")
        require_reason(case, reasons[name], expected)


# ------------------------------------------------------------------------------------------------ mutants


def mutants(folder: Path, seed: int, numbers: list[int], at: int) -> Iterator[tuple[int, str]]:
    """Yield the number of a mutant, and what became of it. `at`: a file that says which one it is."""
    for first in range(0, len(numbers), GROUP):
        group = numbers[first : first + GROUP]
        home = folder / f"group-{group[0]}"
        home.mkdir()
        paths, outcomes = {}, {}
        for number in group:
            kind, done, data = mutant(seed, number)
            path = paths[f"case-{number}"] = home / f"{number}.{'g722' if kind == 'g722' else 'wav'}"
            path.write_bytes(data)
            os.pwrite(at, b"%20d" % number, 0)
            with within_time():
                words = told_of_mutant(path)
            outcomes[number] = words and f"mutant {seed}, {number} ({kind}: {done}): {words}"
        os.pwrite(at, b"%20d" % group[0], 0)
        if words := told_of_corpus(paths, home, first // GROUP):
            outcomes[group[0]] += f"mutants {seed}, {group[0]} to {group[-1]} in one corpus: {words}"
        yield from outcomes.items()
        shutil.rmtree(home)


def told_of_mutant(path: Path) -> str:
    """Read a mutant, and a part of it; say what went wrong."""
    try:
        info = probe(path)
        read(info)
        start = info.frames // 2
        part = sum(map(len, iter_blocks(info, 1000, start, min(3000, info.frames - start))))
        require(part == min(3000, info.frames - start), f"{part} samples of a part")
    except AudioError as error:
        return "" if len(error.reason.splitlines()) == 1 else f"a reason of several lines: {error.reason!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def told_of_corpus(paths: dict[str, Path], home: Path, group: int) -> str:
    """Take mutants as a corpus: every fifth group is formatted, every fifth met in training."""
    try:
        with within_time():
            if group % 5 == 0:
                format_all(utterances_of(paths, home), home / "out")
            if group % 5 == 1:
                crop_all(utterances_of(paths, home), home)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@contextmanager
def within_time(seconds: float = MOST_SECONDS) -> Iterator[None]:
    """End this process, by SIGALRM, unless the block is done in time: code that hangs in C hears no exception."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main(order: dict) -> None:
    """Do what `order` says: which trials, in which folder, of which seed."""
    import av  # noqa: F401 (before the limit: what is mapped now is not taken by what is read)

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    folder = Path(order["folder"])
    folder.chmod(0o755)
    at = os.open(folder / "at", os.O_WRONLY | os.O_CREAT)
    if order["what"] == "catalogue":
        outcomes = catalogue(folder, set(order["numbers"]), at)
    else:
        outcomes = mutants(folder, order["seed"], order["numbers"], at)
    with open(folder / "outcomes", "a", encoding="utf-8") as file:
        for number, words in outcomes:
            file.write(json.dumps([number, words]) + "\n")
            file.flush()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
