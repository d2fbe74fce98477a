"""Import torchaudio where its compiled half cannot be loaded.

The Linux wheel of torchaudio links CUDA, so that beside a CPU-only torch `import torchaudio` raises OSError.
Only the compiled extension fails, and nothing in this toolkit needs it: mel filters, spectrograms and mu-law
are plain torch. `import_torchaudio` therefore imports the package with a stand-in for the extension when, and
only when, the ordinary import fails in that way.
"""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from types import ModuleType

from vqaudio.errors import VQAudioError

logger = logging.getLogger(__name__)


@functools.lru_cache(maxsize=1)
def import_torchaudio() -> ModuleType:
    """Return the torchaudio module, with `transforms` and `functional` working.

    Raises VQAudioError where torchaudio is not installed.
    """
    try:
        return importlib.import_module("torchaudio")
    except ImportError as error:
        raise VQAudioError(f"this needs torchaudio ({error}); install it with: pip install torchaudio") from error
    except OSError as error:
        logger.debug("torchaudio's compiled extension cannot be loaded (%s); going on without it", error)
    _forget_failed_import()
    sys.modules["torchaudio._extension"] = _extension_stand_in()
    return importlib.import_module("torchaudio")


def _forget_failed_import() -> None:
    """Drop the modules that the failed import left behind half-initialised."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
        del sys.modules[name]


def _extension_stand_in() -> ModuleType:
    """Build what the rest of torchaudio asks its extension for, when there is none."""
    module = ModuleType("torchaudio._extension")
    module._IS_TORCHAUDIO_EXT_AVAILABLE = False
    module._IS_ALIGN_AVAILABLE = False
    module.fail_if_no_align = _unavailable
    return module


def _unavailable(function):
    """Replace a function that needs the extension by one that says so."""

    @functools.wraps(function)
    def refuse(*args, **kwargs):
        raise RuntimeError(f"torchaudio's {function.__name__} needs its compiled extension, which could not be loaded")

    return refuse
