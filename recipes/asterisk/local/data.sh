#!/usr/bin/env bash
# Fetches Asterisk's core sounds where they are absent, and writes data/{train,dev,test}.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=recipes/common/path.sh
. ../common/path.sh

# Options.
asterisk_dir=          # a copy of the sounds that you have, unpacked; nothing is downloaded then
languages=en,es,fr,it,ru  # which of them
source=auto            # debian: Debian's packages, upstream: Asterisk's archives, auto: the first that works
# End of options.

read_options local/data.sh
parse_options "$@"
need_python "${python:-}"
"$python" -m data_prep.asterisk --out data --downloads downloads --source "$source" --languages "$languages" \
    ${asterisk_dir:+--asterisk_dir "$asterisk_dir"}
