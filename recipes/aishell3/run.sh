#!/usr/bin/env bash
# AISHELL-3: Mandarin sentences of 218 speakers, 85 hours (see data_prep/aishell3.py). For an accelerator.
#
#   bash recipes/aishell3/run.sh                                      fetches 19 GB
#   bash recipes/aishell3/run.sh --corpus_dir /path/to/data_aishell3
#   bash recipes/aishell3/run.sh --max_train_hours 2 \
#       --train_config conf/train_vqvae_two_cores.yaml --prior_config conf/train_prior_two_cores.yaml
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --eval_sets test_unseen \
    "$@"
