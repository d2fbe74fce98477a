"""Kaldi data directories and the crops that training draws from them.

A corpus enters as a data directory (`DataDir`), is validated and mended, brought to one sample rate
(`format_data`), divided (`split`, `subset`, `combine`), and read as utterances (`read_utterance`) or as
batches of random crops (`CropDataset`).
"""

from vqaudio.corpus.datadir import DataDir, Utterance, Violation, check
from vqaudio.corpus.reading import read_utterance

__all__ = ["DataDir", "Utterance", "Violation", "check", "read_utterance"]
