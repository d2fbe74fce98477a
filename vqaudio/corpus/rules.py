"""The rules of a Kaldi data directory, all checked in one pass: each violation names file, line and rule.

rule               what it asks for
directory          the path is a directory with something in it
missing-file       wav.scp, utt2spk and spk2utt are there
unreadable-file    the file may be read
empty-file         a file that is there has lines
utf-8              the text is UTF-8
byte-order-mark    it does not start with a byte-order mark
line-end           lines end in '\\n' alone
blank-line         no blank lines
fields             the right number of fields on each line
id                 ids have no '/', '\\', blanks or control characters, start neither with '.' nor '-', and
                   take at most 200 bytes, because they become file names
duplicate          a key stands in a file once
unsorted           lines are sorted by key in C locale (the order of their bytes)
missing-utterance  an utterance of utt2spk is also in wav.scp or segments, spk2utt, and text and utt2dur
                   where those exist
unknown-utterance  an utterance of those files is also in utt2spk
speaker-map        spk2utt says the same as utt2spk
pipe               wav.scp holds no command (a line ending in '|'), unless the user allows it
audio-missing      the audio file of wav.scp exists
audio-unreadable   a recording that segments cut can be read
unknown-recording  the recording of a segment is in wav.scp
segment-times      0 <= start < end, in seconds; end may be -1, for the end of the recording
segment-beyond     a segment ends within its recording (0.01 s of rounding are let pass)
duration           utt2dur holds positive numbers of seconds
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from vqaudio.audio.io import probe
from vqaudio.corpus.tables import Table, Violation, id_fault, read_table
from vqaudio.errors import AudioError, did_you_mean

SEGMENT_SLACK = 0.01  # seconds: segment ends are often rounded to centiseconds
FORMS = {
    "wav.scp": "<recording> <path>...",
    "utt2spk": "<utterance> <speaker>",
    "spk2utt": "<speaker> <utterance>...",
    "text": "<utterance> [...]",
    "segments": "<utterance> <recording> <start> <end>",
    "utt2dur": "<utterance> <seconds>",
}
REQUIRED = ("wav.scp", "utt2spk", "spk2utt")


@dataclass(frozen=True)
class Inspection:
    """The tables of a data directory by file name, and everything that is wrong with them."""

    tables: dict[str, Table]
    violations: list[Violation]


def check(path: str | os.PathLike, allow_pipes: bool = False) -> list[Violation]:
    """Return all violations of the rules in the data directory at `path`, in order of file and line."""
    return inspect(path, allow_pipes).violations


def inspect(path: str | os.PathLike, allow_pipes: bool = False) -> Inspection:
    """Read the tables of a data directory and check every rule."""
    folder = Path(path)
    if fault := _directory_fault(folder):
        return Inspection({}, [Violation(str(folder), None, "directory", fault)])
    tables = read_tables(folder)
    _check_speakers(tables)
    _check_utterances(tables)
    _check_recordings(tables["wav.scp"], folder, allow_pipes)
    if "segments" in tables:
        _check_segments(tables["segments"], tables["wav.scp"], folder)
    if "utt2dur" in tables:
        _check_durations(tables["utt2dur"])
    violations = [violation for table in tables.values() for violation in table.violations]
    order = {table.file: position for position, table in enumerate(tables.values())}
    return Inspection(tables, sorted(violations, key=lambda v: (order[v.file], v.line or 0)))


def read_tables(folder: Path) -> dict[str, Table]:
    """Read the tables that must be there and those of the others that are."""
    return {name: read_table(folder / name, form) for name, form in FORMS.items()
            if name in REQUIRED or (folder / name).exists()}  # fmt: skip


def is_pipe(recording: str) -> bool:
    """Tell whether a wav.scp entry is a shell command whose output is the audio."""
    return recording.rstrip().endswith("|")


def resolve(recording: str, folder: Path) -> str:
    """Return the absolute path of a wav.scp entry, relative ones taken from wav.scp's own folder."""
    return recording if is_pipe(recording) else os.path.abspath(folder / recording)


def segment_times(fields: list[str]) -> tuple[float, float | None]:
    """Parse the start and end of a segments line, in seconds; an end of -1 means the recording's, as None.

    Raises ValueError where they are no finite numbers or not 0 <= start < end.
    """
    start, end = float(fields[1]), float(fields[2])
    open_end = end == -1
    if not (math.isfinite(start) and math.isfinite(end)) or start < 0 or (end <= start and not open_end):
        raise ValueError(f"start {fields[1]}, end {fields[2]}")
    return start, None if open_end else end


