"""A digest of all that a checkpoint holds, by which damage is noticed: to torch.load, flipped bits are other values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def digest(state: Any) -> str:
    """Return the SHA-256 of nested mappings and sequences of tensors and plain values, in their order.

    Of tensors it takes type, shape and values, wherever they are; NaNs count by their bits.
    """
    sha = hashlib.sha256()
    _take(state, sha)
    return sha.hexdigest()


def _take(value: Any, sha: Any) -> None:
    if isinstance(value, Tensor):
        sha.update(f"{value.dtype}{tuple(value.shape)}".encode())
        sha.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, Mapping):
        sha.update(f"mapping of {len(value)}".encode())
        for key, part in value.items():
            _take(key, sha)
            _take(part, sha)
    elif isinstance(value, (list, tuple)):
        sha.update(f"{type(value).__name__} of {len(value)}".encode())
        for part in value:
            _take(part, sha)
    else:
        text = repr(value).encode()
        sha.update(b"%d %s" % (len(text), text))
