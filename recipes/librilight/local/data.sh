#!/usr/bin/env bash
# Fetches subsets of Libri-Light where they are absent, and writes data/{train,dev,test}.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # a copy that you have, unpacked; nothing is downloaded then
subsets=small          # subsets to take, of small, medium and large
cut_by=vad             # what recordings are cut by: vad, where voice was detected, or length
segment_seconds=15.0   # longest utterance, in seconds
# End of options.

prepare_corpus librilight "$@"
