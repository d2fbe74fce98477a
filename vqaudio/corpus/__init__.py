"""Kaldi data directories and the crops that training draws from them.

A corpus enters as a data directory (`DataDir`), is validated and mended (`check`, `fix`), brought to one
sample rate (`format_data`), divided (`split`, `subset`, `combine`), and read as utterances (`read_utterance`)
or as batches of random crops (`vqaudio.corpus.crops`, which loads torch).
"""

from vqaudio.corpus.datadir import DataDir, Utterance, Violation, check
from vqaudio.corpus.fixing import fix
from vqaudio.corpus.format import FormatSummary, format_data
from vqaudio.corpus.reading import read_utterance
from vqaudio.corpus.transform import combine, split, subset

__all__ = [
    "DataDir",
    "FormatSummary",
    "Utterance",
    "Violation",
    "check",
    "combine",
    "fix",
    "format_data",
    "read_utterance",
    "split",
    "subset",
]
