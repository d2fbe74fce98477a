"""ABX cells scored by fastabx (https://github.com/bootphon/fastabx), the field's own tool, where it can be installed.

It cuts nothing and averages nothing here: it gets the frames of each item, finds the cells, aligns and counts. Names
are looked up in it when they are used, since it needs Python 3.12 or later and is optional.
"""

from __future__ import annotations

from vqaudio.evaluation.abx_cells import Cells
from vqaudio.evaluation.abx_tokens import EDITS, IDENTICAL, TABLE, Tokens
from vqaudio.evaluation.optional import NotMeasured, load_optional

DISTANCES_SINCE = (0, 9)
"""The first release that takes a distance of one's own, which distances between codebook vectors need."""


def has_fastabx() -> bool:
    """Whether a fastabx is installed that `fastabx_cells` can use."""
    try:
        _load()
    except NotMeasured:
        return False
    return True


def fastabx_cells(tokens: Tokens, across: bool) -> Cells:
    """Score all cells as `scored_cells` does, by fastabx; rows come in another order.

    Raises:
        NotMeasured: fastabx is not installed, or older than 0.9; or frames compared by edits, which it does not do.
    """
    fastabx = _load()
    if tokens.frames.kind == EDITS:
        raise NotMeasured("fastabx has no edit distance")
    by = ["context"] if across else ["context", "speaker"]
    task = fastabx.Task(_dataset(tokens), on="phone", by=by, across=["speaker"] if across else None)
    cells = fastabx.Score(task, _distance(tokens), progress=False).cells
    columns = "phone", "phone_b", "speaker", "speaker_x" if across else "speaker", "score", "size"
    phone, other, speaker, speaker_x, error, triples = (cells[name].to_numpy() for name in columns)
    return Cells(phone, other, speaker, speaker_x, error.astype(float), triples.astype("int64"))


def _load():
    fastabx = load_optional("fastabx")
    from importlib.metadata import version

    release = version("fastabx")
    if tuple(int(part) for part in release.split(".")[:2]) < DISTANCES_SINCE:
        raise NotMeasured(f"fastabx {release} is installed, 0.9 or later is needed (pip install -U fastabx)")
    return fastabx


def _dataset(tokens: Tokens):
    import fastabx
    import polars
    import torch

    frames = tokens.frames
    data = frames.codes[:, None] if frames.kind in (TABLE, IDENTICAL) else frames.vectors
    ranges = dict(enumerate(zip(frames.bounds[:-1].tolist(), frames.bounds[1:].tolist(), strict=True)))
    accessor = fastabx.InMemoryAccessor(ranges, torch.from_numpy(data), torch.device("cpu"))
    labels = {"phone": tokens.phone, "context": tokens.context, "speaker": tokens.speaker}
    return fastabx.Dataset(polars.DataFrame(labels), accessor)


def _distance(tokens: Tokens):
    """Its own distances, but for codebook vectors: it would find an angle between a vector and itself by rounding."""
    import torch

    if tokens.frames.kind != TABLE:
        return "identical" if tokens.frames.kind == IDENTICAL else "angular"
    table = torch.from_numpy(tokens.frames.table)

    def looked_up(x, y):
        """Of codes (X, N, 1) and (Y, M, 1): (X, Y, N, M)."""
        return table[x[:, None, :, None, 0], y[None, :, None, :, 0]]

    return looked_up
