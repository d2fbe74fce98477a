"""What tests need of Markdown: its sections, its tables, its blocks of code, its links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]


def sections(text: str) -> dict[str, str]:
    """Return what stands between one heading and the next, of any level, by heading without its marks."""
    parts = re.split(r"^#+ +(.+)$", _without_code(text), flags=re.MULTILINE)
    return {heading.replace("`", ""): body for heading, body in zip(parts[1::2], parts[2::2])}


def table(body: str, first: str = "") -> list[dict[str, str]]:
    """Return the rows of the first table in `body` (or of that whose first column is `first`) by names of columns."""
    for lines in re.findall(r"(?:^\|.*\|$\n?)+", body, flags=re.MULTILINE):
        header, _, *rows = [_cells(line) for line in lines.splitlines()]
        if not first or header[0] == first:
            return [dict(zip(header, row, strict=True)) for row in rows]
    raise AssertionError(f"no table with a first column {first!r}")


def code_blocks(text: str, language: str) -> list[str]:
    """Return the contents of the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def command_lines(text: str, program: str) -> list[list[str]]:
    """Return the words of each line of the shell blocks that begins with `program`, without its comment."""
    lines = "\n".join(code_blocks(text, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if f"{line} ".startswith(program)]


def links(text: str) -> list[str]:
    """Return the targets of links and images."""
    return re.findall(r"\]\(([^)\s]+)\)", _without_code(text))


def anchors(text: str) -> set[str]:
    """Return what `#…` may lead to in a document: its headings as GitHub spells them."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in sections(text)}


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("`", "").replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
