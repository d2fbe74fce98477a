#!/usr/bin/env bash
# LibriSpeech: audio books in English, 982 hours (see data_prep/librispeech.py). The paper's experiment of unconditional
# speech: units 128 times fewer than samples at 16 kHz, and a prior over 2.56 s of them. For an accelerator.
#
#   bash recipes/librispeech/run.sh                                   460 hours; fetches 30 GB
#   bash recipes/librispeech/run.sh --corpus_dir /path/to/LibriSpeech --parts train-clean-100,dev-clean,test-clean
#   bash recipes/librispeech/run.sh --alignments_dir /path/to/librispeech_alignments \
#       --train_config conf/train_vqvae_25hz.yaml --prior_config conf/train_prior_25hz.yaml \
#       --score_args "--phones conf/phones_41.txt"
#
# Mini LibriSpeech on a laptop (fetches 460 MB):
#
#   bash recipes/librispeech/run.sh --parts train-clean-5,dev-clean-2 --eval_sets dev_clean_2 \
#       --train_config conf/train_vqvae_two_cores.yaml --prior_config conf/train_prior_two_cores.yaml
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --eval_sets "dev_clean test_clean" \
    "$@"
