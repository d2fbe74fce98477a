"""What the toolkit promises of runs and files, each promise held to account by counted trials.

`python -m tests.reliability --json FILE` runs them; docs/reliability.md shows the counts. The same trials, fewer of
each, are among the tests (test_promises.py).
"""
