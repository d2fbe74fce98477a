"""The rules of a Kaldi data directory, all checked in one pass: each violation names file, line and rule.

rule               what it asks for
directory          the path is a directory with something in it
missing-file       wav.scp, utt2spk and spk2utt are there
unreadable-file    the file is one (no folder, pipe, device or broken link) and may be read
empty-file         a file that is there has lines
utf-8              the text is UTF-8
byte-order-mark    it does not start with a byte-order mark
line-end           lines end in '\\n' alone: there are no carriage returns
blank-line         no blank lines
fields             the right number of fields on each line
id                 ids have no '/', '\\', blanks or control characters, start neither with '.' nor '-', and
                   take at most 200 bytes, because they become file names
duplicate          a key stands in a file once
unsorted           lines are sorted by key in C locale (the order of their bytes)
missing-utterance  an utterance of utt2spk is also in wav.scp or segments, spk2utt, and text, utt2dur and
                   utt2num_samples where those exist
unknown-utterance  an utterance of those files is also in utt2spk
speaker-map        spk2utt says the same as utt2spk, and each utterance once
pipe               wav.scp holds no command (a line ending in '|'), unless the user allows it
audio-missing      the audio file of wav.scp exists
audio-unreadable   a recording that segments cut can be read
unknown-recording  the recording of a segment is in wav.scp
segment-times      0 <= start < end, in seconds; end may be -1, for the end of the recording
segment-beyond     a segment ends within its recording (0.01 s of rounding are let pass)
duration           utt2dur holds positive numbers of seconds
num-samples        utt2num_samples holds positive whole numbers of samples

Each line that breaks a rule is named, but for `line-end` and `unsorted`, which are said once for a file.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqaudio.audio.io import probe
from vqaudio.corpus.presence import is_pipe, resolve, rows_without_file
from vqaudio.corpus.progress import bar
from vqaudio.corpus.segments import SEGMENT_SLACK, decimal, parse_segments
from vqaudio.corpus.strings import BLOCK, Index, as_keys, likely
from vqaudio.corpus.tables import Table, Violation, key_fault, read_table
from vqaudio.errors import AudioError, did_you_mean

FORMS = {
    "wav.scp": "<recording> <path>...",
    "utt2spk": "<utterance> <speaker>",
    "spk2utt": "<speaker> <utterance>...",
    "text": "<utterance> [...]",
    "segments": "<utterance> <recording> <start> <end>",
    "utt2dur": "<utterance> <seconds>",
    "utt2num_samples": "<utterance> <samples>",
}
REQUIRED = ("wav.scp", "utt2spk", "spk2utt")
MEASURED = ("utt2dur", "utt2num_samples")
"""Tables of what could be measured again."""
_WHOLE = re.compile(rb"[+-]?\d+")
_HINTS = 50  # unknown recordings of which the nearest known one is named: looking for it takes milliseconds


@dataclass(frozen=True)
class Inspection:
    """The tables of a data directory by file name, and everything that is wrong with them."""

    tables: dict[str, Table]
    violations: list[Violation]


def check(path: str | os.PathLike, allow_pipes: bool = False, progress: bool = True) -> list[Violation]:
    """Return all violations of the rules in the data directory at `path`, in order of file and line.

    Where it takes more than a few seconds, a terminal shows how far it is, unless `progress` is off.
    """
    return inspect(path, allow_pipes, progress).violations


def inspect(path: str | os.PathLike, allow_pipes: bool = False, progress: bool = True) -> Inspection:
    """Read the tables of a data directory and check every rule."""
    folder = Path(path)
    if fault := _directory_fault(folder):
        return Inspection({}, [Violation(str(folder), None, "directory", fault)])
    tables = read_tables(folder)
    index = Index(tables["utt2spk"].keys.padded())
    _check_speakers(tables["utt2spk"], tables["spk2utt"], index)
    _check_utterances(tables, index)
    _check_recordings(tables["wav.scp"], folder, allow_pipes, progress)
    if "segments" in tables:
        _check_segments(tables["segments"], tables["wav.scp"], folder, progress)
    if "utt2dur" in tables:
        _check_numbers(tables["utt2dur"], seconds, "duration", "a positive number of seconds")
    if "utt2num_samples" in tables:
        _check_numbers(tables["utt2num_samples"], samples, "num-samples", "a positive whole number of samples")
    violations = [violation for table in tables.values() for violation in table.violations]
    order = {table.file: position for position, table in enumerate(tables.values())}
    return Inspection(tables, sorted(violations, key=lambda v: (order[v.file], v.line or 0)))


def read_tables(folder: Path) -> dict[str, Table]:
    """Read the tables that must be there and those of the others that are."""
    return {name: read_table(folder / name, form) for name, form in FORMS.items()
            if name in REQUIRED or os.path.lexists(folder / name)}  # fmt: skip


def _directory_fault(folder: Path) -> str | None:
    expected = "expected a data directory with wav.scp, utt2spk and spk2utt"
    if not os.path.lexists(folder):
        return f"no such directory; {expected}.{did_you_mean(folder.name, _names(folder.parent))}"
    try:
        names = os.listdir(folder)
    except NotADirectoryError:
        return f"is a file; {expected}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not names:
        return f"is empty; {expected}"
    if not any(name in FORMS for name in names):
        inside = sorted(name for name in names if os.path.isfile(folder / name / "wav.scp"))
        return f"{expected}." + (f" Did you mean {str(folder / inside[0])!r}?" if inside else "")
    return None


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (OSError, ValueError):
        return []


def speaker_numbers(utt2spk: Table) -> tuple[dict[bytes, int], np.ndarray]:
    """Return the speakers of utt2spk, numbered in order of their first utterance, and the number (n,) of each row."""
    numbers: dict[bytes, int] = {}
    rows = (numbers.setdefault(speaker, len(numbers)) for speaker in utt2spk.values.raws())
    return numbers, np.fromiter(rows, dtype=np.int32, count=len(utt2spk))


def seconds(text: bytes) -> float:
    """Parse an entry of utt2dur; raises ValueError where it is no positive, finite number."""
    value = decimal(text)
    if not 0 < value < math.inf:
        raise ValueError(text)
    return value


def samples(text: bytes) -> int:
    """Parse an entry of utt2num_samples; raises ValueError where it is no positive whole number below 2^63."""
    if not _WHOLE.fullmatch(text) or not 0 < (value := int(text)) < 1 << 63:
        raise ValueError(text)
    return value


def _check_speakers(utt2spk: Table, spk2utt: Table, index: Index) -> None:
    numbers, speaker_of = speaker_numbers(utt2spk)
    faults = {number: fault for name, number in numbers.items() if (fault := key_fault(name))}
    for row in np.flatnonzero(np.isin(speaker_of, list(faults))):
        utt2spk.report_row(row, "id", faults[int(speaker_of[row])])
    if not len(spk2utt) or not len(utt2spk):
        return  # the file is missing or empty, which is reported already
    seen, right = np.zeros((2, len(utt2spk)), dtype=bool)
    for rows, utterances in _listed_utterances(spk2utt):
        places = index.find(as_keys(utterances))
        number = np.array([numbers.get(spk2utt.keys.raw(row), -1) for row in rows])
        agreeing = np.flatnonzero((places >= 0) & (speaker_of[places] == number))
        _, firsts = np.unique(places[agreeing], return_index=True)
        fine = agreeing[firsts][~right[places[agreeing[firsts]]]]
        seen[places[places >= 0]] = right[places[fine]] = True
        for i in np.setdiff1d(np.arange(len(rows)), fine, assume_unique=True):
            _report_speaker(utt2spk, spk2utt, rows[i], utterances[i], places[i])
    for row in np.flatnonzero(~seen):
        utt2spk.report_row(row, "missing-utterance", f"utterance {utt2spk.keys[row]!r} is not in spk2utt")


def listed_in(value: bytes) -> list[bytes]:
    """Return the utterances that a line of spk2utt lists."""
    return [utterance for utterance in value.replace(b"\t", b" ").split(b" ") if utterance]


def _listed_utterances(spk2utt: Table) -> Iterator[tuple[list[int], list[bytes]]]:
    """Yield the utterances of spk2utt, some thousands at a time, beside the row that each stands in."""
    rows: list[int] = []
    utterances: list[bytes] = []
    for row, raw in enumerate(spk2utt.values.raws()):
        listed = listed_in(raw)
        rows += [row] * len(listed)
        utterances += listed
        if len(rows) >= BLOCK:
            yield rows, utterances
            rows, utterances = [], []
    if rows:
        yield rows, utterances


def _report_speaker(utt2spk: Table, spk2utt: Table, row: int, raw: bytes, place: int) -> None:
    utterance = raw.decode("utf-8", "surrogateescape")
    if place < 0:
        spk2utt.report_row(row, "unknown-utterance", f"utterance {utterance!r} is not in utt2spk")
        return
    speaker, right = spk2utt.keys[row], utt2spk.values[place]
    if speaker == right:
        spk2utt.report_row(row, "speaker-map", f"lists {utterance!r} a second time")
        return
    spk2utt.report_row(row, "speaker-map", f"gives {utterance!r} to {speaker!r}, utt2spk to {right!r}")


def _check_utterances(tables: dict[str, Table], index: Index) -> None:
    utt2spk = tables["utt2spk"]
    source = "segments" if "segments" in tables else "wav.scp"
    for name in (source, "text", *MEASURED):
        table = tables.get(name)
        if table is None or not len(table) or not len(utt2spk):
            continue
        keys = table.keys.padded()
        for row in np.flatnonzero(Index(keys).find(index.keys) < 0):
            utt2spk.report_row(row, "missing-utterance", f"utterance {utt2spk.keys[row]!r} is not in {name}")
        for row in np.flatnonzero(index.find(keys) < 0):
            table.report_row(row, "unknown-utterance", f"utterance {table.keys[row]!r} is not in utt2spk")


def _check_recordings(wav_scp: Table, folder: Path, allow_pipes: bool, progress: bool) -> None:
    for row, raw in enumerate(wav_scp.values.raws() if not allow_pipes else ()):
        if b"|" in raw and is_pipe(wav_scp.values[row]):
            wav_scp.report_row(
                row,
                "pipe",
                f"{wav_scp.values[row]!r} is a command, which the shell would run; write the audio to a file, "
                "or allow commands if you trust this file (allow_pipes)",
            )
    for row in rows_without_file(wav_scp.values, folder, progress):
        recording = wav_scp.values[row]
        wav_scp.report_row(row, "audio-missing", _absence(recording, resolve(recording, folder)))


def _absence(recording: str, resolved: str) -> str:
    message = f"{recording!r} is no file"
    if not os.path.isabs(recording):
        message += f" (looked for {resolved}: paths are relative to wav.scp's own folder"
        message += ", though it is one from the working directory)" if os.path.isfile(recording) else ")"
    return message


def _check_segments(segments: Table, wav_scp: Table, folder: Path, progress: bool) -> None:
    parsed = parse_segments(segments, wav_scp)
    lengths = np.full(len(wav_scp) + 1, math.nan)  # the last one is that of unknown recordings, row -1
    used = np.unique(parsed.recordings[parsed.recordings >= 0])
    for row in bar("recordings", len(used), progress, used):
        lengths[row] = _recording_seconds(wav_scp, row, folder)
    no_times, unknown = np.isnan(parsed.starts), parsed.recordings < 0
    with np.errstate(invalid="ignore"):
        beyond = np.isfinite(parsed.ends) & (parsed.ends > lengths[parsed.recordings] + SEGMENT_SLACK)
    hinted = set(np.flatnonzero(unknown)[:_HINTS].tolist())
    for row in np.flatnonzero(no_times | unknown | beyond):
        recording, *times = segments.values[row].split(" ")
        if no_times[row]:
            message = f"{' '.join(times)!r}: expected 0 <= start < end in seconds, or end -1"
            segments.report_row(row, "segment-times", message)
        if unknown[row]:
            hint = did_you_mean(recording, likely(recording, wav_scp.keys)) if row in hinted else ""
            segments.report_row(row, "unknown-recording", f"recording {recording!r} is not in wav.scp.{hint}")
        elif beyond[row]:
            length = lengths[parsed.recordings[row]]
            message = f"ends at {parsed.ends[row]} s, recording {recording!r} at {length:.3f} s"
            segments.report_row(row, "segment-beyond", message)


def _recording_seconds(wav_scp: Table, row: int, folder: Path) -> float:
    """Return a recording's length; NaN where it is a command, missing (reported elsewhere) or unreadable."""
    recording = wav_scp.values[row]
    path = resolve(recording, folder)
    if is_pipe(recording) or not os.path.isfile(path):
        return math.nan
    try:
        return probe(path).duration
    except AudioError as error:
        wav_scp.report_row(row, "audio-unreadable", str(error))
        return math.nan


def _check_numbers(table: Table, parse: Callable[[bytes], float], rule: str, expected: str) -> None:
    for row, raw in enumerate(table.values.raws()):
        try:
            parse(raw)
        except ValueError:
            table.report_row(row, rule, f"{raw.decode('utf-8', 'surrogateescape')!r}: expected {expected}")
