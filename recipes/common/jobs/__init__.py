"""Jobs: run a command, or numbered copies of it, where there is room; Python's standard library alone.

    launch slurm --mem 4G JOB=1:8 log/x.JOB.log command JOB
       │
    Request ──▶ Task, a file ──▶ backend: local │ slurm │ ssh ──▶ worker, one a job ──▶ log, exit status
                                    │                                                     │
                                    └──────── progress · Ctrl-C · report of failures ◀────┘

The command line is the one that users of Kaldi's run.pl, slurm.pl and ssh.pl know. docs/clusters.md is its manual.
"""
