#!/usr/bin/env bash
# VCTK: newspaper sentences of 109 speakers, 44 hours (see data_prep/vctk.py). The paper's experiment of voice conversion:
# units at 250 Hz, 64 times fewer than samples at 16 kHz. For an accelerator.
#
#   bash recipes/vctk/run.sh
#   bash recipes/vctk/run.sh --corpus_dir /path/to/VCTK-Corpus-0.92 --microphone mic2
#   bash recipes/vctk/run.sh --version 0.80
#   bash recipes/vctk/run.sh --speakers p225,p226,p227,p228 --num_conversions 6 \
#       --train_config conf/train_vqvae_two_cores.yaml --prior_config conf/train_prior_two_cores.yaml
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    "$@"
