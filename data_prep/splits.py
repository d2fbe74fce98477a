"""Who is held out: the parts of a corpus, the same on every machine and every day.

The decoder knows the voices that it was trained on, so `dev` and `test` hold utterances of speakers who are in
`train` too. Where a corpus's own evaluation parts are of other speakers, they stay whole beside these three, under
their own names, and `dev` and `test` are held out of its training part.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from vqaudio.corpus.datadir import Utterance
from vqaudio.errors import VQAudioError

MOST = 2000
"""Utterances of a part that is held out of a large corpus."""


def hold_out(
    utterances: Sequence[Utterance], shares: Mapping[str, float], most: int | None = None
) -> dict[str, list[Utterance]]:
    """Divide utterances into `train` and the parts of `shares` (name to share of all), at least one to a part.

    Chosen by a hash of the ids, and only of speakers who are left with something to train on. `most` bounds each
    part, in utterances.

    Raises:
        VQAudioError: shares out of range, or too few utterances.
    """
    if not all(share >= 0 for share in shares.values()) or sum(shares.values()) >= 1:
        raise VQAudioError(f"shares of {dict(shares)}: expected numbers of 0 or more that add up to less than 1")
    left = Counter(utterance.speaker for utterance in utterances)
    train = sorted(utterances, key=lambda u: hashlib.md5(u.id.encode(), usedforsecurity=False).digest())
    parts: dict[str, list[Utterance]] = {}
    for name, share in shares.items():
        wanted = max(1, round(share * len(utterances))) if share else 0
        wanted = wanted if most is None else min(wanted, most)
        parts[name] = _spare(train, left, wanted)
        if len(parts[name]) < wanted:
            raise VQAudioError(
                f"{name}: {wanted} of {len(utterances)} utterances wanted, but no speaker can spare more than "
                f"{len(parts[name])}; every speaker needs one for training"
            )
        taken = {utterance.id for utterance in parts[name]}
        train = [utterance for utterance in train if utterance.id not in taken]
    return {"train": train, **parts}


def with_held_out(
    train: Sequence[Utterance], others: Mapping[str, Sequence[Utterance]], share: float = 0.02
) -> dict[str, list[Utterance]]:
    """Return `train` less `dev` and `test`, `share` of it each, and `others` as they are, for unheard speakers.

    An official part called dev, test or train would be taken for one of these three; it becomes official_dev, ….
    """
    parts = hold_out(train, {"dev": share, "test": share}, MOST)
    return parts | {f"official_{name}" if name in parts else name: list(part) for name, part in others.items()}


def _spare(utterances: Sequence[Utterance], left: Counter[str], wanted: int) -> list[Utterance]:
    """Return up to `wanted` of them, leaving every speaker one; `left` counts down what each has."""
    chosen: list[Utterance] = []
    for utterance in utterances:
        if len(chosen) == wanted:
            break
        if left[utterance.speaker] > 1:
            chosen.append(utterance)
            left[utterance.speaker] -= 1
    return chosen
