"""Corpora: one module each, that fetches the corpus where it is absent and writes Kaldi data directories.

    python -m data_prep.asterisk --help

Each module begins with what the corpus is, its licence and its source. `fetch` downloads, `kaldi` writes.
"""
