#!/usr/bin/env bash
# Fetches AISHELL-3 where it is absent, and writes data/{train,dev,test,test_unseen}.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # a copy that you have, unpacked; nothing is downloaded then
transcripts=characters  # which text: characters or pinyin
# End of options.

prepare_corpus aishell3 "$@"
