"""A step's batch cut into micro-batches, which are computed one after the other: memory for one, gradients of all.

    step s   |------------ rank 0 ------------|------------ rank 1 ------------|     crops of the endless stream
             | micro 0 | micro 1 | micro 2 |  | micro 0 | micro 1 | micro 2 |

Ranks and micro-batches together take the crops that one batch of all of them would.
"""

from __future__ import annotations

import dataclasses
from typing import TypeVar

T = TypeVar("T")


def micro_batches(batch: T, size: int) -> list[T]:
    """Return a batch, a dataclass of tensors and lists of B items each, as batches of `size` items each, in order."""
    columns = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    count = len(next(iter(columns.values())))
    return [
        dataclasses.replace(batch, **{name: column[first : first + size] for name, column in columns.items()})
        for first in range(0, count, size)
    ]
