"""The kernels under the address and undefined-behaviour sanitizers, with every instruction set of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vqaudio import csrc

ROOT = Path(__file__).parents[2]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]


def instruction_flags() -> dict[str, list[str]]:
    """Return the flags of setup.py, without running the setup."""
    source = (ROOT / "setup.py").read_text(encoding="utf-8").partition("\nclass BuildKernels")[0]
    names: dict[str, object] = {"__file__": str(ROOT / "setup.py")}
    exec(source, names)
    return {"kernels": names["KERNELS"], "flags": names["FLAGS"], **names["INSTRUCTION_SETS"][os.uname().machine]}


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """The library, built with sanitizers and without optimisations that hide what they look for."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    try:
        available = csrc.available()
    except csrc.KernelsUnavailable as reason:
        pytest.skip(str(reason))
    folder, flags = tmp_path_factory.mktemp("sanitized"), instruction_flags()
    objects = []
    jobs = [(source, name) for source in flags["kernels"] for name in available]
    common = [*flags["flags"], "-O1", "-g", "-fPIC", *SANITIZE]
    for source, name in jobs:
        objects.append(folder / f"{Path(source).stem}-{name}.o")
        command = [compiler, *common, *flags[name], f"-DVQAUDIO_ISA={name}", "-c", source, "-o", objects[-1]]
        built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if "asan" in built.stderr or "unrecognized" in built.stderr:
            pytest.skip(f"the compiler has no sanitizers: {built.stderr}")
        assert built.returncode == 0, built.stderr
    path = folder / "kernels.so"
    cpu = ["-x", "c", "vqaudio/csrc/cpu.c", "-x", "none"]
    link = [compiler, "-shared", "-fPIC", *SANITIZE, *objects, *cpu, "-o", path, "-lm"]
    linked = subprocess.run(link, cwd=ROOT, capture_output=True, text=True)
    if linked.returncode and "asan" in linked.stderr:
        pytest.skip(f"the sanitizers' library is not installed: {linked.stderr}")
    assert linked.returncode == 0, linked.stderr
    return path


def runtime(name: str) -> str | None:
    """Return the path of a sanitizer's runtime, which must be loaded before anything else."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    found = subprocess.run([compiler, f"-print-file-name=lib{name}.so"], capture_output=True, text=True).stdout.strip()
    return found if os.path.isabs(found) else None


def sanitized(library: Path, program: str) -> subprocess.CompletedProcess:
    runtimes = [runtime("asan"), runtime("ubsan")]
    if None in runtimes:
        pytest.skip("the sanitizers' runtime is not installed")
    environment = os.environ | {
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0:handle_segv=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONPATH": str(ROOT),
        "KERNELS": str(library),
    }
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=ROOT)


PREPARE = """
import ctypes, os
from vqaudio import csrc
library = ctypes.CDLL(os.environ["KERNELS"])
csrc.library = lambda: library
"""


def test_the_sanitizers_see_a_read_beyond_the_end(library):
    """Were they not at work, the other tests would pass whatever the kernels do."""
    program = (
        PREPARE
        + """
import torch
from tests.generation.conftest import random_stack
from vqaudio.config import StackConfig
from vqaudio.generation import SamplerState, pack
from vqaudio.generation.compiled_engine import CompiledEngine
engine = CompiledEngine(pack(random_stack(StackConfig(3, 1, 8, 8, 8), 5, 5)))
state = SamplerState.begin(engine.packed, torch.zeros(1), "cpu")
state.ring = state.ring[:-1].clone()  # a slot too few
engine.follow(state, None, torch.zeros(1, 50, dtype=torch.long))
"""
    )
    done = sanitized(library, program)
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr


def test_steps_of_all_kinds(library):
    program = (
        PREPARE
        + """
import itertools, torch
from tests.generation.conftest import random_stack
from vqaudio.config import StackConfig
from vqaudio.generation import SamplerState, pack
from vqaudio.generation.compiled_engine import CompiledEngine
from vqaudio.models.distributions import Categorical, MixtureOfLogistics
from vqaudio.models.sampling import Draw
widths = [StackConfig(6, 2, 7, 10, 13), StackConfig(1, 1, 1, 2, 1), StackConfig(4, 1, 80, 288, 160)]
kinds = [(19, Categorical(19)), (None, MixtureOfLogistics(3))]
options = [{}, {"temperature": 0.5, "top_k": 3, "top_p": 0.7}]
torch.set_num_threads(2)
for instructions in csrc.available():
    os.environ[csrc.CHOICE] = instructions
    for config, (tokens, distribution), batch in itertools.product(widths, kinds, (1, 9)):
        stack = random_stack(config, tokens, distribution.num_parameters)
        for precision, chosen in itertools.product(CompiledEngine.precisions, options):
            engine = CompiledEngine(pack(stack), precision=precision)
            state = SamplerState.begin(engine.packed, torch.zeros(batch), "cpu")
            condition = torch.randn(batch, 3, stack.condition_size)
            uniforms = torch.rand(batch, 33, distribution.uniforms_per_sample)
            drawn = engine.generate(state, condition, uniforms, Draw(distribution, **chosen))
            engine.follow(state, None, drawn)
print("done")
"""
    )
    done = sanitized(library, program)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == "done\n"


def test_nearest_codes_and_convolutions_of_all_sizes(library):
    program = (
        PREPARE
        + """
import itertools, torch
from vqaudio.models.nearest import nearest_codes
from vqaudio.models.convolve import convolve
for instructions in csrc.available():
    os.environ[csrc.CHOICE] = instructions
    for inputs, outputs, width, gelu in itertools.product((1, 7, 64), (1, 33, 130), (1, 3), (False, True)):
        convolve(torch.randn(2, 9, inputs), torch.randn(width * outputs, inputs), torch.randn(outputs), width, gelu)
    for M, K, D in itertools.product((0, 1, 7, 100), (1, 3, 17, 513), (1, 5, 64, 65)):
        nearest_codes(torch.randn(M, D), torch.randn(K, D))
        nearest_codes(torch.randn(M, D + 3)[:, :D], torch.randn(K, D))
print("done")
"""
    )
    done = sanitized(library, program)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == "done\n"


def test_gated_layers_and_their_gradient(library):
    program = (
        PREPARE
        + """
import itertools, torch
from vqaudio.models import nearest
from vqaudio.models.gated import GatedLayersByKernel
nearest.SHARE = 1
torch.set_num_threads(2)
for instructions in csrc.available():
    os.environ[csrc.CHOICE] = instructions
    for (T, N), B, (R, Z), L in itertools.product(((1, 1), (99, 33)), (1, 3), ((64, 64), (128, 64)), (1, 4)):
        shapes = (T, B, R), (N, B, L * 2 * Z), (L, 2, R, 2 * Z), (L - 1, Z, R)
        leaves = [torch.randn(shape, requires_grad=True) for shape in shapes]
        GatedLayersByKernel.apply(*leaves, [2**layer for layer in range(L)]).sum().backward()
print("done")
"""
    )
    done = sanitized(library, program)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == "done\n"
