"""The rules of data directories once more, written plainly: line by line, with no thought of speed.

It shares nothing with `vqaudio.corpus`: what both say of a broken directory must be the same.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

Place = tuple[str, int | None, str]
"""File, line (None: all of it), rule."""
FIELDS = {"wav.scp": (1, None), "utt2spk": (1, 1), "spk2utt": (1, None), "text": (0, None), "segments": (3, 3),
          "utt2dur": (1, 1), "utt2num_samples": (1, 1)}  # fmt: skip
REQUIRED = ("wav.scp", "utt2spk", "spk2utt")
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass
class Read:
    """A table: line and value of each key, the keys as bytes."""

    rows: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)


class Oracle:
    """What is wrong with a data directory. `seconds` says how long audio is, by its real path; other is unreadable."""

    def __init__(self, folder: Path, seconds: dict[str, float]) -> None:
        self.folder, self.seconds = folder, seconds
        self.found: Counter[Place] = Counter()
        self.tables = {name: self.read(name) for name in FIELDS if name in REQUIRED or os.path.lexists(folder / name)}
        self.speakers()
        self.utterances()
        self.recordings()
        if "segments" in self.tables:
            self.segments()
        self.numbers("utt2dur", "duration", lambda text: 0 < float(text) < float("inf"))
        self.numbers("utt2num_samples", "num-samples", lambda text: "." not in text and "e" not in text.lower()
                     and 0 < int(text) < 2**63)  # fmt: skip

    def report(self, name: str, line: int | None, rule: str) -> None:
        self.found[name, line, rule] += 1

    # ------------------------------------------------------------------------------------------ one table

    def read(self, name: str) -> Read:
        data = self.content(name)
        if data is None:
            return Read()
        for number, line in enumerate(data.split(b"\n"), 1):
            if not is_utf8(line):
                self.report(name, number, "utf-8")
        if data[:3] == b"\xef\xbb\xbf":
            self.report(name, 1, "byte-order-mark")
            data = data[3:]
        with_returns = [number for number, line in enumerate(data.split(b"\n"), 1) if b"\r" in line]
        for number in with_returns[:1]:
            self.report(name, number, "line-end")
        lines = data.split(b"\n")
        lines = [line[:-1] if line[-1:] == b"\r" else line for line in lines]
        if lines[-1] == b"" and len(lines) > 1:
            lines.pop()
        if all(is_blank(line) for line in lines):
            self.report(name, None, "empty-file")
            return Read()
        return self.read_lines(name, lines)

    def content(self, name: str) -> bytes | None:
        path = self.folder / name
        if not os.path.lexists(path):
            self.report(name, None, "missing-file")
            return None
        try:
            if stat.S_ISREG(os.stat(path).st_mode):
                return path.read_bytes()
        except OSError:
            pass
        self.report(name, None, "unreadable-file")
        return None

    def read_lines(self, name: str, lines: list[bytes]) -> Read:
        least, most = FIELDS[name]
        table, last, sorted_so_far = Read(), None, True
        for number, line in enumerate(lines, 1):
            if is_blank(line):
                self.report(name, number, "blank-line")
                continue
            key, *values = re.split(rb"[ \t]+", line.strip(b" \t"))
            if len(values) < least or (most is not None and len(values) > most):
                self.report(name, number, "fields")
                continue
            if is_unfit(key):
                self.report(name, number, "id")
            if key in table.rows:
                self.report(name, number, "duplicate")
                continue
            if sorted_so_far and last is not None and key < last:
                self.report(name, number, "unsorted")
                sorted_so_far = False
            last = key
            value = re.match(rb"[ \t]*[^ \t]+[ \t]*(.*)", line, re.DOTALL)[1].rstrip(b" \t")
            table.rows[key] = number, value if most is None else b" ".join(values)
        return table

    # --------------------------------------------------------------------------------------- among tables

    def speakers(self) -> None:
        utt2spk, spk2utt = self.tables["utt2spk"].rows, self.tables["spk2utt"].rows
        for number, speaker in utt2spk.values():
            if is_unfit(speaker):
                self.report("utt2spk", number, "id")
        if not utt2spk or not spk2utt:
            return
        listed, right = set(), set()
        for speaker, (number, value) in spk2utt.items():
            for utterance in re.split(rb"[ \t]+", value):
                if utterance not in utt2spk:
                    self.report("spk2utt", number, "unknown-utterance")
                elif utt2spk[utterance][1] != speaker or utterance in right:
                    self.report("spk2utt", number, "speaker-map")
                else:
                    right.add(utterance)
                listed.add(utterance)
        for utterance, (number, _) in utt2spk.items():
            if utterance not in listed:
                self.report("utt2spk", number, "missing-utterance")

    def utterances(self) -> None:
        utt2spk = self.tables["utt2spk"].rows
        source = "segments" if "segments" in self.tables else "wav.scp"
        for name in (source, "text", "utt2dur", "utt2num_samples"):
            rows = self.tables[name].rows if name in self.tables else {}
            if not rows or not utt2spk:
                continue
            for utterance, (number, _) in utt2spk.items():
                if utterance not in rows:
                    self.report("utt2spk", number, "missing-utterance")
            for utterance, (number, _) in rows.items():
                if utterance not in utt2spk:
                    self.report(name, number, "unknown-utterance")

    def recordings(self) -> None:
        for number, value in self.tables["wav.scp"].rows.values():
            if is_command(value):
                self.report("wav.scp", number, "pipe")
            elif not self.is_file(value):
                self.report("wav.scp", number, "audio-missing")

    def segments(self) -> None:
        wav_scp = self.tables["wav.scp"].rows
        cut = set()
        for number, value in self.tables["segments"].rows.values():
            recording, start, end = value.split(b" ")
            times = times_of(start, end)
            if times is None:
                self.report("segments", number, "segment-times")
            if recording not in wav_scp:
                self.report("segments", number, "unknown-recording")
                continue
            cut.add(recording)
            seconds = self.length(wav_scp[recording][1])
            if times is not None and seconds is not None and times[1] > seconds + 0.01:
                self.report("segments", number, "segment-beyond")
        for recording in cut:
            number, value = wav_scp[recording]
            if not is_command(value) and self.is_file(value) and self.length(value) is None:
                self.report("wav.scp", number, "audio-unreadable")

    def numbers(self, name: str, rule: str, is_right) -> None:
        for number, value in self.tables.get(name, Read()).rows.values():
            text = value.decode("latin-1")
            if not NUMBER.fullmatch(text) or not is_right(text):
                self.report(name, number, rule)

    def is_file(self, value: bytes) -> bool:
        try:
            return os.path.isfile(os.path.join(os.fsencode(self.folder), value))
        except ValueError:
            return False

    def length(self, value: bytes) -> float | None:
        if is_command(value) or not self.is_file(value):
            return None
        return self.seconds.get(os.path.realpath(os.path.join(os.fsencode(self.folder), value)).decode())


def is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def is_blank(line: bytes) -> bool:
    return not line.decode("utf-8", "surrogateescape").strip()


def is_command(value: bytes) -> bool:
    return value.decode("utf-8", "surrogateescape").rstrip().endswith("|")


def is_unfit(key: bytes) -> bool:
    name = key.decode("utf-8", "replace")
    odd = any(c in "/\\" or unicodedata.category(c)[0] in "CZ" for c in name)
    return odd or name[:1] in (".", "-") or len(name.encode()) > 200


def times_of(start: bytes, end: bytes) -> tuple[float, float] | None:
    texts = start.decode("latin-1"), end.decode("latin-1")
    if not all(NUMBER.fullmatch(text) for text in texts):
        return None
    first, last = map(float, texts)
    if last == -1 and 0 <= first < float("inf"):
        return first, 0.0
    return (first, last) if 0 <= first < last < float("inf") else None
