"""A colour for each code: the same in every strip, and alike for codes that lie near each other in the codebook."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_LIGHTNESS, _LIGHTNESS_SPAN, _CHROMA = 0.72, 0.16, 0.15  # of OKLab: readable on white and on black
_GOLDEN = 0.6180339887
_TO_LMS = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
"""From OKLab to the cube roots of cone responses, and from cone responses to linear sRGB (Ottosson 2020)."""


def read_codebook(model: Path) -> np.ndarray | None:
    """Return the codebook (K, D) of a model folder; None where there is none. Raises ModelError for damaged weights."""
    path = model / "model.safetensors"
    if not path.is_file():
        return None
    from vqaudio.models.weights import read_floats

    codebook = read_floats(path, "quantizer.codebook")
    return codebook if codebook is None or codebook.ndim == 2 else None


def code_colours(codebook_size: int, codebook: np.ndarray | None) -> list[str]:
    """Return K colours as #rrggbb.

    With a codebook (K, D): its first two principal axes give hue and chroma, the third lightness, in OKLab (Ottosson
    2020), where distances are as large as they look. Without one, hues are spread by steps of the golden ratio.
    """
    if codebook is None or len(codebook) != codebook_size or codebook_size < 4:
        angles = 2 * np.pi * ((np.arange(codebook_size) * _GOLDEN) % 1.0)
        lightness = _LIGHTNESS + _LIGHTNESS_SPAN * ((np.arange(codebook_size) % 3) - 1) / 2
        lab = np.stack([lightness, 0.12 * np.cos(angles), 0.12 * np.sin(angles)], axis=1)
    else:
        first, second, third = _principal_ranks(codebook)
        lab = np.stack([_LIGHTNESS + _LIGHTNESS_SPAN * third, _CHROMA * first, _CHROMA * second], axis=1)
    return ["#" + bytes(colour).hex() for colour in _oklab_to_srgb(lab)]


def _principal_ranks(codebook: np.ndarray) -> np.ndarray:
    """Return (3, K) in [-1, 1]: each code's rank on the principal axes, so that colours are spread evenly."""
    centred = codebook - codebook.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]  # one sign of two
    places = np.zeros((3, len(codebook)))
    for row, axis in zip(places, axes, strict=False):
        row[np.argsort(centred @ axis, kind="stable")] = np.linspace(-1.0, 1.0, len(codebook))
    return places


def _oklab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """Return uint8 (K, 3) sRGB of OKLab (K, 3), clipped to what screens show."""
    linear = np.clip((lab @ _TO_LMS.T) ** 3 @ _TO_RGB.T, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8)
