"""Manifests: what to encode, a line for each utterance, in whichever of the usual forms it comes.

    data directory     Kaldi's (docs/file-formats.md)
    *.jsonl, *.json    JSON Lines, as NeMo's: audio_filepath; offset and duration (s) and id, where there are any
    *.tsv              fairseq's: the folder of the recordings, and then lines of file, tab, samples
    *.parquet          columns named like the keys of JSON Lines

Relative paths are relative to the manifest's own folder. An utterance without an id is called by its path, and a
stretch of a recording by path and times.

https://docs.nvidia.com/nemo-framework/user-guide/latest/nemotoolkit/asr/datasets.html describes the second form,
https://github.com/facebookresearch/fairseq/tree/main/examples/wav2vec the third.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqaudio.corpus import DataDir
from vqaudio.corpus.presence import is_pipe
from vqaudio.corpus.utterances import Utterance
from vqaudio.errors import UnitsError

KEYS = ("id", "audio_filepath", "offset", "duration")


@dataclass(frozen=True, slots=True)
class Row:
    """A stretch of a recording: from `offset` on, `duration` long (both in seconds; None: all that there is)."""

    id: str
    audio_filepath: str
    offset: float | None = None
    duration: float | None = None

    def to_json(self) -> str:
        """Return the line of JSON that stands for it, with its newline."""
        values = {key: getattr(self, key) for key in KEYS if getattr(self, key) is not None}
        return json.dumps(values, ensure_ascii=True) + "\n"

    @classmethod
    def from_json(cls, line: str | bytes) -> Row:
        """Return the row of a line that `to_json` made."""
        return cls(**json.loads(line))

    def utterance(self) -> Utterance:
        """Return it as an utterance of nobody's: units know no speakers."""
        if self.offset is None:
            return Utterance(self.id, "", self.audio_filepath)
        end = None if self.duration is None else self.offset + self.duration
        return Utterance(self.id, "", self.audio_filepath, start=self.offset, end=end)


def read_manifest(source: str | Path) -> Iterator[Row]:
    """Yield the rows of a manifest in its own order, one at a time.

    Raises UnitsError, naming file and line, for a line that is not of the form that the file's name announces, and
    DataDirError for a data directory that breaks a rule.
    """
    source = Path(source)
    if source.is_dir():
        return _of_data_directory(source)
    readers = {".jsonl": _of_json_lines, ".json": _of_json_lines, ".tsv": _of_fairseq, ".parquet": _of_parquet}
    if source.suffix not in readers:
        raise UnitsError(f"{source}: expected a data directory, or a manifest named *{', *'.join(readers)}")
    if not source.is_file():
        raise UnitsError(f"{source}: no such manifest")
    return readers[source.suffix](source)


def _of_data_directory(folder: Path) -> Iterator[Row]:
    for utterance in DataDir.load(folder).utterances:
        start, end, duration = utterance.start, utterance.end, utterance.duration
        if end is not None:
            start = start or 0.0
            duration = end - start
        yield Row(utterance.id, str(utterance.recording), start, duration)


def _of_json_lines(path: Path) -> Iterator[Row]:
    for number, line in _lines(path):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UnitsError(f"{path}:{number}: not JSON: {error}; expected an object a line") from error
        yield _row(values, f"{path}:{number}", path.parent)


def _of_fairseq(path: Path) -> Iterator[Row]:
    lines = _lines(path)
    _, root = next(lines, (1, ""))
    folder = path.parent / root
    if "\t" in root or not folder.is_dir():
        raise UnitsError(f"{path}:1: got {root!r}, expected the folder of the recordings, as fairseq's manifests begin")
    for number, line in lines:
        file, tab, samples = line.partition("\t")
        if not (tab and samples.strip().isdecimal()):
            raise UnitsError(f"{path}:{number}: got {line!r}, expected a file, a tab and its samples")
        yield _row({"audio_filepath": file, "id": file}, f"{path}:{number}", folder)


def _of_parquet(path: Path) -> Iterator[Row]:
    from vqaudio.units.parquet import open_parquet

    file = open_parquet(path)
    known = [key for key in KEYS if key in file.schema_arrow.names]
    number = 0
    for batch in file.iter_batches(columns=known):
        for values in batch.to_pylist():
            number += 1
            yield _row({k: v for k, v in values.items() if v is not None}, f"{path}: row {number}", path.parent)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UnitsError(f"{path}: not UTF-8: {error}") from error
    except OSError as error:
        raise UnitsError(f"{path}: cannot be read: {error.strerror}") from error


def _row(values: Any, where: str, folder: Path) -> Row:
    if not isinstance(values, Mapping) or not isinstance(values.get("audio_filepath"), str):
        raise UnitsError(f"{where}: got {values!r:.200}, expected an object with audio_filepath")
    file = values["audio_filepath"]
    if is_pipe(file):
        raise UnitsError(f"{where}: {file!r} is a command, expected a file: manifests run nothing")
    offset, duration = (_seconds(values, key, where) for key in ("offset", "duration"))
    if not offset and not values.get("id"):  # a whole recording: NeMo states its length
        offset = None
    name = values.get("id") or _name(file, offset, duration)
    if not isinstance(name, str):
        raise UnitsError(f"{where}: the id {name!r} is not text")
    return Row(name, str((folder / file).absolute()), offset, duration)


def _seconds(values: Mapping[str, Any], key: str, where: str) -> float | None:
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise UnitsError(f"{where}: {key} is {value!r}, expected seconds, at least 0")
    return float(value)


def _name(file: str, offset: float | None, duration: float | None) -> str:
    if offset is None:
        return file
    return f"{file}:{offset:g}" + ("" if duration is None else f"+{duration:g}")
