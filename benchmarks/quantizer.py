"""The quantizer: the nearest of K codes to each vector, and one step of learning the codebook by running means.

Vectors and codes are normal random numbers of CODE_DIM dimensions, float32. All sides are given the same ones.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from benchmarks import limits, memory, peers
from benchmarks.rows import Unit
from benchmarks.timing import Absent, Benchmark, Contest, Effort, Limit, Side
from vqaudio.config import QuantizerConfig
from vqaudio.models.quantizer import VectorQuantizer, nearest_codes

NANOSECONDS = Unit("ns/vector", per_second=1e9)
MILLISECONDS = Unit("ms/step", per_second=1e3)
CODE_DIM = 64
VECTORS = 100_000
MEMORY_VECTORS = (100_000, 1_000_000)
MOST_DISTANCES = 2**28
"""vector-quantize-pytorch keeps all distances, several times over: of larger searches it is given a part (1 GiB)."""
STEP_VECTORS, STEP_CODES = 4096, 512


def search_data(codes: int, vectors: int) -> tuple[Tensor, Tensor]:
    """Return vectors (N, CODE_DIM) and a codebook (K, CODE_DIM)."""
    torch.manual_seed(0)
    return torch.randn(vectors, CODE_DIM), torch.randn(codes, CODE_DIM)


def our_search(vectors: Tensor, codebook: Tensor) -> Side:
    """Return the search by `nearest_codes`."""
    return Side("ours", torch.inference_mode()(partial(nearest_codes, vectors, codebook)), len(vectors))


def module_search(vectors: Tensor, codebook: Tensor) -> Side:
    """Return the forward pass of vector-quantize-pytorch in evaluation; it also returns the codes themselves."""
    quantizer = _peer_quantizer(codebook).eval()
    forward = torch.inference_mode()(partial(quantizer, vectors[None]))
    return Side(peers.label("vector-quantize-pytorch"), forward, len(vectors))


def faiss_search(vectors: Tensor, codebook: Tensor) -> Side:
    """Return the exact search of faiss, on as many threads as torch may use."""
    faiss = peers.load("faiss-cpu")
    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatL2(CODE_DIM)
    index.add(codebook.numpy())
    return Side(peers.label("faiss-cpu"), partial(index.search, vectors.numpy(), 1), len(vectors))


SIDES = {"ours": our_search, "vector-quantize-pytorch": module_search, "faiss-cpu": faiss_search}


def search(codes: int, peer: str, effort: Effort) -> Contest:
    """Return our search against that of `peer`, a key of SIDES."""
    vectors, codebook = search_data(codes, 2048 if effort.quick else VECTORS)
    given = vectors[: MOST_DISTANCES // codes] if peer == "vector-quantize-pytorch" else vectors
    ours, other = our_search(vectors, codebook), _present(peer, given, codebook)
    peak = limits.multiply_adds("float32")
    note = f"{len(vectors):,} vectors of {CODE_DIM} dimensions"
    if len(given) < len(vectors):
        note += f"; {len(given):,} for the peer, which keeps all distances"
    limit = Limit(peak.per_second / (codes * CODE_DIM), peak.how)
    return Contest(ours, other, limit, memory="" if effort.quick else _memory(codes, peer, other), note=note)


def step(effort: Effort) -> Contest:
    """Return one step in training: nearest codes, loss, statistics and the new codebook; no gradient is taken."""
    vectors, codebook = search_data(STEP_CODES, STEP_VECTORS)
    z_e = vectors[None].requires_grad_()
    generator = torch.Generator().manual_seed(0)
    quantizer = VectorQuantizer(QuantizerConfig(STEP_CODES, CODE_DIM, update="ema", init="sample"))
    quantizer.initialise(codebook, generator)

    def run() -> None:
        quantizer.update(z_e.detach(), quantizer(z_e).units, generator)

    peak = limits.multiply_adds("float32")
    return Contest(
        Side("ours", run, 1),
        _present_step(z_e, codebook),
        Limit(peak.per_second / (STEP_VECTORS * STEP_CODES * CODE_DIM), f"the distances, at {peak.how}"),
        note=f"{STEP_VECTORS:,} vectors, {STEP_CODES} codes, {CODE_DIM} dimensions; forward, then running means",
    )


def _peer_quantizer(codebook: Tensor) -> nn.Module:
    """Return vector-quantize-pytorch's module with these codes, learning as ours does, without revival."""
    module = peers.load("vector-quantize-pytorch")
    quantizer = module.VectorQuantize(
        dim=CODE_DIM, codebook_size=len(codebook), decay=0.99, commitment_weight=0.25, kmeans_init=False,
        threshold_ema_dead_code=0,
    )  # fmt: skip
    quantizer.codebook = codebook
    return quantizer


def _present(peer: str, vectors: Tensor, codebook: Tensor) -> Side | Absent:
    try:
        return SIDES[peer](vectors, codebook)
    except peers.PeerMissing as missing:
        return Absent(peers.label(peer), str(missing))


def _present_step(z_e: Tensor, codebook: Tensor) -> Side | Absent:
    name = peers.label("vector-quantize-pytorch")
    try:
        return Side(name, partial(_peer_quantizer(codebook).train(), z_e), 1)
    except peers.PeerMissing as missing:
        return Absent(name, str(missing))


def _memory(codes: int, peer: str, other: Side | Absent) -> str:
    """Return what a search takes beside its inputs, ours and the peer's, by the number of vectors."""
    said = []
    for vectors in MEMORY_VECTORS:
        theirs = f", peer {memory.growth(peer, codes, vectors)}" if isinstance(other, Side) else ""
        said.append(f"{vectors:,} vectors: {memory.growth('ours', codes, vectors)}{theirs}")
    return "; ".join(said)


PATHS = {
    **{
        f"nearest_code_{codes}{suffix}": Benchmark(
            f"nearest of {codes} codes, {peer}", NANOSECONDS, partial(search, codes, peer)
        )
        for codes in (512, 1024, 8192)
        for suffix, peer in (("", "vector-quantize-pytorch"), ("_faiss", "faiss-cpu"))
    },
    "quantizer_step": Benchmark("codebook, one training step", MILLISECONDS, step),
}
