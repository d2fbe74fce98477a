"""What a training step of the decoder's stack costs on this machine, and what each means of making it cheap is worth.

    python benchmarks/training_speed.py

The stack of the default configuration, 2 crops of 4,096 samples, forward and backward. The peer is the same stack in
torch's own differentiable operations, time-major ("plain"); every row is a process of its own, since what the
allocator keeps cannot be undone. Best of several steps.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from vqaudio.config import StackConfig
from vqaudio.models import gated
from vqaudio.models.distributions import MuLawSoftmax
from vqaudio.models.wavenet import CausalStack
from vqaudio.training.loop import describe_machine
from vqaudio.training.precision import autocast, keep_freed_memory

BATCH, SAMPLES, UNITS, LAYERS = 2, 4096, 64, 10
ROWS = {
    "plain, float32": (),
    "plain, bfloat16": ("bfloat16",),
    "own gradient, float32": ("own",),
    "own gradient, float32, freed memory kept": ("own", "keep"),
    "by the kernel, float32": ("own", "kernel"),
    "by the kernel, float32, freed memory kept": ("own", "kernel", "keep"),
    "own gradient, bfloat16": ("own", "bfloat16"),
    "own gradient, bfloat16, freed memory kept": ("own", "bfloat16", "keep"),
}


class PlainStack(CausalStack):
    """The same weights and formulas, differentiated by torch."""

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return parameters (B, T, outputs)."""
        x = self.input(inputs)  # (B, T, R)
        gates = []
        held = (condition + self.bias.reshape(1, 1, -1)).chunk(len(self.dilations), dim=-1)
        for layer, dilation in enumerate(self.dilations):
            past = F.pad(x, (0, 0, dilation, 0))[:, : x.shape[1]]
            h = torch.cat([past, x], dim=-1) @ self.taps[layer].flatten(0, 1)
            h = (h.unflatten(1, (held[layer].shape[1], -1)) + held[layer][:, :, None]).flatten(1, 2)
            a, b = h.chunk(2, dim=-1)
            gates.append(torch.tanh(a) * torch.sigmoid(b))
            if layer + 1 < len(self.dilations):
                x = x + gates[-1] @ self.residual[layer]
        h = F.relu(self.skip(torch.cat(gates, dim=-1)))
        return self.output(F.relu(self.hidden(h)))


def measure(means: tuple[str, ...], steps: int, layers: int, batch: int) -> float:
    """Return the seconds of the fastest step."""
    torch.manual_seed(0)
    if "keep" in means:
        keep_freed_memory()
    if "kernel" not in means:
        gated.kernel_serves = lambda *tensors: False
    distribution = MuLawSoftmax()
    config = StackConfig(layers=layers, stacks=-(-layers // LAYERS))
    stack = (CausalStack if "own" in means else PlainStack)(config, 256, 256)
    waveform = 0.1 * torch.randn(batch, SAMPLES)
    condition = torch.randn(batch, UNITS, stack.condition_size, requires_grad=True)
    dtype = torch.bfloat16 if "bfloat16" in means else torch.float32
    seconds = []
    for _ in range(2 + steps):
        start = time.perf_counter()
        with autocast(torch.device("cpu"), dtype):
            loss = distribution.nll(stack(distribution.to_input(waveform), condition), waveform).mean()
        stack.zero_grad()
        loss.backward()
        seconds.append(time.perf_counter() - start)
    return min(seconds[2:])


def main() -> None:
    """Measure each row in its own process and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--layers", type=int, default=LAYERS, help=f"of the stack, in stacks of {LAYERS}")
    parser.add_argument("--batch", type=int, default=BATCH, help="crops")
    parser.add_argument("--row", choices=list(ROWS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(measure(ROWS[options.row], options.steps, options.layers, options.batch))
        return
    print(f"{describe_machine(torch.device('cpu'))}, torch {torch.__version__}\n")
    print("| | ms a step | samples/s | times plain float32 |\n| --- | --- | --- | --- |")
    first = None
    for row in ROWS:
        command = [sys.executable, os.path.abspath(__file__), "--row", row, "--steps", str(options.steps)]
        command += ["--layers", str(options.layers), "--batch", str(options.batch)]
        seconds = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        first = first or seconds
        speed = options.batch * SAMPLES / seconds
        print(f"| {row} | {1000 * seconds:.0f} | {speed:,.0f} | {first / seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
