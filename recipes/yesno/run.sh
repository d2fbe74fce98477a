#!/usr/bin/env bash
# YesNo: one man's "yes" and "no" in Hebrew, six minutes (see data_prep/yesno.py). To see that everything runs.
#
#   bash recipes/yesno/run.sh
#   bash recipes/yesno/run.sh --corpus_dir /path/to/waves_yesno
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --max_seconds 8 \
    "$@"
