#!/usr/bin/env bash
# Fetches LibriTTS or LibriTTS-R where it is absent, and writes data/{train,dev,test} and its other official parts.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # a copy that you have, unpacked; nothing is downloaded then
parts=train-clean-100,dev-clean,test-clean  # official parts to take
restored=false         # fetch LibriTTS-R, whose sound was restored
transcripts=normalized  # which text: normalized or original
# End of options.

prepare_corpus libritts "$@"
