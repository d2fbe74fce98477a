# shellcheck shell=bash
# Options of the recipe scripts. Sourced.
#
# A script lists its options as plain assignments between two marks; the comment is what --help says:
#
#     # Options.
#     nj=4                # processor cores to use
#     skip_train=false    # leave out the training
#     # End of options.
#
#     . parse_options.sh
#     read_options "${BASH_SOURCE[0]}"
#     parse_options "$@"
#
# Every variable of the block, and no other, is then an option: --nj 8, --nj=8, --skip-train, --skip_train true.
# A default of true or false makes a switch and a whole number asks for a whole number; anything else is text.

declare -A option_default=() option_help=()   # by name
option_names=()                               # in the order of their definition
given_options=()                              # the names that the command line set

program=$(basename "$0")                      # how messages call the script

die() { echo "$program: $*" >&2; exit 2; }

# read_options FILE: adds the options that FILE's block defines. Two blocks may not define the same one.
read_options() {
    local line name="" inside=false
    while IFS= read -r line; do
        case $line in
            "# Options.") inside=true; continue ;;
            "# End of options.") inside=false ;;
        esac
        if ! $inside; then continue; fi
        if [[ $line =~ ^([a-z][a-z0-9_]*)=([^#]*)(#(.*))?$ ]]; then
            name=${BASH_REMATCH[1]}
            [[ ! -v "option_default[$name]" ]] || die "$1: the option $name is defined twice"
            option_names+=("$name")
            option_default[$name]=$(trim "${BASH_REMATCH[2]}" | tr -d "\"'")
            option_help[$name]=$(trim "${BASH_REMATCH[4]:-}")
        elif [[ $line =~ ^[[:space:]]+#(.*)$ ]]; then
            option_help[$name]+=" $(trim "${BASH_REMATCH[1]}")"
        fi
    done <"$1"
}

trim() { local text=${1#"${1%%[![:space:]]*}"}; printf '%s' "${text%"${text##*[![:space:]]}"}"; }

# parse_options ARGUMENTS: sets a variable for each option given, and lists its name in given_options.
parse_options() {
    local name value has_value
    while [ $# -gt 0 ]; do
        case $1 in
            -h|--help) print_help; exit 0 ;;
            --*=*) name=${1%%=*}; value=${1#*=}; has_value=true ;;
            --?*) name=$1; has_value=false ;;
            *) die "unexpected argument '$1'. Options begin with '--'; --help lists them." ;;
        esac
        name=${name#--}; name=${name//-/_}
        [[ -v "option_default[$name]" ]] || die "unknown option '${1%%=*}'.$(suggest "$name") --help lists them all."
        shift
        if ! $has_value; then
            if is_switch "$name" && [[ ! ${1:-} =~ ^(true|false)$ ]]; then
                value=true
            else
                take_value "$name" "$@"
                value=$1; shift
            fi
        fi
        check_value "$name" "$value"
        printf -v "$name" '%s' "$value"
        given_options+=("$name")
    done
}

is_switch() { [[ ${option_default[$1]} =~ ^(true|false)$ ]]; }

# take_value NAME [REST...]: refuses a missing value. Only --*_args may be followed by what looks like an option.
take_value() {
    [ $# -ge 2 ] || die "--$1 needs a value: --$1 VALUE or --$1=VALUE"
    [[ $2 != --* || $1 == *_args ]] || die "--$1 needs a value, got the option '$2'. (If it is meant: --$1='$2'.)"
}

check_value() {
    local expected=
    if [[ $1 != *_args ]] && ! is_line "$2"; then
        expected="a line of UTF-8 without control characters"
    elif is_switch "$1"; then
        [[ $2 =~ ^(true|false)$ ]] || expected="true or false"
    elif [[ ${option_default[$1]} =~ ^[0-9]+$ ]]; then
        [[ $2 =~ ^[0-9]+$ ]] || expected="a whole number"
    fi
    [ -z "$expected" ] || die "--$1: got '$2', expected $expected"
}

# is_line TEXT: whether it is what tables, marks and TensorBoard take for a name.
is_line() {
    if [[ $1 == *[[:cntrl:]]* ]]; then return 1; fi
    if [[ $1 != *[^\ -~]* ]] || ! command -v iconv >/dev/null; then return; fi
    iconv -f UTF-8 -t UTF-8 <<<"$1" >/dev/null 2>&1
}

# suggest NAME: " Did you mean …?" with the nearest options, or nothing where none is near (or Python is absent).
suggest() {
    python3 - "$1" "${option_names[@]}" 2>/dev/null <<'PYTHON' || true
import difflib, sys
near = difflib.get_close_matches(sys.argv[1], sys.argv[2:], n=2, cutoff=0.5)
if near:
    print(" Did you mean " + " or ".join(f"'--{name}'" for name in near) + "?", end="")
PYTHON
}

# print_header FILE: the comment at the top of a script, without its marks.
print_header() { awk 'NR > 1 { if (!/^#/) exit; if (/^# shellcheck/) next; sub(/^# ?/, ""); print }' "$1"; }

# print_options NAMES: one line per option, with its value as it is now.
print_options() {
    local name value
    for name in "$@"; do
        value=${!name}
        if is_switch "$name"; then value=""; fi
        printf '  --%-22s %s%s\n' "$name" "${option_help[$name]}" "${value:+ ($value)}"
    done
}

# print_help: a script may define its own.
print_help() {
    print_header "$0"
    printf '\nOptions (hyphens or underscores; --name value or --name=value):\n'
    print_options "${option_names[@]}"
}
