"""The codebook: nearest code, straight-through gradient, two ways to learn it, and revival of unused codes.

After van den Oord, Vinyals and Kavukcuoglu 2017: sec. 3.1-3.2, eq. 3 and appendix A.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqaudio.config import QuantizerConfig
from vqaudio.models.nearest import nearest_codes
from vqaudio.models.ranks import copy_from_first_rank, is_first_rank, join_ranks, sum_over_ranks


@dataclass
class Quantized:
    """What the quantizer makes of z_e (B, N, D)."""

    z_q: Tensor
    """The codes (B, N, D), with the gradient of z_e (straight-through)."""
    units: Tensor
    """Index of each code, LongTensor (B, N)."""
    loss: Tensor
    """Codebook term (where learned by gradient) plus β times the commitment term: eq. 3, means over elements."""


def kmeans(vectors: Tensor, codes: int, generator: torch.Generator, iterations: int = 20) -> Tensor:
    """Return `codes` centroids (K, D) of vectors (M, D) by Lloyd's algorithm from a random sample of them.

    A centroid that loses all its vectors is moved to a random vector.
    """
    centroids = sample_vectors(vectors, codes, generator)
    for _ in range(iterations):
        sums, counts = code_statistics(vectors, nearest_codes(vectors, centroids), codes)
        centroids = torch.where(
            counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], sample_vectors(vectors, codes, generator)
        )
    return centroids


def sample_vectors(vectors: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return n random rows of `vectors` (M, D), without repetition while M suffices."""
    order = torch.randperm(len(vectors), generator=generator)
    return vectors[order.repeat(-(-n // len(vectors)))[:n].to(vectors.device)]


def code_statistics(vectors: Tensor, units: Tensor, codes: int) -> tuple[Tensor, Tensor]:
    """Return the sum (K, D) and the number (K,), as floats, of the vectors (M, D) assigned to each code."""
    counts = torch.bincount(units, minlength=codes).to(vectors.dtype)
    sums = vectors.new_zeros(codes, vectors.shape[1]).index_add_(0, units, vectors)
    return sums, counts


class VectorQuantizer(nn.Module):
    """K codes of D dimensions. Computes in float32 whatever autocast says.

    Buffers: `counts` (K,) and `sums` (K, D) are the running statistics that define the codes under `ema`; `idle` (K,)
    counts the steps since each code was last used; `initialised` says whether the codes stand for anything yet.
    """

    def __init__(self, config: QuantizerConfig) -> None:
        super().__init__()
        self.config = config
        codes = torch.randn(config.codebook_size, config.code_dim)
        if config.update == "gradient":
            self.codebook = nn.Parameter(codes)
        else:
            self.register_buffer("codebook", codes)
        self.register_buffer("counts", torch.ones(config.codebook_size))
        self.register_buffer("sums", codes.clone())
        self.register_buffer("idle", torch.zeros(config.codebook_size, dtype=torch.long))
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, z_e: Tensor) -> Quantized:
        """Quantize z_e (B, N, D)."""
        with torch.autocast(z_e.device.type, enabled=False):
            z_e = z_e.float()
            units = self.units(z_e)
            codes = F.embedding(units, self.codebook)
            loss = self.config.beta * F.mse_loss(z_e, codes.detach())
            if self.config.update == "gradient":
                loss = loss + F.mse_loss(codes, z_e.detach())
            return Quantized(z_e + (codes - z_e).detach(), units, loss)

    def units(self, z_e: Tensor) -> Tensor:
        """Return the index of the nearest code, (..., D) -> LongTensor (...)."""
        vectors = z_e.detach().float().reshape(-1, z_e.shape[-1])
        return nearest_codes(vectors, self.codebook.detach()).view(z_e.shape[:-1])

    def embed(self, units: Tensor) -> Tensor:
        """Return the codes (..., D) of units (...)."""
        return F.embedding(units, self.codebook)

    @torch.no_grad()
    def initialise(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Set the codes from encoder outputs (M, D), of all ranks alike.

        Rank 0 chooses for all: sums on a GPU do not come out the same, bit for bit, twice.
        """
        choose = kmeans if self.config.init == "kmeans" else sample_vectors
        codes = self.codebook.detach().clone()
        if is_first_rank():
            codes = choose(vectors.float(), self.config.codebook_size, generator)
        copy_from_first_rank(codes)
        self._replace(torch.ones_like(self.idle, dtype=torch.bool), codes)
        self.initialised.fill_(True)

    @torch.no_grad()
    def update(self, z_e: Tensor, units: Tensor, generator: torch.Generator) -> Tensor:
        """Learn from one step's outputs (…, D) and their units: running means (`ema`), then revival.

        Returns the indices of the codes that were revived. Statistics are summed over ranks, and all ranks revive the
        same codes from the outputs of all, so that replicas stay bitwise equal.
        """
        vectors, units = z_e.float().reshape(-1, z_e.shape[-1]), units.reshape(-1)
        sums, counts = code_statistics(vectors, units, self.config.codebook_size)
        sums, counts = sum_over_ranks(sums), sum_over_ranks(counts)
        if self.config.update == "ema":
            self.counts.lerp_(counts, 1 - self.config.decay)
            self.sums.lerp_(sums, 1 - self.config.decay)
            # A code that has not been used for long keeps its place: its count is tiny, its mean is not.
            self.codebook.copy_(self.sums / self.counts.clamp_min(1e-9)[:, None])
        self.idle.add_(1).masked_fill_(counts > 0, 0)
        return self._revive(vectors, generator)

    def _revive(self, vectors: Tensor, generator: torch.Generator) -> Tensor:
        window = self.config.revive_window
        dead = self.idle >= window if window else torch.zeros_like(self.idle, dtype=torch.bool)
        revived = dead.nonzero()[:, 0]
        if len(revived):
            self._replace(dead, sample_vectors(join_ranks(vectors), len(revived), generator))
        return revived

    def _replace(self, which: Tensor, codes: Tensor) -> None:
        # The statistics too: they define the code, and would undo its revival at the next update.
        self.codebook.data[which] = codes
        self.sums[which] = codes
        self.counts[which] = 1.0
        self.idle[which] = 0