def _directory_fault(folder: Path) -> str | None:
    expected = "expected a data directory with wav.scp, utt2spk and spk2utt"
    if not folder.exists():
        siblings = os.listdir(folder.parent) if folder.parent.is_dir() else []
        return f"no such directory; {expected}.{did_you_mean(folder.name, siblings)}"
    if not folder.is_dir():
        return f"is a file; {expected}"
    try:
        names = os.listdir(folder)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not names:
        return f"is empty; {expected}"
    if not any(name in FORMS for name in names):
        inside = sorted(name for name in names if (folder / name / "wav.scp").is_file())
        return f"{expected}." + (f" Did you mean {str(folder / inside[0])!r}?" if inside else "")
    return None


def _check_speakers(tables: dict[str, Table]) -> None:
    utt2spk, spk2utt = tables["utt2spk"], tables["spk2utt"]
    for row in utt2spk.rows.values():
        if fault := id_fault(row.value):
            utt2spk.report(row.line, "id", fault)
    if not spk2utt.rows or not utt2spk.rows:
        return  # the file is missing or empty, which is reported already
    seen = set()
    for speaker, row in spk2utt.rows.items():
        for utterance in row.fields:
            if utterance not in utt2spk.rows:
                spk2utt.report(row.line, "unknown-utterance", f"utterance {utterance!r} is not in utt2spk")
            elif (right := utt2spk.rows[utterance].value) != speaker:
                spk2utt.report(row.line, "speaker-map", f"gives {utterance!r} to {speaker!r}, utt2spk to {right!r}")
            seen.add(utterance)
    for utterance, row in utt2spk.rows.items():
        if utterance not in seen:
            utt2spk.report(row.line, "missing-utterance", f"utterance {utterance!r} is not in spk2utt")


def _check_utterances(tables: dict[str, Table]) -> None:
    utt2spk = tables["utt2spk"]
    source = "segments" if "segments" in tables else "wav.scp"
    for name in (source, "text", "utt2dur"):
        table = tables.get(name)
        if table is None or not table.rows or not utt2spk.rows:
            continue
        for utterance, row in utt2spk.rows.items():
            if utterance not in table.rows:
                utt2spk.report(row.line, "missing-utterance", f"utterance {utterance!r} is not in {name}")
        for utterance, row in table.rows.items():
            if utterance not in utt2spk.rows:
                table.report(row.line, "unknown-utterance", f"utterance {utterance!r} is not in utt2spk")


def _check_recordings(wav_scp: Table, folder: Path, allow_pipes: bool) -> None:
    for row in wav_scp.rows.values():
        if is_pipe(row.value):
            if not allow_pipes:
                wav_scp.report(
                    row.line,
                    "pipe",
                    f"{row.value!r} is a command, which the shell would run; write the audio to a file, "
                    "or allow commands if you trust this file (allow_pipes)",
                )
        elif not os.path.isfile(resolved := resolve(row.value, folder)):
            wav_scp.report(row.line, "audio-missing", _absence(row.value, resolved))


def _absence(recording: str, resolved: str) -> str:
    message = f"{recording!r} is no file"
    if not os.path.isabs(recording):
        message += f" (looked for {resolved}: paths are relative to wav.scp's own folder"
        message += ", though it is one from the working directory)" if os.path.isfile(recording) else ")"
    return message


def _check_segments(segments: Table, wav_scp: Table, folder: Path) -> None:
    lengths: dict[str, float | None] = {}
    for row in segments.rows.values():
        recording = row.fields[0]
        try:
            _, end = segment_times(row.fields)
        except ValueError:
            times = " ".join(row.fields[1:])
            segments.report(row.line, "segment-times", f"{times!r}: expected 0 <= start < end in seconds, or end -1")
            continue
        if recording not in wav_scp.rows:
            hint = did_you_mean(recording, wav_scp.rows)
            segments.report(row.line, "unknown-recording", f"recording {recording!r} is not in wav.scp.{hint}")
            continue
        if recording not in lengths:
            lengths[recording] = _recording_seconds(wav_scp, recording, folder)
        length = lengths[recording]
        if end is not None and length is not None and end > length + SEGMENT_SLACK:
            segments.report(row.line, "segment-beyond", f"ends at {end} s, recording {recording!r} at {length:.3f} s")


def _recording_seconds(wav_scp: Table, recording: str, folder: Path) -> float | None:
    """Return a recording's length; None where it is a command, missing (reported elsewhere) or unreadable."""
    row = wav_scp.rows[recording]
    path = resolve(row.value, folder)
    if is_pipe(row.value) or not os.path.isfile(path):
        return None
    try:
        return probe(path).duration
    except AudioError as error:
        wav_scp.report(row.line, "audio-unreadable", str(error))
        return None


def _check_durations(utt2dur: Table) -> None:
    for row in utt2dur.rows.values():
        try:
            valid = 0 < float(row.value) < math.inf
        except ValueError:
            valid = False
        if not valid:
            utt2dur.report(row.line, "duration", f"{row.value!r}: expected a positive number of seconds")
