#!/usr/bin/env bash
# speechocean762: 5,000 English sentences of 250 speakers of Mandarin, 5 hours (see data_prep/speechocean762.py).
#
#   bash recipes/speechocean762/run.sh
#   bash recipes/speechocean762/run.sh --ages adults
#   bash recipes/speechocean762/run.sh --corpus_dir /path/to/a/kaldi/directory --eval_sets ""    # of a part of it
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --eval_sets official_test \
    "$@"
