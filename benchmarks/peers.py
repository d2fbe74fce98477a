"""What vqaudio is compared with, and how it comes here: packages in a folder of their own, beside the environment's.

They are installed without what they depend on, but for the little that the environment lacks, so that none of them
brings another torch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from torch import nn

from benchmarks.sizes import CLASSES, PAPER
from vqaudio.audio.torchaudio_compat import import_torchaudio

FOLDER = Path(__file__).with_name(".peers")


@dataclass(frozen=True)
class Peer:
    """A package as its index calls it, the version that is compared with, and what its import needs."""

    module: str
    version: str
    needs: tuple[str, ...] = ()


PEERS = {
    "wavenet_vocoder": Peer("wavenet_vocoder", "0.1.1"),
    "vector-quantize-pytorch": Peer(
        "vector_quantize_pytorch",
        "1.32.0",
        ("einx==0.4.3", "frozendict==2.5.1", "loguru==0.7.3", "torch-einops-utils==0.2.0"),
    ),
    "faiss-cpu": Peer("faiss", "1.15.1"),
    "encodec": Peer("encodec", "0.1.1"),
}


class PeerMissing(Exception):
    """A peer that is not installed or cannot be imported; the message says which, and what helps."""


def install() -> None:
    """Install all peers into FOLDER."""
    wanted = [r for name, peer in PEERS.items() for r in (f"{name}=={peer.version}", *peer.needs)]
    pip = [sys.executable, "-m", "pip", "install", "--upgrade", "--no-deps", "--target", str(FOLDER)]
    subprocess.run([*pip, *wanted], check=True)


def load(name: str) -> ModuleType:
    """Return the module of a peer. Raises PeerMissing."""
    module = PEERS[name].module
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))  # last: what the environment has comes first
    # They call torch by names that it will drop one day: not what is looked at here.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.nn")
    if name == "encodec":
        import_torchaudio()  # it imports torchaudio itself, which may need help
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = name if error.name == module else f"{error.name}, which {name} needs,"
        raise PeerMissing(f"{missing} is not installed: python -m benchmarks --install") from error
    except Exception as error:  # another package's own trouble, such as with a newer torch
        raise PeerMissing(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def label(name: str) -> str:
    """Return name and version of a peer: the installed one, or the wanted one where there is none."""
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{name} {PEERS[name].version}"


def paper_sized_wavenet(condition_channels: int) -> nn.Module:
    """Return wavenet_vocoder's model at the size PAPER, as it is trained: with weight normalisation.

    Its options are the cheapest that compute the same as ours: no dropout, no scaling of the skip path (`legacy`),
    and a condition that comes at the sample rate, so that no upsampling is timed. Raises PeerMissing.
    """
    return load("wavenet_vocoder").WaveNet(
        out_channels=CLASSES,
        layers=PAPER.layers,
        stacks=PAPER.stacks,
        residual_channels=PAPER.residual_channels,
        gate_channels=PAPER.gate_channels,
        skip_out_channels=PAPER.skip_channels,
        kernel_size=2,
        dropout=0,
        cin_channels=condition_channels,
        legacy=False,
    )
