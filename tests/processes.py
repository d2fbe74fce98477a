"""What processes there are below one, what they call themselves, and where they listen. Of Linux, from /proc."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

LISTEN = "0A"
"""The state of a socket in /proc/net/tcp: https://docs.kernel.org/networking/proc_net_tcp.html"""


def family(pid: int) -> list[int]:
    """Return all processes below one, however deep."""
    below = []
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            below += [int(child) for child in path.read_text().split()]
    return [one for child in below for one in (child, *family(child))]


def names(pids: list[int]) -> dict[int, str]:
    """Return the command lines of those processes that there still are."""
    found = {}
    for pid in pids:
        with suppress(OSError):
            found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def listening_addresses(pids: list[int]) -> set[str]:
    """Return the addresses at which any of these processes listens for TCP."""
    own = set()
    for pid in pids:
        with suppress(OSError):
            own |= {link for file in Path(f"/proc/{pid}/fd").iterdir() if (link := _target(file)).startswith("socket:")}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and f"socket:[{fields[9]}]" in own:
                found.add(_address(fields[1].partition(":")[0]))
    return found


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _address(digits: str) -> str:
    """Return an address written in hexadecimal, 32 bits at a time in the machine's order (here: the lowest first)."""
    words = [bytes.fromhex(digits[i : i + 8])[::-1] for i in range(0, len(digits), 8)]
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, b"".join(words))
