#!/usr/bin/env bash
# LibriTTS and LibriTTS-R: sentences from audio books in English, 585 hours at 24 kHz (see data_prep/libritts.py). For
# an accelerator.
#
#   bash recipes/libritts/run.sh                                      54 hours; fetches 10 GB
#   bash recipes/libritts/run.sh --restored
#   bash recipes/libritts/run.sh --corpus_dir /path/to/LibriTTS
#   bash recipes/libritts/run.sh --parts train-clean-100,train-clean-360,dev-clean,test-clean
#   bash recipes/libritts/run.sh --max_train_hours 2 \
#       --train_config conf/train_vqvae_two_cores.yaml --prior_config conf/train_prior_two_cores.yaml
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --eval_sets "dev_clean test_clean" \
    "$@"
