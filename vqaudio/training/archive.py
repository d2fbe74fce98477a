"""Files of torch.save, read as far as they hold tensors and plain values, in no more memory than they have bytes.

torch.load with weights_only executes nothing, but what it may call can still be asked for any amount of memory: entries
of a zip archive that unpack to a thousand times their size, `bytearray(10**12)`, a tensor that claims more elements
than there are bytes for. So the archive is looked through before, and the tensors after.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vqaudio.untrusted import open_regular, shown

_NAMES = re.compile(
    r"torch\._utils _rebuild_(tensor_v2|parameter)|collections OrderedDict|torch (Size|device|\w+Storage)"
)
"""What the pickle within may name: what makes a tensor, and the mapping of a state_dict."""


def load_plain(path: Path) -> Any:
    """Return what torch.save wrote, on the CPU. Raises an exception of any kind for another file."""
    with open_regular(path) as file:
        with zipfile.ZipFile(file) as archive:
            _require_modest(archive)
        size = file.seek(0, 2)
        file.seek(0)
        state = torch.load(file, map_location="cpu", weights_only=True)
    _require_backed(state, size)
    return state


def _require_modest(archive: zipfile.ZipFile) -> None:
    """Raise ValueError unless all entries are stored as they are, and the pickle names nothing but tensors."""
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ValueError(f"its entry {shown(entry.filename)} is compressed")
    pickles = [entry for entry in archive.infolist() if entry.filename.endswith("data.pkl")]
    if len(pickles) != 1:
        raise ValueError(f"it has {len(pickles)} pickles, expected 1")
    for code, name, _ in pickletools.genops(archive.read(pickles[0])):
        if code.name in ("GLOBAL", "INST", "STACK_GLOBAL") and not _NAMES.fullmatch(str(name)):
            raise ValueError(f"it names {shown(name)}, expected tensors and plain values")


def _require_backed(state: Any, size: int) -> None:
    """Raise ValueError for more values, or a tensor of more elements, than a file of `size` bytes can hold."""
    parts, count = [state], 0
    while parts:
        part, count = parts.pop(), count + 1
        if count > size:  # lists that hold each other, or themselves
            raise ValueError("it has more values than bytes")
        if isinstance(part, Tensor):
            if max(part.numel() * part.element_size(), part.untyped_storage().nbytes()) > size:
                raise ValueError(f"it has a tensor of shape {shown(tuple(part.shape))}, more than it has bytes for")
        elif isinstance(part, Mapping):
            parts += [*part.keys(), *part.values()]
        elif isinstance(part, (list, tuple)):
            parts += part
