#!/usr/bin/env bash
# Writes data/{train,dev,test} from the audio files below --audio_dir.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=recipes/common/path.sh
. ../common/path.sh

# Options.
audio_dir=             # root of your tree of audio files
speaker_table=         # lines "<file or folder below audio_dir> <speaker>"; without it, folders name the speakers
speaker_level=1        # depth, below audio_dir, of the folder that names the speaker
dev_share=0.05         # of utterances held out to watch the training
test_share=0.05        # of utterances held out for the scores
# End of options.

read_options local/data.sh
parse_options "$@"
[ -n "$audio_dir" ] || die "--audio_dir is missing: the folder of your audio files"
need_python "${python:-}"
"$python" -m data_prep.folder --out data --audio_dir "$audio_dir" --speaker_level "$speaker_level" \
    --dev_share "$dev_share" --test_share "$test_share" ${speaker_table:+--speakers "$speaker_table"}
