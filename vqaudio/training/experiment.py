"""The experiment folder: its lock, its configuration, its log.

exp/<name>/ .lock  config.yaml  train.log  train.json  tensorboard/  checkpoints/  model/
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from vqaudio.audio.atomic import remove_unfinished, write_text_whole
from vqaudio.audio.lock_file import locked
from vqaudio.config_files import to_dict
from vqaudio.errors import TrainingError
from vqaudio.training.checkpoint import checkpoint_paths
from vqaudio.untrusted import read_yaml

logger = logging.getLogger(__name__)
LOCK_FILE = ".lock"
CHANGEABLE = tuple(
    f"training.{name}_interval" for name in ("log", "eval", "audio", "checkpoint")
) + ("training.keep_checkpoints", "training.publish", "training.accumulate_steps")  # fmt: skip
"""Settings that a training may go on with another value of: no weight depends on them. On accumulate_steps they do, but
with the number of ranks it may change so that a step stays what it is; the trainer says what the change means."""


class Experiment:
    """Paths of one experiment folder, and what guards it."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self.tensorboard = self.folder / "tensorboard"
        self.model = self.folder / "model"
        self.summary = self.folder / "train.json"

    @contextmanager
    def opened(self, config: Any, resume: str, mine: bool = True) -> Iterator[None]:
        """Lock the folder for this process, check that the configuration is that of the run in it, and log there.

        `resume`: 'auto' goes on with the run in the folder, 'never' refuses a folder that holds one. `mine=False` does
        nothing: the folder is another rank's.
        """
        if not mine:
            yield
            return
        with locked(self.folder / LOCK_FILE, self._refusal):
            self._check_config(config, resume)
            for folder in (self.folder, self.checkpoints, self.model):
                remove_unfinished(folder)
            with self._logged():
                yield

    def is_published(self) -> bool:
        """Whether a training has ended here: its model and train.json are written last."""
        return (self.model / "model.safetensors").is_file() and self.summary.is_file()

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write train.json: how long the training took, how fast it was, and on what."""
        write_text_whole(self.summary, json.dumps(summary, indent=2) + "\n")

    def _refusal(self, holder: str) -> TrainingError:
        return TrainingError(
            f"another training is running in {self.folder} ({holder}); wait for it, stop it, or give another --expdir"
        )

    @contextmanager
    def _logged(self) -> Iterator[None]:
        """Append what is logged to train.log within the block."""
        handler = _LogFile(self.folder / "train.log", encoding="utf-8", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        root = logging.getLogger("vqaudio")
        level = root.level
        root.setLevel(min(root.getEffectiveLevel(), logging.INFO))
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
            handler.close()

    def _check_config(self, config: Any, resume: str) -> None:
        """Refuse to go on with another configuration; write this one where it is not there yet."""
        path, plain = self.folder / "config.yaml", to_dict(config)
        before = None
        if checkpoint_paths(self.checkpoints):
            if resume == "never":
                raise TrainingError(
                    f"{self.folder} holds a run already; give another --expdir, or --resume auto to go on"
                )
            before = self._configuration_before(path)
        if before is not None:
            _compare(before, plain, self.folder)
        if before != plain:
            write_text_whole(path, yaml.safe_dump(plain, sort_keys=False))

    def _configuration_before(self, path: Path) -> Any:
        """Return the configuration of the run in the folder; None, with a warning, where the file is gone."""
        try:
            before = read_yaml(path)
            if not isinstance(before, dict):
                raise ValueError(f"it holds {before!r}, expected a mapping of keys")
            return before
        except FileNotFoundError:
            logger.warning("%s is missing: whether the run began with this configuration is not known", path)
            return None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise TrainingError(
                f"{path}, the configuration of the run in this folder, cannot be read: {reason}. Put it right, or "
                "remove the file to go on with the one that is given now"
            ) from error


class _LogFile(logging.FileHandler):
    """A log that a training does without where the disk fails: once that is told, it goes on as soon as there is room.

    With `delay`, so that opening the file may fail, too.
    """

    _told = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # on opening
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._told:
            self._told = True
            logger.warning("cannot write %s: %s; training goes on", self.baseFilename, sys.exc_info()[1])

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def _compare(before: Any, now: Any, folder: Path) -> None:
    """Refuse what would change the training; say what else is different."""
    differences = _differences(before, now)
    grave = [text for key, text in differences.items() if key not in CHANGEABLE]
    if grave:
        raise TrainingError(
            f"{folder} holds a run with another configuration: {'; '.join(grave)}. "
            "Give another --expdir, or remove the folder to start anew"
        )
    for text in differences.values():
        logger.info("%s", text)


def _differences(old: Any, new: Any, where: str = "") -> dict[str, str]:
    """Return what differs, in words, by the path of its keys."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = {}
        for key in dict.fromkeys([*old, *new]):
            found |= _differences(old.get(key), new.get(key), f"{where}.{key}" if where else str(key))
        return found
    return {} if old == new else {where: f"{where or 'the configuration'} was {old!r}, now {new!r}"}
