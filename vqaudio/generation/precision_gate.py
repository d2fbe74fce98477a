"""The gate of low precisions: what they cost a model in prediction is measured, kept beside it, and limited.

`vqaudio check-precision` measures on held-out speech and writes the record into the model folder. Decoding in a
precision whose rise was not measured, or is above the limit, is refused unless it is forced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from vqaudio.audio.atomic import write_text_whole
from vqaudio.errors import ModelError
from vqaudio.pretrained import find_model
from vqaudio.untrusted import KIB, read_json, shown

LIMITS = {"bfloat16": 0.002, "int8": 0.02}
"""Largest rise in bits per sample against float32."""
RECORD_FILE = "precision.json"
FORMAT_VERSION = 1
LARGEST_RECORD = 64 * KIB


@dataclass(frozen=True)
class PrecisionRecord:
    """What was measured of one model."""

    weights: str
    """`folder.weights_hash` of the model that it was measured on."""
    bits_per_sample: float
    """In float32, on these utterances."""
    rises: Mapping[str, float]
    """Bits per sample more than in float32, by precision."""
    utterances: int
    seconds: float
    """Of held-out audio."""

    def write(self, folder: str | Path) -> None:
        """Write the record into a model folder."""
        record = {"format_version": FORMAT_VERSION, **asdict(self)}
        write_text_whole(Path(folder) / RECORD_FILE, json.dumps(record, indent=2) + "\n")

    @classmethod
    def read(cls, folder: str | Path) -> PrecisionRecord | None:
        """Return the record in a model folder; None where there is none. Raises ModelError for a broken one."""
        path = find_model(folder) / RECORD_FILE
        if not path.exists():
            return None
        try:
            record = read_json(path, LARGEST_RECORD)
            if record["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format_version {record['format_version']!r}, expected {FORMAT_VERSION}")
            rises = {str(name): float(rise) for name, rise in record["rises"].items()}
            return cls(str(record["weights"]), float(record["bits_per_sample"]), rises, int(record["utterances"]),
                       float(record["seconds"]))  # fmt: skip
        except (OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ModelError(
                f"{path} is not a record of precisions ({shown(error)}); `vqaudio check-precision` writes it anew"
            ) from error


def require_gate(record: PrecisionRecord | None, weights: str, precision: str) -> None:
    """Raise ModelError unless the model with this `weights` hash may be decoded in `precision`.

    float32 always may; the others where `record` is of this model and their rise is within LIMITS.
    """
    if precision not in LIMITS:
        return
    limit = LIMITS[precision]
    if record is None or record.weights != weights or precision not in record.rises:
        found = "was measured on other weights" if record and record.weights != weights else "has not been measured"
        raise ModelError(
            f"precision {precision}: its cost {found}, expected a rise of at most {limit} bits per sample; "
            "`vqaudio check-precision` measures it on held-out speech, --force_precision does without"
        )
    if not record.rises[precision] <= limit:
        raise ModelError(
            f"precision {precision}: it costs this model {record.rises[precision]:.4f} bits per sample "
            f"({record.seconds:.0f} s of held-out speech), more than {limit}; --force_precision uses it nevertheless"
        )
