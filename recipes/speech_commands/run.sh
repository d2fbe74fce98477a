#!/usr/bin/env bash
# Speech Commands: 105,829 single words of 2,618 people, 29 hours (see data_prep/speech_commands.py). For an accelerator.
#
#   bash recipes/speech_commands/run.sh
#   bash recipes/speech_commands/run.sh --version 0.01
#   bash recipes/speech_commands/run.sh --corpus_dir /path/to/speech_commands_v0.02
#   bash recipes/speech_commands/run.sh --train_config conf/train_vqvae_two_cores.yaml \
#       --prior_config conf/train_prior_two_cores.yaml --max_train_hours 2
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --eval_sets "validation testing" \
    "$@"
