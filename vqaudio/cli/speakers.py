"""Who speaks: from an utt2spk file, from an option, or because there is but one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqaudio.errors import DataDirError, ModelError


def read_utt2spk(path: str | Path) -> dict[str, str]:
    """Read `<utterance> <speaker>` lines from a file, or from the utt2spk of a data directory.

    Raises DataDirError naming every line that cannot be used.
    """
    from vqaudio.corpus.tables import read_table

    path = Path(path)
    file = path / "utt2spk" if path.is_dir() else path
    table = read_table(file, "<utterance> <speaker>")
    faults = [fault for fault in table.violations if fault.rule != "unsorted"]  # the order means nothing here
    if faults:
        shown = "\n".join(f"  {fault}" for fault in faults[:20])
        raise DataDirError(f"{file} cannot be used ({len(faults)} faults):\n{shown}")
    return {utterance: row.value for utterance, row in table.rows.items()}


def sole_speaker(speakers: Sequence[str], otherwise: str) -> str:
    """Return the model's speaker where it knows one alone; else a ModelError says what to do `otherwise`."""
    if len(speakers) != 1:
        shown = ", ".join(speakers[:20]) + (", …" if len(speakers) > 20 else "")
        raise ModelError(f"the model knows {len(speakers)} speakers ({shown}): {otherwise}")
    return speakers[0]
