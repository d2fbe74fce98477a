#!/usr/bin/env bash
# Many voices: Asterisk's prompts, Tux Paint's volunteers and speechocean762's learners, 5 hours or more.
#
#   bash recipes/voices/run.sh
#   bash recipes/voices/run.sh --corpora "asterisk tuxpaint"
#   bash recipes/voices/run.sh --speechocean762_dir /path/to/speechocean762
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    --level_db=-26 \
    "$@"
