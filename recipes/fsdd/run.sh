#!/usr/bin/env bash
# Free Spoken Digit Dataset: 3,000 digits of six speakers, 24 minutes (see data_prep/fsdd.py).
#
#   bash recipes/fsdd/run.sh
#   bash recipes/fsdd/run.sh --corpus_dir /path/to/free-spoken-digit-dataset
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --min_seconds 0.1 \
    "$@"
