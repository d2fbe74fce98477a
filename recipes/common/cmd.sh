# shellcheck shell=bash disable=SC2034
# Where the jobs of a recipe run. Sourced. A recipe with a cmd.sh of its own uses that one instead.
#
# Each variable holds words that go before a job's log and command: a launcher, which runs it where --cmd_backend says,
# waits for it and passes on its exit status (docs/clusters.md; recipes/common/jobs --help).

launch="$python $root/recipes/common/jobs $cmd_backend --num_threads $nj"
gpus=$([ "$device" = cpu ] && echo 0 || echo "${ngpu:-0}")

train_cmd="$launch --gpu $gpus"              # training of the VQ-VAE and of the prior
gpu_cmd="$launch --gpu $((gpus > 0))"        # extraction, decoding, scores: each in one job, or divided into --num_jobs
job_cmd=$launch                              # everything else
