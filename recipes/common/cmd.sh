# shellcheck shell=bash disable=SC2034,SC2154
# Where the jobs of a recipe run, and what they ask for. Sourced. A recipe with a cmd.sh of its own uses that one
# instead.
#
# Each variable holds words that go before LOG COMMAND, or JOB=1:N LOG COMMAND: a launcher, which runs the command where
# --cmd_backend says, waits for it and passes on its exit status. docs/clusters.md lists its options; what a cluster
# wants beside them goes into conf/slurm.conf. Kaldi's run.pl, queue.pl and slurm.pl can stand in its place.

launch() { "$python" "$root/recipes/common/jobs" "$cmd_backend" --num_threads "$nj" "$@"; }

gpus=$([ "$device" = cpu ] && echo 0 || echo "${ngpu:-0}")

# Training of the VQ-VAE and of the prior; perhaps --mem 32G --time 24:00:00. Its time over, it goes on in another job.
train_cmd="launch --gpu $gpus --restarts 999"
gpu_cmd="launch --gpu $((gpus > 0))"         # extraction, decoding, scores: each in one job, or divided into --num_jobs
job_cmd=launch                               # everything else
