"""Where the configuration of a backend lies, and Slurm's: which words of sbatch an option becomes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from jobs.request import Request, UsageError
from jobs.task import PROGRAM


def find_configuration(request: Request, name: str) -> Path:
    """Return the path of --config, or of conf/NAME: that of the folder where we are, else of recipes/common."""
    if request.config:
        if not Path(request.config).is_file():
            raise UsageError(f"--config: there is no file '{request.config}'")
        return Path(request.config)
    own = Path("conf") / name
    return own if own.is_file() else PROGRAM.parent / "conf" / name


class SlurmConfiguration:
    """A file in the form of Kaldi's slurm.conf.

    command sbatch --export=ALL     what submits a job
    option mem=* --mem=$0           what --mem 4G adds: $0 is its value
    option gpu=0                    for one value alone; such lines come before * does
    default gpu=0                   the value of an option that is not given
    """

    def __init__(self, path: Path) -> None:
        self.path, self.command, self.defaults = path, ["sbatch"], {}
        self._options: dict[str, dict[str, list[str]]] = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                words = shlex.split(line, comments=True)
                if words:
                    self._read(words)
            except (ValueError, KeyError, IndexError):
                raise UsageError(f"{path}:{number}: got '{line.strip()}', expected 'command sbatch …', "
                                 "'option NAME=VALUE …' or 'default NAME=VALUE'") from None  # fmt: skip

    def _read(self, words: list[str]) -> None:
        kind, rest = words[0], words[1:]
        if kind == "command":
            self.command = [rest[0], *rest[1:]]
            return
        name, equals, value = rest[0].partition("=")
        if not (name and equals):
            raise ValueError
        if kind == "option":
            self._options.setdefault(name, {})[value] = rest[1:]
        elif kind == "default":
            self.defaults[name] = value
        else:
            raise KeyError

    @property
    def names(self) -> list[str]:
        """Names of the options that it knows."""
        return list(self._options)

    def words(self, given: Mapping[str, str]) -> list[str]:
        """Return sbatch and its options, in the order of the file, for the options given and the defaults."""
        values = {**self.defaults, **given}
        for name in [name for name, value in given.items() if name not in self._options and value != "0"]:
            raise UsageError(f"--{name} {given[name]}: {self.path} does not say what it means; expected a line "
                             f"'option {name}=* …'")  # fmt: skip
        words = list(self.command)
        for name, cases in self._options.items():
            value = values.get(name)
            if value is None:
                continue
            if value not in cases and "*" not in cases:
                raise UsageError(f"--{name} {value}: {self.path} has only {', '.join(cases)} for it")
            words += [word.replace("$0", value) for word in cases.get(value, cases.get("*", []))]
        return words
