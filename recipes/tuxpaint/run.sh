#!/usr/bin/env bash
# Tux Paint's stamps: descriptions of pictures by nine volunteers in nine languages, 2.4 hours (see data_prep/tuxpaint.py).
#
#   bash recipes/tuxpaint/run.sh
#   bash recipes/tuxpaint/run.sh --corpus_dir /usr/share     # where the package is installed, or another copy
#   bash recipes/tuxpaint/run.sh --languages fr,es
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    "$@"
