#!/usr/bin/env bash
# Fetches Tux Paint's stamps where they are absent, and writes data/{train,dev,test}.
# shellcheck source=recipes/common/data.sh disable=SC2034   # options are handed on by name
. "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"

# Options.
corpus_dir=            # a copy that you have, unpacked or installed; nothing is downloaded then
languages=be,bg,ca,da,el,es,fr,ro,ru  # which of them
# End of options.

prepare_corpus tuxpaint "$@"
