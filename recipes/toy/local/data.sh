#!/usr/bin/env bash
# Synthesises the toy corpus and writes data/{train,dev,test}.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=recipes/common/path.sh
. ../common/path.sh

# Options.
corpus_seed=0          # another seed makes other sentences
# End of options.

read_options local/data.sh
parse_options "$@"
need_python "${python:-}"
"$python" -m data_prep.toy --out data --seed "$corpus_seed"
