"""Sockets that processes listen on, as Linux lists them in /proc (proc(5))."""

from __future__ import annotations

import ipaddress
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path

LISTENING = "0A"


def listening(pid: int) -> set[tuple[str, int]]:
    """Return address and port of each TCP socket that a process listens on."""
    inodes, found = _sockets(pid), set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == LISTENING and f"socket:[{inode}]" in inodes:
                address, port = local.split(":")
                found.add((_address(address), int(port, 16)))
    return found


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, and theirs."""
    own = [int(child) for task in _list(f"/proc/{pid}/task") for child in _words(f"/proc/{pid}/task/{task}/children")]
    return own + [grandchild for child in own for grandchild in children(child)]


def is_loopback(address: str) -> bool:
    """Whether only processes of this machine reach an address."""
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _sockets(pid: int) -> set[str]:
    found = set()
    for fd in _list(f"/proc/{pid}/fd"):
        with suppress(OSError):  # closed meanwhile
            found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def _address(digits: str) -> str:
    """Return the address of digits as the kernel prints them: words of 32 bits in the machine's order of bytes."""
    words = [int(digits[i : i + 8], 16) for i in range(0, len(digits), 8)]
    order = "<" if sys.byteorder == "little" else ">"
    return str(ipaddress.ip_address(struct.pack(f"{order}{len(words)}I", *words)))


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # the process has ended
        return []


def _words(path: str) -> list[str]:
    try:
        return Path(path).read_text().split()
    except OSError:
        return []
