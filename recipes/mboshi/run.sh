#!/usr/bin/env bash
# Mboshi: 5,130 sentences of three speakers of a Bantu language, 4.5 hours (see data_prep/mboshi.py).
#
#   bash recipes/mboshi/run.sh
#   bash recipes/mboshi/run.sh --corpus_dir /path/to/mboshi-french-parallel-corpus
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    "$@"
