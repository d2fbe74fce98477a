#!/usr/bin/env bash
# Your own audio: any tree of WAV, FLAC, OGG, Opus and MP3 files, with one folder per speaker or a table of speakers.
#
#   bash recipes/template/run.sh --audio_dir /path/to/audio
#   bash recipes/template/run.sh --audio_dir /path/to/audio --speaker_table speakers.txt
#
# For a corpus that needs more than that, copy this folder, and let its local/data.sh write data/{train,dev,test}.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec bash "$here/../common/vqvae.sh" --recipe "$here" \
    --train_config conf/train_vqvae.yaml \
    --prior_config conf/train_prior.yaml \
    "$@"
