#!/usr/bin/env bash
# Writes data/{train,dev,test} and data/test_{1s,10s,120s} from a copy of ZeroSpeech 2017.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # the copy: the folder that holds train/<language> and test/<language>
language=english       # or french, mandarin, LANG1, LANG2
segment_seconds=10.0   # longest utterance that training files are cut into
# End of options.

prepare_corpus zerospeech2017 "$@"
