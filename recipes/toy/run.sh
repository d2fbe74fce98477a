#!/usr/bin/env bash
# A toy: synthetic speech, tiny models, every stage in two minutes and without a network. For tests, and to see how
# the recipes work; nothing that comes out of it is worth listening to.
#
#   bash recipes/toy/run.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --num_resynthesis 1 --num_conversions 1 --num_samples 2 --max_seconds 3 --score_args "--num_samples 8" \
    --eval_sets unheard \
    "$@"
