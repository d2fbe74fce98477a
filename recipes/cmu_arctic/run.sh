#!/usr/bin/env bash
# CMU ARCTIC: the same thousand sentences of seven voices, 6.8 hours, with phone times (see data_prep/cmu_arctic.py).
#
#   bash recipes/cmu_arctic/run.sh
#   bash recipes/cmu_arctic/run.sh --voices bdl,slt
#   bash recipes/cmu_arctic/run.sh --corpus_dir /path/to/the/folder/of/cmu_us_bdl_arctic
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    "$@"
