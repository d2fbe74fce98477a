#!/usr/bin/env bash
# AN4: letters, digits and names, spelled by 84 people, 50 minutes (see data_prep/an4.py).
#
#   bash recipes/an4/run.sh
#   bash recipes/an4/run.sh --corpus_dir /path/to/an4
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --eval_sets official_test \
    "$@"
