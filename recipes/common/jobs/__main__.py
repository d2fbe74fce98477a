"""`python recipes/common/jobs …`: what users call, and what backends start on the machines of the jobs."""

import sys
from pathlib import Path

# Python looks for modules in this folder first, where none of ours must be mistaken for one of its own.
sys.path[0] = str(Path(__file__).resolve().parents[1])

if sys.argv[1:2] == ["run-job"]:
    from jobs.worker import main
elif sys.argv[1:2] == ["run-nodes"]:
    from jobs.nodes import main
else:
    from jobs.launch import main

sys.exit(main(sys.argv[2:] if sys.argv[1:2] in (["run-job"], ["run-nodes"]) else sys.argv[1:]))
