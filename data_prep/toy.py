"""A toy corpus for tests: speech-like sound with exactly known phones, made on the spot and needing no network.

What       short sentences of made-up words, about 2 s each; 84 utterances by default.
Speakers   four, two of high and two of low pitch; and a fifth one, whose utterances alone are the set `unheard`.
Audio      synthesised by a source and a filter (`data_prep.source_filter`), 16 kHz WAV.
Licence    none is needed: nobody spoke.

Besides the usual files each data directory has `phones.ctm`, with lines `<utterance> 1 <start> <duration> <phone>`
in seconds, exact to the sample. The same seed gives the same corpus.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep import command
from data_prep.source_filter import Segment, Speaker, plan, synthesise
from data_prep.writing import write_data_dir
from vqaudio.audio.io import write_wav
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

logger = logging.getLogger(__name__)

SPEAKERS = (
    Speaker("anna", pitch=210, tract=0.85),
    Speaker("boris", pitch=105, tract=1.0),
    Speaker("clara", pitch=245, tract=0.80, breath=0.06),
    Speaker("david", pitch=125, tract=1.06),
)
STRANGER = Speaker("emil", pitch=150, tract=0.92)
UNHEARD = "unheard"
"""The part of the speaker who is in no other: a set for --eval_sets."""
WORDS = {
    "masi": ("m", "a", "s", "i"),
    "tuno": ("t", "u", "n", "o"),
    "kefa": ("k", "e", "f", "a"),
    "shopi": ("sh", "o", "p", "i"),
    "nusa": ("n", "u", "s", "a"),
    "pemo": ("p", "e", "m", "o"),
    "fika": ("f", "i", "k", "a"),
    "takushe": ("t", "a", "k", "u", "sh", "e"),
}
SAMPLE_RATE = 16000
SIZES = {"train": 14, "dev": 3, "test": 3, UNHEARD: 4}  # utterances per speaker


def sentence(generator: np.random.Generator) -> list[str]:
    """Return three or four words, drawn at random."""
    return [str(word) for word in generator.choice(list(WORDS), size=generator.integers(3, 5))]


def phones_of(words: Sequence[str]) -> list[str]:
    """Return the phones of a sentence, with silence around it and after its second word."""
    spoken = [phone for word in words[:2] for phone in WORDS[word]]
    return ["sil", *spoken, "sil", *(phone for word in words[2:] for phone in WORDS[word]), "sil"]


def ctm_values(segments: Sequence[Segment]) -> list[str]:
    """Return the lines of an utterance in a CTM file, without their utterance id."""
    seconds = [(s.start / SAMPLE_RATE, (s.end - s.start) / SAMPLE_RATE, s.phone) for s in segments]
    return [f"1 {start:.3f} {duration:.3f} {phone}" for start, duration, phone in seconds]


def prepare(out: str | Path, sizes: dict[str, int] | None = None, seed: int = 0) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test,unheard} and the audio below `out`/wav; return the data directories, validated.

    Args:
        sizes: utterances per speaker of each part.
    """
    out, written = Path(out), {}
    for part, (name, size) in enumerate((SIZES if sizes is None else sizes).items()):
        if size < 1:
            raise VQAudioError(f"{name}: got {size} utterances per speaker, expected at least 1")
        utterances, ctm = [], []
        speakers = (STRANGER,) if name == UNHEARD else SPEAKERS
        for number, speaker in enumerate(speakers):
            for take in range(size):
                generator = np.random.default_rng((seed, part, number, take))
                id = f"{speaker.name}-{name}-{take:03d}"
                utterance, segments = _record(id, speaker, out / "wav" / f"{id}.wav", generator)
                utterances.append(utterance)
                ctm += [(id, value) for value in ctm_values(segments)]
        written[name] = write_data_dir(out / name, utterances, {"phones.ctm": ctm})
        logger.info("%s: %d utterances of %d speakers", out / name, len(utterances), len(speakers))
    return written


def _record(id: str, speaker: Speaker, path: Path, generator: np.random.Generator) -> tuple[Utterance, list[Segment]]:
    words = sentence(generator)
    segments = plan(phones_of(words), SAMPLE_RATE, generator)
    write_wav(path, synthesise(segments, speaker, SAMPLE_RATE, generator), SAMPLE_RATE)
    return Utterance(id, speaker.name, str(path.resolve()), text=" ".join(words)), segments


def main(argv: Sequence[str] | None = None) -> int:
    """Make the corpus as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.toy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, help="folder that gets train, dev, test, unheard and wav")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other sentences (0)")
    options = command.parse(parser, argv)
    return command.run(parser.prog, lambda: prepare(options.out, seed=options.seed))


if __name__ == "__main__":
    raise SystemExit(main())
