"""The figure of sorted use shows what it is given."""

import numpy as np
import pytest

from vqaudio.errors import VQAudioError
from vqaudio.training.figures import sorted_usage_image


def coloured(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return where (H, W) a picture has a colour, or nearly."""
    return np.abs(image.astype(int) - colour).max(axis=2) < 12


@pytest.mark.parametrize("used", [16, 32, 64])
def test_the_width_is_the_share_of_codes_used(used):
    counts = np.zeros(64, int)
    counts[np.random.default_rng(0).permutation(64)[:used]] = np.arange(1, used + 1)
    image = sorted_usage_image(counts, np.zeros(64, int))
    filled = np.flatnonzero(coloured(image, (42, 111, 151)).any(axis=0))  # the line, in blue
    axes = np.flatnonzero((image[:-60] < 60).all(axis=2).sum(axis=0) > 200)[0]  # the vertical axis, in black
    right = image.shape[1] - 6  # the margin of the layout
    assert (filled[-1] - axes) / (right - axes) == pytest.approx(used / 64, abs=0.03)


def test_the_line_falls():
    counts = np.random.default_rng(0).permutation(2 ** np.arange(10))
    line = coloured(sorted_usage_image(counts, np.zeros(10, int)), (42, 111, 151))
    heights = [np.flatnonzero(column).mean() for column in line.T if column.any()]
    assert (np.diff(heights) >= -1).all() and heights[-1] > heights[0] + 100  # pixels count downwards


def test_revived_codes_are_marked():
    counts, revivals = np.array([5, 4, 0, 0]), np.array([0, 2, 1, 0])
    red = [coloured(sorted_usage_image(counts, r), (209, 73, 91)).sum() for r in (revivals, np.zeros(4, int))]
    assert red[0] > red[1] + 20  # two dots more; the legend has one anyway


@pytest.mark.parametrize(
    ("counts", "revivals"), [([0, 0], [0, 0]), ([1, 2], [0]), ([[1]], [[1]])], ids=["nothing", "sizes", "shape"]
)
def test_what_is_no_use_of_codes_is_refused(counts, revivals):
    with pytest.raises(VQAudioError, match=r"expected \(K,\) each, and at least one unit"):
        sorted_usage_image(counts, revivals)
