"""The README's table of speeds, made from the file that a run of all paths wrote."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from benchmarks.rows import COLUMNS, Row, table
from vqaudio.audio.atomic import write_text_whole
from vqaudio.errors import VQAudioError

BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"


def update_readme(results: Path, readme: Path) -> None:
    """Replace what stands between the marks in `readme` by the figures in `results` (--json)."""
    try:
        content = json.loads(results.read_text(encoding="utf-8"))
        names = {field.name for field in dataclasses.fields(Row)}
        rows = [Row(**{key: value for key, value in row.items() if key in names}) for row in content]
        where = content[0]
        headline = f"{where['machine'].partition(',')[0]}, {where['date']}, torch {where['torch']}"
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise VQAudioError(f"{results} is not what --json writes: {error!r}") from error
    columns = [column for column in COLUMNS if column != "memory"]
    block = "\n".join([BEGIN, f"*{headline}; one core, but for `two_cores_float32`.*", "", *table(rows, columns), END])
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    write_text_whole(readme, before + block + rest.partition(END)[2])
