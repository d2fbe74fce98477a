#!/usr/bin/env bash
# Libri-Light: up to 57,700 hours of audio books in English, without transcripts (see data_prep/librilight.py). For an
# accelerator, or several.
#
#   bash recipes/librilight/run.sh                                    577 hours; fetches 35 GB
#   bash recipes/librilight/run.sh --subsets small,medium --ngpu 4
#   bash recipes/librilight/run.sh --corpus_dir /path/to/librilight --segment_seconds 30 --max_seconds 30
#   bash recipes/librilight/run.sh --max_train_hours 2 \
#       --train_config conf/train_vqvae_two_cores.yaml --prior_config conf/train_prior_two_cores.yaml
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --max_seconds 15 \
    "$@"
