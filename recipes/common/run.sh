#!/usr/bin/env bash
# No recipe, but what all of them share. This lists them: bash recipes/<name>/run.sh --help says more of each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for script in */run.sh; do
    name=${script%/*}
    if [ "$name" != common ]; then printf '%-16s %s\n' "$name" "$(sed -n '2 { s/^# //; s/ (see.*//; s/[.;] .*//; p }' "$script")"; fi
done
