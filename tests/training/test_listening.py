"""On one machine, nothing that trains can be reached from another."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.training import two_ranks
from tests.training.conftest import vqvae_config
from tests.training.sockets import children, is_loopback, listening
from tests.training.test_torchrun import OURS, TORCHRUN, start
from vqaudio.training.launch import on_one_machine
from vqaudio.training.rendezvous import LoopbackRendezvous, keep_to_loopback, listening_store

pytestmark = pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="sockets are looked up in /proc")


def test_sockets_are_found_and_told_apart():
    before = listening(os.getpid())
    family, place = (socket.AF_INET6, "::1") if socket.has_dualstack_ipv6() else (socket.AF_INET, "127.0.0.1")
    with socket.create_server(("0.0.0.0", 0)) as one, socket.create_server((place, 0), family=family) as other:
        assert listening(os.getpid()) - before == {one.getsockname(), other.getsockname()[:2]}
    assert listening(os.getpid()) == before
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("0.0.0.0") and not is_loopback("::") and not is_loopback("::ffff:10.0.0.1")


@pytest.mark.parametrize("launcher", [OURS, TORCHRUN])
def test_a_training_listens_at_loopback_alone(corpus, tmp_path, launcher):
    """Started by torchrun itself, its ranks do; that torchrun's own process does not, the docs say."""
    changes = "training.max_steps=1000000", "training.log_interval=1", "training.eval_interval=1000000"
    process = start(launcher, ["-m", "vqaudio"], corpus, tmp_path / "exp", *changes)
    try:
        next(line for line in process.stderr if "step 3 " in line)
        ranks = children(process.pid)
        found = {pid: listening(pid) for pid in ([process.pid] if launcher == OURS else []) + ranks}
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        process.wait(timeout=120)
    finally:
        process.kill()
    assert len(ranks) >= 2 and sum(map(bool, found.values())) >= 2
    assert all(is_loopback(address) for places in found.values() for address, _ in places), found


def test_ranks_without_torchrun_listen_at_loopback_alone(corpus, tmp_path):
    """As under a launcher of another kind, where rank 0 keeps the store."""
    found = two_ranks.run(two_ranks.listening_after, two_ranks.train, vqvae_config(), corpus, tmp_path)
    assert all(found) and all(is_loopback(address) for places in found for address, _ in places), found


def test_one_process_listens_nowhere(corpus, tmp_path):
    job = two_ranks.listening_after, two_ranks.train, vqvae_config(), corpus, tmp_path
    assert two_ranks.run(*job, size=1) == [set()]


def test_a_store_listens_where_it_is_told():
    before = listening(os.getpid())
    store = listening_store()
    assert listening(os.getpid()) - before == {("127.0.0.1", store.port)}
    store.set("key", "value")
    assert store.get("key") == b"value"


def test_a_user_s_interface_is_kept(monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    monkeypatch.delenv("NCCL_SOCKET_IFNAME", raising=False)
    keep_to_loopback()
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth7" and os.environ["NCCL_SOCKET_IFNAME"] == "=lo"
    monkeypatch.delenv("NCCL_SOCKET_IFNAME")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--standalone"], True),
        ([], True),
        (["--nnodes", "1:1"], True),
        (["--nnodes", "1:2"], False),
        (["--nnodes", "2", "--master_addr", "first"], False),
        (["--rdzv_backend", "c10d", "--rdzv_endpoint", "first:29500"], False),
        (["--rdzv_endpoint", "first:29500"], False),
    ],
)
def test_what_is_on_one_machine(words, expected):
    from torch.distributed.run import parse_args

    assert on_one_machine(parse_args([*words, "train.py"])) is expected


def test_the_rendezvous_is_known_to_torchrun():
    from torch.distributed.elastic.rendezvous import RendezvousParameters
    from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

    name = LoopbackRendezvous.register()
    handler = get_rendezvous_handler(RendezvousParameters(name, "", "a run", 1, 1))
    first, again = handler.next_rendezvous(), handler.next_rendezvous()
    assert (first.rank, first.world_size, again.rank, again.world_size) == (0, 1, 0, 1)
    assert first.bootstrap_store_info.master_addr == "127.0.0.1"
    first.store.set("key", "value")
    assert again.store.get("key") == b"value"
