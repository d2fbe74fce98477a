#!/usr/bin/env bash
# Fetches VCTK where it is absent, and writes data/{train,dev,test}.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # a copy that you have, unpacked; nothing is downloaded then
version=               # version of the corpus, 0.92 or 0.80; by default 0.92 is fetched
microphone=mic1        # of 0.92: mic1 (DPA 4035, that of 0.80 too) or mic2 (Sennheiser MKH 800)
speakers=              # use these alone, such as p225,p226
# End of options.

prepare_corpus vctk "$@"
