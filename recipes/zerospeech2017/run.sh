#!/usr/bin/env bash
# ZeroSpeech 2017: units of five languages, scored on cuts of three lengths (see data_prep/zerospeech2017.py). For an
# accelerator.
#
#   bash recipes/zerospeech2017/run.sh --corpus_dir /path/to/zerospeech2017
#   bash recipes/zerospeech2017/run.sh --corpus_dir /path/to/zerospeech2017 --language mandarin \
#       --train_config conf/train_vqvae_two_cores.yaml --prior_config conf/train_prior_two_cores.yaml   # on a laptop
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --max_seconds 10 \
    --eval_sets test_10s \
    "$@"
