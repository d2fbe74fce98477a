#!/usr/bin/env bash
# Sets up what the tests need, as recipes/common/setup.sh does it, and runs them.
#
#   bash tests/run.sh                          all of them, whole recipe included
#   bash tests/run.sh -m "not whole_run"       all but that one; every argument goes to pytest
#   bash tests/run.sh tests/units -x
set -euo pipefail
# shellcheck source=recipes/common/path.sh
. "$(dirname "${BASH_SOURCE[0]}")/../recipes/common/path.sh"

# Scores that need packages of [eval] are tested where these can be installed: some compile C code.
if ! bash "$root/recipes/common/setup.sh" --extras test,eval; then
    echo "tests/run.sh: going on without the extra [eval]; the tests that need it skip" >&2
    bash "$root/recipes/common/setup.sh" --extras test
fi
choose_python ""
cd "$root"
exec "$python" -m pytest "$@"
