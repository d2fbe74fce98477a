#!/usr/bin/env bash
# Asterisk's telephone prompts: 2 hours of four voices in five languages (see data_prep/asterisk.py).
#
#   bash recipes/asterisk/run.sh                                       everything, in half an hour on two cores
#   bash recipes/asterisk/run.sh --train_config conf/train_vqvae_paper.yaml
#   bash recipes/asterisk/run.sh --stage 8 --num_samples 30            from stage 8 on
#
# A stage that is done is not repeated; one that was interrupted goes on where it stood; one whose options changed
# runs again, and so does what depends on it. Everything is written below recipes/asterisk: downloads/, data/,
# dump/ and exp/.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    "$@"
