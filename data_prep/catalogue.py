"""The corpora that there are modules for, as the modules describe themselves.

    python -m data_prep.catalogue        the table of recipes/README.md

A module's docstring begins with a title and goes on with labelled lines, whose text may run over several of them:

    What       one WAV file a word, <speaker>_<word>_<take>.wav
    Hours      0.4

Where a text begins with the short form of a thing and a colon, the table has the short form.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

LABELS = ("What", "Hours", "Speakers", "Languages", "Audio", "Licence", "Source", "Citation", "Tried on")
FOLDER = Path(__file__).parent
SHARED = {
    "archives", "catalogue", "command", "fetch", "members", "openslr", "source_filter", "splits", "tables", "textgrid",
    "writing",
}  # fmt: skip
"""Modules that are no corpus; `folder` and `toy` are none that one could cite."""


@dataclass(frozen=True)
class Entry:
    """One corpus: its module's name, its title, and the text of each label."""

    name: str
    title: str
    fields: dict[str, str]

    @property
    def command(self) -> str:
        """How its recipe is called."""
        return f"bash recipes/{self.name}/run.sh"

    @property
    def row(self) -> str:
        """Its line in the table."""
        cells = [f"[{self.name}]({self.name}/README.md)", self.title.partition(":")[0]]
        cells += [self.fields[label].partition(":")[0] for label in ("Hours", "Speakers", "Licence", "Tried on")]
        return "| " + " | ".join([*cells, f"`{self.command}`"]) + " |"


def corpora() -> list[Entry]:
    """Return all of them, by name."""
    names = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in SHARED | {"__init__", "folder", "toy"})
    return [read(name) for name in names]


def read(name: str) -> Entry:
    """Return what the docstring of a module says of its corpus."""
    docstring = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))) or ""
    title = docstring.split("\n", 1)[0].rstrip(".")
    fields = {label: _field(docstring, label) for label in LABELS}
    return Entry(name, title, {label: text for label, text in fields.items() if text})


def table() -> str:
    """Return the table of recipes/README.md."""
    head = "| recipe | corpus | hours | speakers | licence | tried on | command |"
    return "\n".join([head, "| --- " * 7 + "|", *(entry.row for entry in corpora())])


def _field(docstring: str, label: str) -> str:
    """Return the text of a labelled line and of the indented lines that follow it."""
    match = re.search(rf"^{label} +(\S.*(?:\n {{2,}}\S.*)*)", docstring, re.MULTILINE)
    return " ".join(match[1].split()) if match else ""


if __name__ == "__main__":
    print(table())
