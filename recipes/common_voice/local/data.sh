#!/usr/bin/env bash
# Writes data/{train,dev,test,official_dev,official_test} from a release of Common Voice that you have.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # the release, unpacked; without it, downloads/common_voice
languages=             # which, such as en,cy; all that are there, without it
training=train         # table of the clips to train on: train or validated
# End of options.

prepare_corpus common_voice "$@"
