"""Small files that anyone may have written: text, JSON and YAML, read within bounds.

What is read here executes nothing and takes memory in proportion to a size that the caller names. Every function raises
OSError for a file that cannot be opened, and ValueError, in one readable line, for one that is not what it should be.
"""

from __future__ import annotations

import json
import os
import reprlib
import stat
from collections.abc import Hashable
from pathlib import Path
from typing import Any, BinaryIO

import yaml

KIB, MIB = 2**10, 2**20
LARGEST_YAML = 64 * KIB
"""A configuration takes 2 KiB; PyYAML takes a second for 64."""
LARGEST_JSON = 16 * MIB
LONGEST_SHOWN = 300
"""Letters of a value in a message."""
_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)  # fmt: skip


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading bytes; refuse a folder, a pipe, a device and a socket, and never wait for one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # non-blocking: a pipe may have no writer
    try:
        mode = os.fstat(descriptor).st_mode
        kind = next((name for matches, name in _KINDS if matches(mode)), None)
        if kind is not None:
            raise ValueError(f"it is {kind}, expected a file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: str | Path, largest: int) -> bytes:
    """Return what a file of at most `largest` bytes holds."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise ValueError(f"it has {size:,} bytes, expected at most {largest:,}")
        return file.read(largest)


def read_text(path: str | Path, largest: int) -> str:
    """Return the text of a UTF-8 file of at most `largest` bytes."""
    return _decoded(read_bytes(path, largest))


def read_json(path: str | Path, largest: int = LARGEST_JSON) -> Any:
    """Return what a JSON file holds; a key that an object has twice is refused."""
    return parse_json(read_text(path, largest))


def parse_json(text: str) -> Any:
    """Return what JSON text says; a key that an object has twice is refused."""
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_yaml(path: str | Path, largest: int = LARGEST_YAML) -> Any:
    """Return what a YAML file of plain values holds, as `parse_yaml`."""
    return parse_yaml(read_text(path, largest))


def parse_yaml(text: str) -> Any:
    """Return what YAML text of plain values says.

    Tags that name Python objects are refused, as by yaml.safe_load. So is a key that a mapping has twice, and an alias
    (`*name`) of anything but a single value: a few lines of those can stand for more than fits into memory.
    """
    try:
        return _PlainLoader(text).get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(f"it is not valid YAML: {_on_one_line(error)}") from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # PyYAML lets through what Python's own conversions raise: `2001-99-99`, `!!bool x`.
        raise ValueError(f"it is not valid YAML: a value is not what its tag says ({error})") from error


def shown(value: object) -> str:
    """Return `value` as a message repeats it: as repr does, but of what is long only its ends."""
    try:
        text = _SHORT.repr(value)
        return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 40]}…{text[-40:]}"
    except ValueError:  # a number of thousands of digits: Python refuses to write it out
        return f"a {type(value).__name__} of very many digits"


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            if not isinstance(self.anchors.get(event.anchor), (yaml.ScalarNode, type(None))):
                problem = f"*{event.anchor} repeats a list or a mapping, expected it written out"
                raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {shown(key.value)} is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 4, 120, 120, 60
        self.maxlist = self.maxtuple = self.maxdict = 8


_SHORT = _Short()


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text (byte {error.start + 1})") from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {shown(key)} is there twice")
        found[key] = value
    return found


def _on_one_line(error: yaml.YAMLError) -> str:
    """Return what is wrong, and where, without the excerpt of the file that PyYAML adds in lines of its own."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(error).split())
