"""Where the parts of an experiment lie, and what of it is to be scored.

EXP/model, prior/model, train.json, units/{train,test}      what the other verbs have left
EXP/resynthesis, conversion, unconditional                  audio to be scored
EXP/results.json, RESULTS.md, figures/                      the scores
EXP/scores/NAME/…                                           the same for further sets of utterances
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path


@dataclass(frozen=True)
class Experiment:
    """Where the parts of an experiment lie; those that may be None are left out of the scores."""

    model: Path
    data_dir: Path
    """The utterances to be scored."""
    out: Path
    """Folder of the scores."""
    units: Path
    """Units of the utterances to be scored; extracted into this folder where it holds none."""
    train_units: Path | None = None
    train_dir: Path | None = None
    """Data directory of the training set: baselines are fitted on its audio, or else on that of `data_dir`."""
    prior: Path | None = None
    training: Path | None = None
    """train.json of the VQ-VAE's training."""
    resynthesis: Path | None = None
    """Folder of reconstructed utterances, with generation.json."""
    conversion: Path | None = None
    """Folder of utterances in other voices."""
    figures: Path | None = None
    """Folder for figures of reconstructions."""
    unconditional: Path | None = None
    """Folder for unconditional samples, one of each temperature."""

    @classmethod
    def in_folder(cls, folder: Path, data_dir: Path, name: str | None = None, **elsewhere: Path | None) -> Experiment:
        """Return the parts where the verbs put them below `folder`; those in `elsewhere` that are not None differ.

        With a `name`, `data_dir` is a further set of utterances, scored by themselves in `folder/scores/name`: of
        training and prior, which are no part of it, nothing is scored again.
        """
        out = folder if name is None else folder / "scores" / name
        found = cls(
            model=folder / "model",
            data_dir=data_dir,
            out=out,
            units=folder / "units" / "test" if name is None else out / "units",
            resynthesis=out / "resynthesis",
            conversion=out / "conversion",
            figures=out / "figures",
        )
        if name is None:
            prior = folder / "prior" / "model"
            found = replace(
                found,
                train_units=folder / "units" / "train",
                prior=prior if prior.is_dir() else None,
                training=folder / "train.json",
                unconditional=folder / "unconditional",
            )
        return replace(found, **{key: path for key, path in elsewhere.items() if path is not None})

    def missing(self) -> list[str]:
        """Name the parts, of those that are not made on the way, whose paths do not exist."""
        needed = ("model", "data_dir", "train_units", "train_dir", "prior")
        paths = {field.name: getattr(self, field.name) for field in fields(self) if field.name in needed}
        return [f"{name} ({path})" for name, path in paths.items() if path is not None and not path.exists()]
