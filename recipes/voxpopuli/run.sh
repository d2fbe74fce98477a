#!/usr/bin/env bash
# VoxPopuli: speeches in the European Parliament and their interpretation, in 23 languages (see data_prep/voxpopuli.py).
# For an accelerator, or several.
#
#   bash recipes/voxpopuli/run.sh --languages sl                      10 hours, but their sessions are of all languages
#   bash recipes/voxpopuli/run.sh --languages sl --years 2019,2020
#   bash recipes/voxpopuli/run.sh --subset unlabelled --languages mt --years 2020 --eval_sets ""
#   bash recipes/voxpopuli/run.sh --corpus_dir /path/to/voxpopuli --languages en --max_train_hours 2 \
#       --train_config conf/train_vqvae_two_cores.yaml --prior_config conf/train_prior_two_cores.yaml
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --eval_sets "official_dev official_test" \
    --max_seconds 30 \
    "$@"
