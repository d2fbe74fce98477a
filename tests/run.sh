#!/usr/bin/env bash
# Sets up what the tests need, as recipes/common/setup.sh does it, and runs them.
#
#   bash tests/run.sh                          all of them, whole recipe included
#   bash tests/run.sh -m "not whole_run"       all but that one; every argument goes to pytest
#   bash tests/run.sh tests/units -x
set -euo pipefail
# shellcheck source=recipes/common/path.sh
. "$(dirname "${BASH_SOURCE[0]}")/../recipes/common/path.sh"

# What needs packages of [eval] or [ray] is tested where these can be installed: some compile C code, and Ray is not there
# for every Python.
for extras in test,eval,ray test,eval test; do
    bash "$root/recipes/common/setup.sh" --extras "$extras" && break
    [ "$extras" != test ] || exit 1
    echo "tests/run.sh: the extras $extras cannot be installed; going on with fewer, and the tests that need them skip" >&2
done
choose_python ""
cd "$root"
exec "$python" -m pytest "$@"
