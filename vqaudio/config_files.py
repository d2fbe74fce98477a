"""Configurations on disk: a YAML file holds the fields of one class of `vqaudio.config` as nested mappings.

An unknown key, a value of the wrong type and a value out of range are refused, naming the key by its whole path and,
for a key, the nearest one that exists.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from vqaudio.audio.atomic import write_text_whole
from vqaudio.errors import ConfigError, did_you_mean
from vqaudio.untrusted import parse_yaml, read_yaml, shown

T = TypeVar("T")
BASE = "base"
"""Key of a file that names another one, which it is laid over."""
MOST_BASES, LONGEST_NAME = 20, 1024


def load_config(path: str | Path, cls: type[T], overrides: Sequence[str] = ()) -> T:
    """Read a YAML file as `cls`, with `overrides` such as "model.encoder.channels=64" applied on top.

    A file that has a key `base` is laid over the file that it names, relative to its own folder: what it says counts,
    the rest is its base's.

    Raises ConfigError for a file that is missing or not YAML, an unknown key, and a wrong type or value.
    """
    path = Path(path)
    data = _read_with_base(path)
    try:
        for override in overrides if isinstance(data, dict) else ():
            _apply_override(data, override)
        return from_dict(cls, data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _read_with_base(path: Path, above: tuple[str, ...] = ()) -> Any:
    """Return what a file says, laid over what its `base` says; `above`: the files that lead here."""
    data = _read_yaml(path)
    if not isinstance(data, dict) or BASE not in data:
        return data
    base, above = data.pop(BASE), (*above, os.path.realpath(path))
    if not isinstance(base, str) or not base.isprintable() or len(base) > LONGEST_NAME:
        raise ConfigError(f"{path}: {BASE}: got {shown(base)}, expected the name of a file")
    if os.path.realpath(path.parent / base) in above:
        raise ConfigError(f"{path}: {BASE}: {base} is laid over this file in turn")
    if len(above) > MOST_BASES:
        raise ConfigError(f"{path}: {BASE}: {base} is one of more than {MOST_BASES} files laid over each other")
    try:
        return _laid_over(_read_with_base(path.parent / base, above), data)
    except ConfigError as error:
        if len(above) > 1:  # the first file is what the user knows of
            raise
        raise ConfigError(f"{path}: {BASE}: {error}") from error


def _laid_over(base: Any, data: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(data, dict)):
        return data
    return base | {key: _laid_over(base.get(key), value) for key, value in data.items()}


def _read_yaml(path: Path) -> Any:
    try:
        data = read_yaml(path)
    except OSError as error:
        siblings = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, siblings)
        raise ConfigError(f"{path}: the configuration cannot be read: {error.strerror}.{hint}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: the configuration cannot be read: {error}") from error
    return {} if data is None else data


def save_config(config: Any, path: str | Path) -> None:
    """Write a configuration as YAML, fields in the order of their definition; whole or not at all.

    Raises VQAudioError where the file cannot be written.
    """

    write_text_whole(path, yaml.safe_dump(to_dict(config), sort_keys=False))


def to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration as plain mappings, lists, numbers and strings."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return list(value) if isinstance(value, tuple) else value

    return plain(config)


def from_dict(cls: type[T], data: Any, where: str = "") -> T:
    """Build `cls` from nested mappings; `where` is the path of keys to `data`, for messages."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where or 'the configuration'}: expected a mapping of keys, got {shown(data)}")
    known = _types_of_fields(cls)
    for key in data:
        if key not in known:
            raise ConfigError(
                f"unknown key {shown(_join(where, key))}.{did_you_mean(shown(key), known)} "
                f"Keys of {where or cls.__name__}: {', '.join(known)}"
            )
    values = {key: _coerce(value, known[key], _join(where, key)) for key, value in data.items()}
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}.{error}" if where else str(error)) from error


@functools.cache
def _types_of_fields(cls: type) -> Mapping[str, Any]:
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """Return `value` as type `hint`. YAML 1.1 reads 1e-4 as a string, hence the numbers in strings."""
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _coerce(value, next(a for a in args if a is not type(None)), where)
    if origin is Literal:
        if value not in args:
            hint_text = did_you_mean(shown(value), map(str, args))
            raise ConfigError(f"{where}: got {shown(value)}, expected one of {', '.join(map(str, args))}.{hint_text}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where}: got {shown(value)}, expected a list")
        return tuple(_coerce(v, args[0], f"{where}[{i}]") for i, v in enumerate(value))
    return _coerce_scalar(value, hint, where)


def _coerce_scalar(value: Any, hint: type, where: str) -> Any:
    if hint is bool or isinstance(value, bool):
        if hint is bool and isinstance(value, bool):
            return value
        raise ConfigError(f"{where}: got {shown(value)}, expected {_kind(hint)}")
    if hint is int and isinstance(value, int) and abs(value) < 2**63:
        return value  # as it is: a float holds whole numbers up to 2^53 alone
    if hint in (int, float) and isinstance(value, (int, float, str)):
        try:
            number = float(value)
        except (ValueError, OverflowError):  # no number, or a whole one beyond every float
            number = math.nan
        if math.isfinite(number) and (hint is float or (number.is_integer() and abs(number) < 2**63)):
            return hint(number)
    elif hint is str and isinstance(value, str):
        return value
    raise ConfigError(f"{where}: got {shown(value)}, expected {_kind(hint)}")


def _kind(hint: type) -> str:
    return {bool: "true or false", int: "a whole number of 64 bits", float: "a finite number", str: "text"}[hint]


def _apply_override(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"override {override!r}: expected key=value, such as training.learning_rate=5e-4")
    *parents, last = key.strip().split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise ConfigError(f"override {override!r}: {parent!r} holds a value, not keys")
    try:
        data[last] = parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"override {override!r}: the value cannot be read: {error}") from error


def _join(where: str, key: object) -> str:
    name = key if isinstance(key, str) else shown(key)
    return f"{where}.{name}" if where else name
