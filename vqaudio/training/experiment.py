"""The experiment folder: its lock, its configuration, its log.

exp/<name>/ config.yaml  train.log  train.json  tensorboard/  checkpoints/  model/
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from vqaudio.audio.atomic import write_text_whole
from vqaudio.config import to_dict
from vqaudio.errors import TrainingError, VQAudioError
from vqaudio.training.checkpoint import checkpoint_paths


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
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("a+")
        except OSError as error:
            raise VQAudioError(f"cannot write into the experiment folder {self.folder}: {error.strerror}") from error
        with lock:
            self._take(lock)
            self._check_config(config, resume)
            handler = logging.FileHandler(self.folder / "train.log", encoding="utf-8")
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            # A full disk must not end a training for the sake of its log.
            handler.handleError = lambda record: None  # type: ignore[method-assign]
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

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write train.json: how long the training took, how fast it was, and on what."""
        write_text_whole(self.summary, json.dumps(summary, indent=2) + "\n")

    def _take(self, lock) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise TrainingError(
                f"another training is running in {self.folder} (process {lock.read().strip() or 'unknown'}); "
                "wait for it, stop it, or give another --expdir"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()

    def _check_config(self, config: Any, resume: str) -> None:
        path, plain = self.folder / "config.yaml", to_dict(config)
        has_run = bool(checkpoint_paths(self.checkpoints))
        if has_run and resume == "never":
            raise TrainingError(f"{self.folder} holds a run already; give another --expdir, or --resume auto to go on")
        if has_run and path.is_file():
            different = _differences(yaml.safe_load(path.read_text(encoding="utf-8")), plain)
            if different:
                raise TrainingError(
                    f"{self.folder} holds a run with another configuration: {'; '.join(different)}. "
                    "Give another --expdir, or remove the folder to start anew"
                )
        write_text_whole(path, yaml.safe_dump(plain, sort_keys=False))


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        return [d for k in keys for d in _differences(old.get(k), new.get(k), f"{where}.{k}" if where else str(k))]
    return [] if old == new else [f"{where} was {old!r}, now {new!r}"]
