#!/usr/bin/env bash
# Fetches ZeroSpeech 2019 in English where it is absent, and writes data/{train,dev,test} and data/official_test.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # a copy that you have, unpacked; nothing is downloaded then
language=english       # or surprise, which is not fetched automatically
# End of options.

prepare_corpus zerospeech2019 "$@"
