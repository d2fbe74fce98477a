# shellcheck shell=bash
# Stages: declared once, run in order, each with a mark that says from what its result was made. Sourced.
#
#     stage 3 train "Train the VQ-VAE" after="format" options="train_config train_args" folder="$exp" makes="$exp"
#     stage_train() { …; }
#     run_stages
#
# after     stages whose results it reads
# options   options that decide its result; where a value names a file, the file's content counts
# files     further inputs, whose content counts (patterns allowed)
# folder    where its mark lies (.done/NAME), and its log (log/NAME.log)
# log       another folder for its log
# makes     what it writes, to be cleared when it was made with other options…
# keeps     …or, being dear, to be set aside under a new name
# always    true for a stage that has no mark: it runs each time and is quick when there is nothing to do
#
# A mark is the text of everything that the result depends on, the hashes of the marks of `after` among it. Equal
# text: done already. Other text: the stage says what changed and runs again, and so does what comes after it. A
# stage that has begun leaves the same text in .done/NAME.begun: found again, the stage goes on where it stood.

declare -A stage_number=() stage_title=() stage_after=() stage_options=() stage_files=() stage_folder=() \
    stage_log=() stage_makes=() stage_keeps=() stage_always=()
stage_names=()

stage() {
    local name=$2 field
    stage_names+=("$name")
    stage_number[$name]=$1
    stage_title[$name]=$3
    shift 3
    for field in "$@"; do printf -v "stage_${field%%=*}[$name]" '%s' "${field#*=}"; done
}

print_stages() {
    local name
    for name in "${stage_names[@]}"; do
        printf '  %2d  %-13s %s\n' "${stage_number[$name]}" "$name" "${stage_title[$name]}"
    done
}

# run_stages FIRST LAST FORCE
run_stages() {
    local name
    for name in "${stage_names[@]}"; do
        if [ "${stage_number[$name]}" -ge "$1" ] && [ "${stage_number[$name]}" -le "$2" ]; then
            run_stage "$name" "$1" "$3"
        fi
    done
}

run_stage() {
    local name=$1 first=$2 force=$3 label mark text
    label="stage ${stage_number[$name]} ($name)"
    if is_skipped "$name"; then echo "$label: skipped, as --skip_$name says"; return; fi
    if [ "${stage_always[$name]:-}" = true ]; then perform "$name" "$label"; return; fi
    mark=$(mark_of "$name")
    check_dependencies "$name" "$label" "$first"
    text=$(fingerprint "$name")
    if [ -f "$mark" ] && says_the_same "$mark" "$text" && [ "$force" = false ]; then
        echo "$label: done already"; return
    fi
    prepare_run "$name" "$label" "$mark" "$text"
    perform "$name" "$label"
    mv "$mark.begun" "$mark"
}

is_skipped() { local -n skip="skip_$1"; [ "${skip:-false}" = true ]; }
mark_of() { printf '%s' "${stage_folder[$1]}/.done/$1"; }

# fingerprint NAME: prints the text of the stage's mark.
fingerprint() {
    local name=$1 option file
    for option in ${stage_options[$name]:-}; do
        local -n value=$option
        printf 'option %s %s%s\n' "$option" "$value" "$(file_hash "$value")"
    done
    for file in ${stage_files[$name]:-}; do printf 'file %s%s\n' "$file" "$(file_hash "$file")"; done
    for option in ${stage_after[$name]:-}; do printf 'after %s%s\n' "$option" "$(file_hash "$(mark_of "$option")")"; done
}

# says_the_same MARK TEXT: whether they differ at most in options without a value, which a newer version may have more of.
says_the_same() { [ "$(sed '/^option [^ ]* $/d' "$1")" = "$(sed '/^option [^ ]* $/d' <<<"$2")" ]; }

# file_hash VALUE: " sha256:…" where VALUE names a file, else nothing.
file_hash() {
    if [ -f "$1" ]; then printf ' sha256:%s' "$(with_bases "$1" | sha256sum | cut -c 1-16)"; fi
}

# with_bases FILE [DEPTH]: prints its content and, of a configuration, that of the files it is laid over, the nearest
# first. A circle of them is told by what reads them.
with_bases() {
    local base=
    cat "$1"
    case $1 in *.yaml) base=$(awk '$1 == "base:" { print $2; exit }' "$1") ;; esac
    base=$(dirname "$1")/$base
    if [ -f "$base" ] && [ "${2:-0}" -lt 9 ]; then with_bases "$base" $((${2:-0} + 1)); fi
}

