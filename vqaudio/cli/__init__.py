"""The command `vqaudio VERB`: one file per verb, each a `Verb` that declares its options and does its work.

    argv ──main──▶ verb ──parser──▶ options ──run──▶ the library

Nothing here is imported by the library, and no module here imports torch before a verb runs.
"""
