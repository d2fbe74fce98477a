"""HTML from Python: everything that comes from outside goes through `escape`, and what is absent is named."""

from __future__ import annotations

import html
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any


def escape(value: object) -> str:
    """Return `value` as text that is safe between tags and in quoted attributes."""
    return html.escape(str(value), quote=True)


def attributes(**values: object) -> str:
    """Return attributes with a blank before each: underscores become hyphens, None and False leave one out."""
    kept = ((name.strip("_").replace("_", "-"), value) for name, value in values.items())
    return "".join(
        f" {name}" if value is True else f' {name}="{escape(value)}"'
        for name, value in kept
        if value is not None and value is not False
    )


def as_json(value: Any) -> str:
    """Return JSON for an attribute, escaped; NaN is refused."""
    return escape(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def anchor(text: str) -> str:
    """Return an id for `text` that no other text shares: its letters and digits, and a checksum."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return f"{plain}-{zlib.crc32(text.encode()):08x}"


def section(id: str, title: str, *parts: str, lead: str = "") -> str:
    """Return a section with its heading, a sentence of introduction, and its parts."""
    intro = f'<p class="lead">{lead}</p>' if lead else ""
    body = "\n".join(part for part in parts if part)
    heading = f'<h2 id="{id}-title">{escape(title)}</h2>'
    return f'<section id="{id}" aria-labelledby="{id}-title">{heading}{intro}\n{body}</section>'


def absent(what: str, how: str = "") -> str:
    """Return the line that stands where something is missing; `how` is the command that would make it."""
    remedy = f" To make it: <code>{escape(how)}</code>" if how else ""
    return f'<p class="absent"><strong>Not made:</strong> {escape(what)}.{remedy}</p>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a definition list of names and values, both plain text."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{rows}</dl>'


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column holds row headings. Caption and cells are HTML, the header is text.

    Roles are stated, since narrow screens show rows as blocks, which would take them from assistive software.
    """
    head = "".join(f'<th scope="col" role="columnheader">{escape(cell)}</th>' for cell in header)
    body = "".join(f'<tr role="row">{_cells(header, row)}</tr>' for row in rows)
    return (
        f'<table role="table"><caption>{caption}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead><tbody role="rowgroup">{body}</tbody></table>'
    )


def _cells(header: Sequence[str], row: Sequence[str]) -> str:
    first = f'<th scope="row" role="rowheader">{row[0]}</th>'
    pairs = zip(header[1:], row[1:], strict=True)
    return first + "".join(f'<td role="cell" data-label="{escape(name)}">{cell}</td>' for name, cell in pairs)


def template(name: str) -> str:
    """Return the text of a file that lies beside this one."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
