"""How much of the words survives: an independent recogniser reads reconstructions beside the natural recordings.

    pip install faster-whisper
    python benchmarks/intelligibility.py --model_dir WHISPER_FOLDER --data_dir dump/test --audio EXP/resynthesis \
        --match=-en- --json EXP/intelligibility.json

WHISPER_FOLDER is a CTranslate2 Whisper model on disk. Word error rate: (substitutions + deletions + insertions) over
the words of the reference, in percent, pooled over utterances; against the transcripts in `text`, and against what the
recogniser itself reads in the natural recordings. Words are lower-cased, stripped of punctuation, digits spelled out.
The interval is the 95% bootstrap over utterances. The recogniser is no dependency of vqaudio.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np
import soxr

from vqaudio.audio import read_audio
from vqaudio.corpus import DataDir, read_utterance

RECOGNISER_RATE = 16000
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
DIGITS = dict(zip("0123456789", NAMES))


def words(text: str) -> list[str]:
    """Return the words of a text as they are compared."""
    text = re.sub(r"\d", lambda match: f" {DIGITS[match[0]]} ", text.lower())
    return re.sub(r"[^\w' ]", " ", text).replace("'", "").split()


def word_errors(reference: list[str], heard: list[str]) -> int:
    """Return the Levenshtein distance between two lists of words."""
    row = np.arange(len(heard) + 1)
    for i, word in enumerate(reference, start=1):
        new = np.empty_like(row)
        new[0] = i
        for j, other in enumerate(heard, start=1):
            new[j] = min(row[j] + 1, new[j - 1] + 1, row[j - 1] + (word != other))
        row = new
    return int(row[-1])


def rate_with_interval(pairs: list[tuple[list[str], list[str]]], draws: int = 2000) -> tuple[float, float, float]:
    """Return the word error rate in percent, and its 95% bootstrap interval over utterances."""
    errors = np.array([word_errors(reference, heard) for reference, heard in pairs])
    lengths = np.array([len(reference) for reference, _ in pairs])
    picks = np.random.default_rng(0).integers(len(pairs), size=(draws, len(pairs)))
    rates = 100 * errors[picks].sum(axis=1) / lengths[picks].sum(axis=1).clip(1)
    return 100 * errors.sum() / max(1, lengths.sum()), *np.percentile(rates, [2.5, 97.5])


def main() -> None:
    """Read, compare, print a line per utterance and the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", required=True, help="folder of a CTranslate2 Whisper model")
    parser.add_argument("--data_dir", required=True, help="data directory of the natural recordings, with `text`")
    parser.add_argument("--audio", required=True, help="folder of reconstructions, <utterance id>.wav")
    parser.add_argument("--language", default="en")
    parser.add_argument("--match", default="", help="only utterances whose id contains this")
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    from faster_whisper import WhisperModel

    model = WhisperModel(options.model_dir, device="cpu", compute_type="int8", local_files_only=True)

    def read(waveform: np.ndarray, rate: int) -> str:
        audio = soxr.resample(waveform, rate, RECOGNISER_RATE).astype(np.float32)
        segments, _ = model.transcribe(audio, language=options.language, beam_size=5, condition_on_previous_text=False)
        return " ".join(segment.text.strip() for segment in segments)

    natural, rebuilt, against_natural = [], [], []
    for utterance in DataDir.load(options.data_dir).utterances:
        path = Path(options.audio) / f"{utterance.id}.wav"
        if options.match not in utterance.id or not path.exists() or not utterance.text:
            continue
        reading, made = read(*read_utterance(utterance)), read(*read_audio(path))
        reference = words(utterance.text)
        natural.append((reference, words(reading)))
        rebuilt.append((reference, words(made)))
        against_natural.append((words(reading), words(made)))
        print(f"{utterance.id}\n  text     {utterance.text}\n  natural  {reading}\n  rebuilt  {made}")
    if not natural:
        parser.error(f"no reconstructions in {options.audio} of transcribed utterances matching {options.match!r}")
    figures = {"utterances": len(natural), "words": sum(len(reference) for reference, _ in natural)}
    for name, pairs in (("natural", natural), ("rebuilt", rebuilt), ("rebuilt_against_natural", against_natural)):
        rate, low, high = rate_with_interval(pairs)
        figures[f"wer_{name}"] = round(rate, 1)
        print(f"word errors, {name.replace('_', ' ')}: {rate:.1f}% (95%: {low:.1f} to {high:.1f})")
    figures["wer_over_natural"] = round(figures["wer_rebuilt"] - figures["wer_natural"], 1)
    over = figures["wer_over_natural"]
    print(f"over natural: {over:.1f} points, {len(natural)} utterances, {figures['words']} words")
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
