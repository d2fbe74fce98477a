#!/usr/bin/env bash
# Fetches what is asked for of VoxPopuli where it is absent, and writes data/{train,dev,test} and the official dev and
# test.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # a copy that you have, unpacked; nothing is downloaded then
subset=transcribed     # which part of it: transcribed or unlabelled
languages=en           # which, such as en,de
years=                 # which, 2009 to 2020; without it all (to fetch unlabelled data: 2019,2020)
transcripts=normalized  # which text, of transcribed data: normalized or original
# End of options.

prepare_corpus voxpopuli "$@"