# check_dependencies NAME LABEL FIRST: what this stage reads must be there, and made with the present options.
check_dependencies() {
    local other mark text
    for other in ${stage_after[$1]:-}; do
        if is_skipped "$other" || [ "${stage_always[$other]:-}" = true ]; then continue; fi
        mark=$(mark_of "$other")
        [ -f "$mark" ] || die "$2 needs stage ${stage_number[$other]} ($other), which is not done." \
            "Start with --stage ${stage_number[$other]}, or give the --tag and folders that it was done with."
        text=$(fingerprint "$other")
        says_the_same "$mark" "$text" || die "$2 needs stage ${stage_number[$other]} ($other), which was done with" \
            "other options: $(changes "$mark" "$text"). Start with --stage ${stage_number[$other]} to do it again, or" \
            "leave it as it is with --skip_$other."
    done
}

# prepare_run NAME LABEL MARK TEXT: clears what was made with other options, and leaves the mark of a stage begun.
prepare_run() {
    local name=$1 label=$2 mark=$3 text=$4 old=$3
    if [ ! -f "$mark" ]; then old=$mark.begun; fi
    if [ -f "$old" ] && ! says_the_same "$old" "$text"; then
        echo "$label: runs again: $(changes "$old" "$text")"
        clear_results "$name" "$label"
    elif [ -f "$old" ] && [ "$old" != "$mark" ]; then
        echo "$label: was interrupted; goes on where it stood"
    fi
    mkdir -p "$(dirname "$mark")"
    printf '%s\n' "$text" >"$mark.begun"
    rm -f "$mark"
}

# changes OLDFILE NEWTEXT: prints what differs, in words.
changes() {
    local kind name value old
    comm -13 <(sort "$1") <(sort <<<"$2") | while read -r kind name value; do
        old=$(sed -n "s|^$kind $name ||p" "$1")
        case $kind in
            option) if [ -z "$old$value" ]; then continue
                elif [ "${old%% sha256:*}" = "${value%% sha256:*}" ]; then echo "the content of $value changed; "
                else echo "--$name was '${old%% sha256:*}' and is '${value%% sha256:*}'; "; fi ;;
            file) echo "$name changed; " ;;
            after) echo "stage ${stage_number[$name]} ($name) was done anew; " ;;
        esac
    done | tr -d '\n' | sed 's/ sha256:[0-9a-f]*//g; s/; $//'
}

clear_results() {
    local path aside
    for path in ${stage_keeps[$1]:-}; do
        if [ ! -e "$path" ]; then continue; fi
        aside=$path.old-$(date +%Y%m%d-%H%M%S)
        echo "$2: what was there is kept as $aside"
        mv "$path" "$aside"
    done
    for path in ${stage_makes[$1]:-}; do rm -rf "$path"; done
}

# perform NAME LABEL: runs stage_NAME; its output goes to the terminal and to its log.
perform() {
    local name=$1 label=$2 log=${stage_log[$1]:-${stage_folder[$1]:-}/log}/$1.log began=$SECONDS
    local interrupted=false status
    echo "$label: ${stage_title[$name]}"
    mkdir -p "$(dirname "$log")"
    # Not `if stage_…`: inside a condition the shell would ignore `set -e` within the stage. With a trap of its own
    # the shell outlives Ctrl-C, which ends the stage, and can say how to go on.
    set +e
    trap 'interrupted=true' INT
    { echo "# $(date -Is) $label"; (set -e; "stage_$name"); } 2>&1 | tee -i -a "$log"
    status=${PIPESTATUS[0]}
    trap - INT
    set -e
    if $interrupted || [ "$status" -eq 130 ] || [ "$status" -eq 143 ]; then
        echo "$label: interrupted after $(elapsed "$began"). The same command goes on where it stands." >&2
        if $interrupted; then exit 130; else exit "$status"; fi
    elif [ "$status" -ne 0 ]; then
        echo "$label: failed after $(elapsed "$began") with exit status $status. Its log: $log" >&2
        exit "$status"
    fi
    echo "$label: done in $(elapsed "$began")"
}

# elapsed SINCE: prints the time since then, SINCE being an earlier $SECONDS.
elapsed() { local s=$((SECONDS - $1)); if [ $s -lt 60 ]; then echo "$s s"; else echo "$((s / 60)) min $((s % 60)) s"; fi; }
