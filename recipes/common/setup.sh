#!/usr/bin/env bash
# Makes the Python environment that the recipes run in, and installs vqaudio into it. Needs no root.
#
#   bash recipes/common/setup.sh [--python PATH] [--extras test]
#
# The environment is that of --python, or the active virtual environment, or .venv in the repository, made here
# where there is none. What is installed follows pyproject.toml, setup.py and constraints.txt; while these stay
# as they are, a repeated call returns at once.
set -euo pipefail
# shellcheck source=recipes/common/path.sh
. "$(dirname "${BASH_SOURCE[0]}")/path.sh"

# Options.
python=        # interpreter to install for, instead of the active environment's or .venv's
extras=        # sets of extra packages of setup.py, with commas between: test
# End of options.

main() {
    read_options "${BASH_SOURCE[0]}"
    parse_options "$@"
    check_tools
    choose_python "$python"
    if [ "$python" = "$root/.venv/bin/python" ] && ! has_pip; then make_environment; fi
    has_pip || die "$python has no pip. Create an environment ($python -m venv FOLDER), activate it and come again."
    if [ "$(wanted)" = "$(cat "$(stamp)" 2>/dev/null)" ]; then
        echo "environment: $python, as it should be"
    else
        install
    fi
}

has_pip() { "$python" -m pip --version >/dev/null 2>&1; }

# The file that says what was installed lies in the environment, so that it goes when the environment goes.
stamp() { "$python" -c 'import sys; print(sys.prefix + "/.vqaudio-installed")'; }

# wanted: prints what the installation depends on. Extras once installed stay wanted.
wanted() {
    local sets
    sets=$(printf '%s\n' "${extras//,/$'\n'}" "$(sed -n 's/^extra //p' "$(stamp)" 2>/dev/null)" | sort -u)
    echo "root $root"
    (cd "$root" && find pyproject.toml setup.py constraints.txt vqaudio/csrc -type f ! -name '*.so' ! -name '*.o' \
        -exec sha256sum {} + 2>/dev/null | sort -k 2)
    printf '%s\n' "$sets" | sed -n 's/^./extra &/p'
}

install() {
    local what=. wanted_now
    wanted_now=$(wanted)
    extras=$(sed -n 's/^extra //p' <<<"$wanted_now" | paste -s -d ,)
    if [ -n "$extras" ]; then what=".[$extras]"; fi
    rm -f "$(stamp)"
    echo "environment: installing vqaudio and what it needs for $python (a few minutes the first time)"
    (cd "$root" && "$python" -m pip install --disable-pip-version-check --progress-bar off -q \
        -c constraints.txt -e "$what") ||
        die "the installation failed (the reason is above). It goes on where it stood when you run this again."
    echo "$wanted_now" >"$(stamp)"
    echo "environment: ready, $("$python" --version), $python"
}

# make_environment: .venv, by whatever this machine offers. Debian and Ubuntu keep pip and ensurepip in packages of
# their own: these are then unpacked from the package's file, which needs no root.
make_environment() {
    local base venv="$root/.venv"
    base=$(find_python)
    echo "environment: making $venv with $("$base" --version)"
    if "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        "$base" -m venv --clear "$venv"
    elif command -v virtualenv >/dev/null; then
        virtualenv --quiet --clear --python "$base" "$venv"
    elif command -v apt-get >/dev/null && "$base" -m venv --without-pip --clear "$venv" && unpack_pip; then
        echo "environment: pip comes from the package python3-pip-whl, as the venv module has none of its own"
    else
        rm -rf "$venv"
        die "$base cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv." \
            "Without root: python3 -m pip install --user virtualenv; or activate an environment of your own."
    fi
}

unpack_pip() {
    local folder status=0 wheel
    folder=$(mktemp -d)
    (cd "$root" && "$python" -m data_prep.fetch python3-pip-whl --into "$folder") &&
        wheel=$(find "$folder" -name 'pip-*.whl' | head -n 1) && [ -n "$wheel" ] &&
        "$python" "$wheel/pip" install --quiet --no-index "$wheel" || status=$?
    rm -rf "$folder"
    return "$status"
}

main "$@"
