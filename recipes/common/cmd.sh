# shellcheck shell=bash disable=SC2034
# Where the jobs of a recipe run. Sourced. A recipe with a cmd.sh of its own uses that one instead.
#
# Each variable holds words that go before a job's command: nothing to run it here, or a launcher that
# waits for the job and passes on its exit status, for example
#
#     train_cmd="srun --gres=gpu:1 --cpus-per-task=8 --mem=16G"
#     job_cmd="nice -n 10"

train_cmd=""    # training of the VQ-VAE and of the prior
job_cmd=""      # everything else: extraction, generation, scores
