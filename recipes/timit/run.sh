#!/usr/bin/env bash
# TIMIT: 6,300 sentences of 630 speakers with hand-marked phones, 5 hours (see data_prep/timit.py).
#
#   bash recipes/timit/run.sh --corpus_dir /path/to/TIMIT
#   bash recipes/timit/run.sh --corpus_dir /path/to/TIMIT --eval_sets "core_test official_dev complete_test"
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --eval_sets core_test \
    "$@"
