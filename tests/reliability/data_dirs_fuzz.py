"""Data directories mutated at random: bytes, lines and whole files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.reliability.data_dirs_breaks import INSTEAD, Tables

Random = np.random.Generator
NASTY = [
    b"\0", b"\t", b" ", b"  ", b"\n", b"\n\n", b"\r", b"\r\n", b"\x0b", b"\x0c", b"\x1c", b"\x1f", b"\x85", b"\xff",
    b"\xc3", b"\xe2\x80", "\u2028".encode(), "\u3000".encode(), "\u00a0".encode(), "\ufeff".encode(), "\u202e".encode(),
    "\U0001f600".encode(), "e\u0301".encode(), b"\xed\xa0\x80", b"|", b"/", b"..", b"-", b"_", b".", b"\\", b"'", b'"',
    b"$(touch executed)", b"`touch executed`", b"; touch executed |", b"x" * 300, b"nan", b"inf", b"-1", b"1e999",
    b"-0", b"0x1F", b"1_0", "\u0663".encode(), b"1" * 400, b"001-a", b"r001-a", b"\x1b[2J", b"%s%n", b"{0}", b"~",
]  # fmt: skip


def mutate(tables: Tables, random: Random) -> None:
    """Change a directory in one to four ways."""
    for _ in range(random.integers(1, 5)):
        name = random.choice(sorted(tables.bytes))
        change: Callable[[bytes, Random], bytes] = CHANGES[random.integers(len(CHANGES))]
        tables.bytes[name] = change(tables.bytes[name], random)
    if random.random() < 0.03:
        tables.instead[random.choice(sorted(tables.bytes))] = random.choice(sorted(set(INSTEAD) - {"forbidden"}))


def _place(data: bytes, random: Random) -> int:
    return int(random.integers(len(data) + 1))


def _flip(data: bytes, random: Random) -> bytes:
    place = _place(data, random)
    return data[:place] + bytes([random.integers(256)]) + data[place + 1 :]


def _insert(data: bytes, random: Random) -> bytes:
    place = _place(data, random)
    return data[:place] + NASTY[random.integers(len(NASTY))] + data[place:]


def _delete(data: bytes, random: Random) -> bytes:
    place = _place(data, random)
    return data[:place] + data[place + int(random.integers(1, 12)) :]


def _cut(data: bytes, random: Random) -> bytes:
    return data[: _place(data, random)]


def _replace_field(data: bytes, random: Random) -> bytes:
    lines = [line.split(b" ") for line in data.split(b"\n")]
    line = lines[random.integers(len(lines))]
    line[random.integers(len(line))] = NASTY[random.integers(len(NASTY))]
    return b"\n".join(b" ".join(fields) for fields in lines)


def _shuffle(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")[:-1]
    return b"".join(lines[i] + b"\n" for i in random.permutation(len(lines)))


def _by_language(data: bytes, random: Random) -> bytes:
    """Sort as dictionaries do, marks passed over."""
    return b"\n".join(sorted(data.split(b"\n")[:-1], key=lambda line: line.lower().replace(b"-", b""))) + b"\n"


def _repeat(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    lines.insert(random.integers(len(lines)), lines[random.integers(len(lines))])
    return b"\n".join(lines)


def _drop(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    del lines[random.integers(len(lines))]
    return b"\n".join(lines)


def _rename(data: bytes, random: Random) -> bytes:
    return data.replace(b"001", random.choice([b"01", b"B01", b"\xc3\x84", b"002", b"001-", b"0_1"]))


CHANGES = [
    _flip, _flip, _insert, _insert, _insert, _delete, _cut, _replace_field, _replace_field, _replace_field, _shuffle,
    _by_language, _repeat, _drop, _rename,
    lambda data, random: data.replace(b"\n", b"\r\n"),
    lambda data, random: data.replace(b"\n", b"\r"),
    lambda data, random: data.replace(b" ", b"\t"),
    lambda data, random: data.replace(b" ", b"  "),
    lambda data, random: b"\xef\xbb\xbf" + data,
    lambda data, random: data.decode("utf-8", "replace").encode("utf-16"),
    lambda data, random: data + data,
]  # fmt: skip
