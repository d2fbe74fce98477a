#!/usr/bin/env bash
# ZeroSpeech 2019: units from 100 voices, speech in a target voice (see data_prep/zerospeech2019.py). For an accelerator.
#
#   bash recipes/zerospeech2019/run.sh
#   bash recipes/zerospeech2019/run.sh --language surprise --corpus_dir /path/to/zerospeech2019
#   bash recipes/zerospeech2019/run.sh --max_train_hours 2 \
#       --train_config conf/train_vqvae_two_cores.yaml --prior_config conf/train_prior_two_cores.yaml   # on a laptop
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The challenge's conversions, of the test into a target voice, are those of the set official_test.
exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --eval_sets official_test \
    --eval_speaker V001 \
    "$@"
