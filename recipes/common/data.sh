# shellcheck shell=bash
# What the local/data.sh of the recipes have in common. Sourced, from the recipe's local folder:
#
#     . "$(dirname "${BASH_SOURCE[0]}")/../../common/data.sh"
#
#     # Options.
#     corpus_dir=     # a copy that you have, unpacked; nothing is downloaded then
#     # End of options.
#
#     prepare_corpus ljspeech "$@"
#
# Every option is one of the module's (python -m data_prep.ljspeech --help) and is handed on where it has a value.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[1]}")/.."
# shellcheck source=recipes/common/path.sh
. ../common/path.sh

# print_help: $0 is the script as it was called, from a folder that we have left.
print_help() {
    print_header "local/$(basename "$0")"
    printf '\nOptions (hyphens or underscores; --name value or --name=value):\n'
    print_options "${option_names[@]}"
}

# prepare_corpus MODULE ARGUMENTS: writes data/{train,dev,test}, and what it downloads below downloads/.
prepare_corpus() {
    local module=$1 name values=()
    shift
    read_options local/data.sh
    parse_options "$@"
    need_python "${python:-}"
    for name in "${option_names[@]}"; do
        if [ -n "${!name}" ]; then values+=("--$name=${!name}"); fi
    done
    "$python" -m "data_prep.$module" --out data --downloads downloads "${values[@]}"
}
