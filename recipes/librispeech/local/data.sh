#!/usr/bin/env bash
# Fetches LibriSpeech where it is absent, and writes data/{train,dev,test} and its other official parts.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # a copy that you have, unpacked; nothing is downloaded then
parts=train-clean-100,train-clean-360,dev-clean,test-clean  # parts to take; Mini: train-clean-5,dev-clean-2
alignments_dir=        # TextGrids, for the times of words and phones; see the recipe's README
# End of options.

prepare_corpus librispeech "$@"
