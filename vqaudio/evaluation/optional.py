"""Packages that some measures need and that only the extra `[eval]` installs; and what to say where they are absent."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from types import ModuleType

from vqaudio.errors import VQAudioError

REMEDIES = {"pkg_resources": "setuptools 81 and later left it out: pip install 'setuptools<81'"}
"""What to do about a module that a package of the extra needs and that its own requirements do not bring."""


class NotMeasured(VQAudioError):
    """A measure has nothing to measure, or lacks what it measures with; the message is the reason, for the report."""


def load_optional(module: str, package: str | None = None) -> ModuleType:
    """Import a module of the extra `[eval]`; `package` is its name for pip, where that differs.

    Warnings that the import raises are for the package's authors and are not shown.

    Raises:
        NotMeasured: it is not installed, or cannot be imported here.
    """
    name = package or module.partition(".")[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module.partition(".")[0]:
            raise NotMeasured(f"{name} is not installed (the extra [eval] brings it: docs/scoring.md)") from error
        lacks = f"it lacks {error.name}" if error.name else str(error)
        remedy = f" ({REMEDIES[error.name]})" if error.name in REMEDIES else ""
        raise NotMeasured(f"{name} cannot be imported: {lacks}{remedy}") from error
    except (ImportError, OSError, RuntimeError) as error:
        raise NotMeasured(f"{name} cannot be imported: {error}") from error


def without_output() -> contextlib.redirect_stdout:
    """Drop what is printed inside `with without_output():`, as models do that tell which weights they load."""
    return contextlib.redirect_stdout(io.StringIO())
