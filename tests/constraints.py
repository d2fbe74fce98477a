"""What constraints.txt pins beside the direct dependencies: `python -m tests.constraints` writes it anew.

It writes what is installed here of all that vqaudio with its extras `eval`, `ray` and `test` needs, directly or not.
Raise a direct dependency by hand, install with `pip install -U -e .[eval,ray,test]`, run this, run the tests, and
commit the file.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

FILE = Path(__file__).parents[1] / "constraints.txt"
MARK = "# What these need, as `python -m tests.constraints` found it installed; torch pins its own libraries itself:\n"
EXTRAS = ("eval", "ray", "test")
OLDEST = "3.10"
LEFT_OUT = re.compile(r"nvidia-.*|triton|cuda-.*|vqaudio|setuptools")
"""What torch pins, by kind of machine; and ourselves."""


def needed(name: str = "vqaudio", extras: tuple[str, ...] = EXTRAS, found: set[str] | None = None) -> set[str]:
    """Return the names of the installed packages that a package needs, directly or not."""
    found = set() if found is None else found
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        marker, key = requirement.marker, canonicalize_name(requirement.name)
        if key in found or (marker and not any(marker.evaluate({"extra": extra}) for extra in ("", *extras))):
            continue
        try:
            metadata.distribution(key)
        except metadata.PackageNotFoundError:  # an extra that is left out
            continue
        found.add(key)
        needed(key, tuple(requirement.extras), found)
    return {name for name in found if not LEFT_OUT.fullmatch(name)}


def pinned(text: str) -> set[str]:
    """Return the names of the packages that lines pin, on whatever Python."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def line_of(name: str) -> str:
    """Return the line that pins an installed package, where its version runs."""
    found = metadata.distribution(name)
    version, runs = found.version.partition("+")[0], SpecifierSet(found.metadata["Requires-Python"] or "")
    marker = "" if runs.contains(OLDEST) else '; python_version >= "3.11"'
    return f"{found.name}=={version}{marker}\n"


def main() -> None:
    """Write the file anew below its mark."""
    direct = FILE.read_text(encoding="utf-8").partition(MARK)[0]
    lines = sorted(map(line_of, needed() - pinned(direct)), key=str.lower)
    FILE.write_text(direct + MARK + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
