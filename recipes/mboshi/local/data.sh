#!/usr/bin/env bash
# Fetches the Mboshi-French parallel corpus where it is absent, and writes data/{train,dev,test}.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # a copy that you have, unpacked; nothing is downloaded then
# End of options.

prepare_corpus mboshi "$@"
