#!/usr/bin/env bash
# LJ Speech: seven books, read by one woman, 24 hours (see data_prep/ljspeech.py). For an accelerator.
#
#   bash recipes/ljspeech/run.sh
#   bash recipes/ljspeech/run.sh --corpus_dir /path/to/LJSpeech-1.1
#   bash recipes/ljspeech/run.sh --train_config conf/train_vqvae_two_cores.yaml \
#       --prior_config conf/train_prior_two_cores.yaml --max_train_hours 2
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    "$@"
