#!/usr/bin/env bash
# Common Voice: sentences read by volunteers, in more than a hundred languages (see data_prep/common_voice.py). For an
# accelerator. The corpus is to be fetched by hand: called without it, this says how.
#
#   bash recipes/common_voice/run.sh --corpus_dir /path/to/cv-corpus-17.0-2024-03-15 --languages cy
#   bash recipes/common_voice/run.sh --corpus_dir /path/to/cv-corpus-17.0-2024-03-15 --languages cy,br,ga-IE \
#       --training validated
#   bash recipes/common_voice/run.sh --corpus_dir /path/to/cv-corpus-17.0-2024-03-15/cy --max_train_hours 2 \
#       --train_config conf/train_vqvae_two_cores.yaml --prior_config conf/train_prior_two_cores.yaml
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --eval_sets "official_dev official_test" \
    "$@"
