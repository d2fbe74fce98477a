#!/usr/bin/env bash
# Fetches speechocean762 where it is absent, and writes data/{train,dev,test} and data/official_test.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # a copy that you have, unpacked, or a Kaldi data directory of a part; nothing is downloaded then
ages=all               # whom to take: all, adults or children
# End of options.

prepare_corpus speechocean762 "$@"
