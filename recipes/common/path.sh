# shellcheck shell=bash
# What every recipe needs: checked here, with how to get it. Sourced; sets `root` and PYTHONPATH.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)   # of the repository
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"       # data_prep is run from the repository, never installed
export PYTHONUNBUFFERED=1                                  # logs keep up with what happens
export LC_ALL=C.UTF-8                                      # Kaldi's order of lines; UTF-8 in names and texts

# shellcheck source=recipes/common/parse_options.sh
. "$root/recipes/common/parse_options.sh"
is_line "$root" && [[ $root != *:* ]] || die "the repository lies in '$root': expected a path in UTF-8 without" \
    "control characters and ':', which tables of audio files and Python's path cannot hold; move it"

check_tools() {
    local tool
    [ "${BASH_VERSINFO[0]}" -ge 5 ] || [ "${BASH_VERSINFO[*]:0:2}" = "4 4" ] ||
        die "bash $BASH_VERSION is too old, 4.4 or newer is needed. On macOS: brew install bash"
    for tool in awk sed tee sha256sum; do
        command -v "$tool" >/dev/null ||
            die "'$tool' is not installed. On Debian and Ubuntu: apt-get install coreutils gawk sed"
    done
    check_space
}

# A complete run, with its environment, takes about 3 GB.
check_space() {
    local free
    free=$(df -Pk "$root" | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free" -ge 4096 ] || echo "warning: only $free MB are free in $root; a first run may take up to 4 GB." >&2
}

is_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

# find_python: prints the first interpreter of at least Python 3.10.
find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
        if command -v "$candidate" >/dev/null && is_python "$candidate"; then
            command -v "$candidate"; return
        fi
    done
    die "Python 3.10 or newer is needed, found $(python3 --version 2>&1 || true)." \
        "On Debian and Ubuntu: apt-get install python3 python3-venv. Without root: uv python install 3.12," \
        "then --python PATH, or conda create -n vqaudio python=3.12 and activate it."
}

# active_environment: prints the folder of the active virtual or conda environment. Conda's base, which is active
# in every shell of its users, does not count.
active_environment() {
    if [ -n "${VIRTUAL_ENV:-}" ]; then
        echo "$VIRTUAL_ENV"
    elif [ -n "${CONDA_PREFIX:-}" ] && [ "${CONDA_DEFAULT_ENV:-base}" != base ]; then
        echo "$CONDA_PREFIX"
    fi
}

# choose_python [PATH]: sets `python` to PATH, or to the active virtual environment's interpreter, or to that of
# .venv in the repository (which setup.sh makes).
choose_python() {
    python=${1:-}
    if [ -n "$python" ]; then
        python=$(command -v "$python") || die "--python: there is no '$1'"
        is_python "$python" || die "--python $python: $("$python" --version 2>&1), 3.10 or newer is needed"
    elif [ -n "$(active_environment)" ]; then
        python=$(active_environment)/bin/python
        is_python "$python" ||
            die "the active environment's $python is not Python 3.10 or newer; deactivate it, or give --python PATH"
    else
        python=$root/.venv/bin/python
    fi
    export python
}

# need_python [PATH]: chooses it, and says how to get it where it is not there.
need_python() {
    choose_python "${1:-}"
    [ -x "$python" ] || die "there is no $python yet: 'bash $root/recipes/common/setup.sh' makes it," \
        "stage 0 of a recipe does so too, and --python names another"
}
