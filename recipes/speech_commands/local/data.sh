#!/usr/bin/env bash
# Fetches Speech Commands where it is absent, and writes data/{train,dev,test,validation,testing}.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # a copy that you have, unpacked; nothing is downloaded then
version=               # version of the corpus, 0.02 or 0.01; by default 0.02 is fetched
test_set=false         # prepare the separate test set too, as data/test_set
# End of options.

prepare_corpus speech_commands "$@"
