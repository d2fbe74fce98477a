"""Where the ranks of a single machine meet: at its loopback address, which no other machine can reach.

What torch makes by default listens on every interface of the machine: the store of torchrun, or of rank 0, and the
sockets of gloo and NCCL. Whoever connects there is believed. Between machines there is no other way; on one machine
none of it has to be seen from outside.

    launch ─▶ store at 127.0.0.1 ◀─ ranks ─▶ process groups on the loopback interface
"""

from __future__ import annotations

import os
import socket

from torch.distributed import PrefixStore, TCPStore
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)

BACKEND = "loopback"
ADDRESS = "127.0.0.1"
INTERFACES = ("lo", "lo0")
"""The loopback interface: of Linux, of BSD and macOS."""


def listening_store(address: str = ADDRESS, port: int = 0) -> TCPStore:
    """Return a store that listens at this address alone; port 0 stands for any free one."""
    family, *_, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    listening = socket.create_server(place[:2], family=family)
    port = listening.getsockname()[1]
    return TCPStore(address, port, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach())


def keep_to_loopback() -> None:
    """Let process groups made from here on listen on the loopback interface, unless the user has chosen another."""
    names = [name for _, name in socket.if_nameindex() if name in INTERFACES]
    if names:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", names[0])
        os.environ.setdefault("NCCL_SOCKET_IFNAME", f"={names[0]}")  # NCCL's sign for: this one, not all that begin so


class LoopbackRendezvous(RendezvousHandler):
    """Rendezvous of torchrun with itself, which alone starts all ranks; its store serves them too."""

    def __init__(self, run_id: str) -> None:
        self._run_id, self._store = run_id, listening_store()

    @classmethod
    def register(cls) -> str:
        """Make it known to torchrun; return the name for `--rdzv_backend`."""
        rendezvous_handler_registry.register(BACKEND, cls._create)
        return BACKEND

    @classmethod
    def _create(cls, parameters: RendezvousParameters) -> LoopbackRendezvous:
        return cls(parameters.run_id)

    def get_backend(self) -> str:
        """Return the name."""
        return BACKEND

    @property
    def use_agent_store(self) -> bool:
        """Whether ranks use this store, rather than one that rank 0 makes."""
        return True

    def next_rendezvous(self) -> RendezvousInfo:
        """Return the store, and that this is machine 0 of 1; at every restart of the ranks."""
        store = PrefixStore(self._run_id, self._store)
        return RendezvousInfo(store, 0, 1, RendezvousStoreInfo(ADDRESS, self._store.port))

    def is_closed(self) -> bool:
        """Whether nobody may join any more."""
        return False

    def set_closed(self) -> None:
        """Nobody else would join."""

    def num_nodes_waiting(self) -> int:
        """Return how many other machines would like to join."""
        return 0

    def get_run_id(self) -> str:
        """Return the name of the run."""
        return self._run_id

    def shutdown(self) -> bool:
        """Return whether nothing is left open."""
        return True
