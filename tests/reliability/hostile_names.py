"""Names and texts that would do harm in a shell, a format, a page or a table that took them for more than text.

Each carries a call of `canary`, a program that notes that it was run: see `Sandbox`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from tests.reliability.promises import ROOT
from vqaudio.corpus.tables import id_fault

CALL = "canary"  # becomes `canary KIND`, to tell by whom it was called
PAYLOADS = {
    "blank": "a b",
    "blanks": "  a  b ",
    "apostrophe": "it's",
    "quotes": '"q" "',
    "odd quote": '"',
    "backtick": "`canary`",
    "substitution": "$(canary)",
    "quoted substitution": "'$(canary)\"$(canary)\"'",
    "semicolon": ";canary;",
    "ampersand": "&canary&",
    "pipe": "x|canary|",
    "or": "||canary",
    "redirection": ">redirected",
    "star": "*",
    "question": "?",
    "bracket": "[a-z]",
    "backslash": "\\canary\\",
    "newline": "x\ncanary\n",
    "tab": "x\ty",
    "carriage return": "x\ry",
    "option": "--model",
    "flags": "-rf",
    "dash": "-",
    "dots": "..x",
    "braces": "{a,b}",
    "tilde": "~",
    "bang": "!!",
    "comment": "#x",
    "percent": "%s%n%d%j",
    "variable": "$HOME${IFS}$0",
    "assignment": "x=y",
    "JOB": "JOB",
    "umlaut": "Größe",
    "Japanese": "日本語",
    "accent apart": "e\u0301",
    "right to left": "\u202eabc",
    "line separator": "x\u2028y",
    "no-break blank": "x\u00a0y",
    "not UTF-8": "x\udcff\udcfey",
    "long": "lo ng" * 45,
    "escape": "\x1b[31mred",
    "markup": "<img src=x onerror=alert(1)>",
    "script": "<script>alert(1)<script>",
    "entity": "&lt;&#60;",
    "table": "a|b|c",
    "link": "[x](javascript:alert(1))",
    "python": "__import__('os').system('canary')",
    "yaml": "!!python-object",
    "format": "{0.__class__}",
    "number": "1e3",
    "null": "null",
    "hidden": ".hidden",
    "colon": "a:b",
    "comma": "a,b",
}


def payload(kind: str) -> str:
    """Return the name of a kind; what is not UTF-8 in it as Python has it in file names."""
    return PAYLOADS[kind].replace(CALL, f"{CALL} {kind.replace(' ', '-')}")


def as_id(kind: str) -> str | None:
    """Return it as an id of utterances and speakers, a shell's variable standing for blanks; None where it is none."""
    name = payload(kind).replace(" ", "${IFS}")[:60]
    return None if id_fault(name) or not is_utf8(name) else name


def as_text(kind: str) -> str | None:
    """Return it as a transcript, which is a line of UTF-8; None where it is none."""
    text = " ".join(payload(kind).split())
    return text if is_utf8(text) and text.isprintable() else None


def as_path(kinds: Iterable[str]) -> Path:
    """Return a relative path with a folder for each kind."""
    return Path(*map(payload, kinds))


def is_utf8(name: str) -> bool:
    """Whether a file's name is text."""
    return name == name.encode("utf-8", "replace").decode()


def is_line(name: str) -> bool:
    """Whether a name is UTF-8 without control characters (as glibc has them) and with it fit for tables and marks."""
    return is_utf8(name) and not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in name)


class Sandbox:
    """A folder with a home, a place for temporary files, a working directory, and `canary` on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._notes = folder, folder / "executed"
        for name in ("bin", "home", "tmp", "here"):
            (folder / name).mkdir(parents=True)
        self.here = folder / "here"
        self.program("canary", f'#!/bin/sh\nprintf "%s, in %s\\n" "$*" "$PWD" >>"{self._notes}"\n')
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder / "home"),
            "MPLCONFIGDIR": str(folder / "mpl"),
            "TMPDIR": str(folder / "tmp"),
            "OMP_NUM_THREADS": "1",
        }

    def program(self, name: str, text: str) -> None:
        """Put a program on the path."""
        (self.folder / "bin" / name).write_text(text)
        (self.folder / "bin" / name).chmod(0o755)

    def run(self, command: list[str], **options) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, within ten minutes; its output and errors are one text."""
        return subprocess.run(command, **{"env": self.environment, "cwd": self.here, "timeout": 600, **options},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="surrogateescape", check=False)  # fmt: skip

    def harm(self, kind: str) -> str:
        """Say what came of a payload that was taken for more than a name; nothing where that was none."""
        calls = self._notes.read_text(errors="replace").splitlines() if self._notes.exists() else []
        mine = [call for call in calls if call.startswith(f"{kind.replace(' ', '-')},")]
        strays = [path for place in ("home", "tmp", "here") for path in (self.folder / place).rglob("*")]
        strays += [path for path in self.folder.rglob("redirected*") if kind == "redirection"]
        strays = [str(path) for path in strays if path.is_file() and not _is_a_librarys(path)]
        return "; ".join([*(f"executed: {call}" for call in mine[:2]), *(f"left behind: {p}" for p in strays[:2])])

    def copy_recipes(self, clone: Path, *names: str) -> Path:
        """Copy recipes into `clone`; return its folder of recipes."""
        for name in ("common", *names):
            shutil.copytree(ROOT / "recipes" / name, clone / "recipes" / name, ignore=_written)
        return clone / "recipes"


def trouble(said: str) -> str:
    """Return what an output says of errors, in short: its paths are long."""
    lines = [line for line in said.splitlines() if line.strip() and not line.lstrip(" |").startswith("#")]
    return " … ".join(f"{line[:150]} … {line[-150:]}" if len(line) > 300 else line for line in lines[-5:])


def _is_a_librarys(path: Path) -> bool:
    """Whether a library keeps it in the home: lists of fonts, compiled code."""
    return any(part in (".cache", ".config", ".nv", ".triton", "torchinductor_root") for part in path.parts)


def _written(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name in ("data", "dump", "exp", "downloads", "__pycache__", ".data.lock")}
