#!/usr/bin/env bash
# Writes data/{train,dev,test}, and data/{official_dev,core_test,complete_test}, from a copy of TIMIT.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # the copy: the folder that holds TRAIN and TEST, or one above it
# End of options.

prepare_corpus timit "$@"
