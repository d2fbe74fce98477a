"""Heat maps of shares: an image of a pixel a cell, names beside it, and every cell to be read by pointer or keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vqaudio.evaluation.listening.markup import as_json, attributes, escape
from vqaudio.evaluation.listening.png import png_uri
from vqaudio.evaluation.listening.spectrograms import palette

_SHADES = 128
_PER_MILLE = 1000


class Side(NamedTuple):
    """Rows or columns of a heat map: what each is, and their names."""

    what: str
    names: Sequence[str]
    shown: bool = True
    """Whether the names are written beside the image; those of hundreds of codes are only read out."""


def heat_map(title: str, shares: np.ndarray, rows: Side, columns: Side, sentence: str, summary: str) -> str:
    """Return a figure of `shares` (R, C) in [0, 1].

    Args:
        sentence: how a cell is read out, with {row}, {column} and {share}, such as "{share} % of {column} is {row}".
        summary: what the map shows, in words.
    """
    top = max(float(shares.max()), 1.0 / _PER_MILLE)
    indices = np.rint(shares / top * (_SHADES - 1)).astype(np.uint8)
    data = attributes(
        data_rows="\t".join(rows.names), data_columns="\t".join(columns.names), data_sentence=sentence,
        aria_label=f"{title}. {summary} Arrow keys read the cells.",
    )  # fmt: skip
    cells = np.rint(shares * _PER_MILLE).astype(int).ravel().tolist()
    return (
        f'<figure class="heat"><figcaption><h3>{escape(title)}</h3>{_legend(top)}</figcaption>'
        f'<div class="heat-frame">{_names(rows, "row-names")}'
        f'<div class="cells" tabindex="0" role="img"{data} data-shares="{as_json(cells)}">'
        f'<img src="{png_uri(indices, palette(shades=_SHADES))}" alt=""><div class="cell-mark"></div></div>'
        f"{_names(columns, 'column-names')}</div>"
        f'<p class="readout" aria-live="polite">{escape(summary)}</p></figure>'
    )


def _names(side: Side, kind: str) -> str:
    names = "".join(f"<span>{escape(name)}</span>" for name in side.names) if side.shown else escape(side.what)
    return f'<div class="{kind}{"" if side.shown else " plain"}" aria-hidden="true">{names}</div>'


def _legend(top: float) -> str:
    bar = png_uri(np.arange(_SHADES, dtype=np.uint8)[None], palette(shades=_SHADES))
    return f'<p class="heat-legend">0 <img src="{bar}" alt="to"> {100 * top:.0f} %</p>'
