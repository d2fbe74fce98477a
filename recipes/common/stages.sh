# shellcheck shell=bash
# Stages: declared once, run in order, each with a mark that says from what its result was made. Sourced.
#
#     stage 3 train "Train the VQ-VAE" after="format" options="train_config train_args" folder="$exp" makes="$exp"
#     stage_train() { …; }
#     run_stages
#
# after     stages whose results it reads
# options   options that decide its result; where a value names a file, the file's content counts
# files     further inputs, whose content counts, one a line
# folder    where its mark lies (.done/NAME), and its log (log/NAME.log)
# log       another folder for its log
# makes     what it writes, one path a line, to be cleared when it was made with other options…
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
    if is_done "$name" "$text" && [ "$force" = false ]; then
        echo "$label: done already"; return
    fi
    prepare_run "$name" "$label" "$mark" "$text"
    perform "$name" "$label"
    mv "$mark.begun" "$mark"
}

is_skipped() { local -n skip="skip_$1"; [ "${skip:-false}" = true ]; }
is_done() { [ -f "$(mark_of "$1")" ] && says_the_same "$(mark_of "$1")" "$2"; }
mark_of() { printf '%s' "${stage_folder[$1]}/.done/$1"; }

# fingerprint NAME: prints the text of the stage's mark.
fingerprint() {
    local name=$1 option file
    for option in ${stage_options[$name]:-}; do
        local -n value=$option
        printf 'option %s %s%s\n' "$option" "${value//$'\n'/ }" "$(file_hash "$value")"
    done
    while IFS= read -r file; do
        if [ -n "$file" ]; then printf 'file %s%s\n' "$file" "$(file_hash "$file")"; fi
    done <<<"${stage_files[$name]:-}"
    for option in ${stage_after[$name]:-}; do printf 'after %s%s\n' "$option" "$(file_hash "$(mark_of "$option")")"; done
}

# said_in MARK WORDS: prints the rest of the first line of a mark that begins with these words; fails where none does.
said_in() {
    local line
    while IFS= read -r line; do
        if [[ $line == "$2 "* ]]; then printf '%s' "${line#"$2 "}"; return; fi
    done <"$1"
    return 1
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
    cat <"$1"
    case $1 in *.yaml) base=$(awk '$1 == "base:" { print $2; exit }' <"$1") ;; esac
    base=$(dirname -- "$1")/$base
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
        old=$(said_in "$1" "$kind $name" || true)
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
    while IFS= read -r path; do
        if [ ! -e "$path" ]; then continue; fi
        aside=$path.old-$(date +%Y%m%d-%H%M%S)
        echo "$2: what was there is kept as $aside"
        mv -- "$path" "$aside"
    done <<<"${stage_keeps[$1]:-}"
    while IFS= read -r path; do
        if [ -n "$path" ]; then rm -rf -- "$path"; fi
    done <<<"${stage_makes[$1]:-}"
}

# perform NAME LABEL: runs stage_NAME; its output goes to the terminal and to its log.
perform() {
    local name=$1 label=$2 log=${stage_log[$1]:-${stage_folder[$1]:-}/log}/$1.log began=$SECONDS
    local heard="" status=""
    echo "$label: ${stage_title[$name]}"
    mkdir -p "$(dirname "$log")"
    in_a_group write_log "$name" "$label" "$log"   # in no condition: within it `set -e` would mean nothing
    if [ -n "$heard" ] || [ "$status" -eq 130 ] || [ "$status" -eq 143 ]; then
        echo "$label: interrupted after $(elapsed "$began"). The same command goes on where it stands." >&2
        exit "${heard:-$status}"
    elif [ "$status" -ne 0 ]; then
        echo "$label: failed after $(elapsed "$began") with exit status $status. Its log: $log" >&2
        exit "$status"
    fi
    echo "$label: done in $(elapsed "$began")"
}

# write_log NAME LABEL LOG: runs the stage; what it says goes to its log too, to the end.
write_log() {
    set +e
    (end_when_told; echo "# $(date -Is) $2"; set -e; "stage_$1") 2>&1 | (trap '' INT TERM HUP; exec tee -a -- "$3")
    exit "${PIPESTATUS[0]}"
}

# end_when_told: a shell that is sent a signal ends after the command that it waits for, which is sent the same.
end_when_told() { trap 'exit 130' INT; trap 'exit 143' TERM; trap 'exit 129' HUP; }

# in_a_group COMMAND...: runs it as a group of processes, and passes signals on to all of them, a terminal's Ctrl-C
# among them: whoever signals this shell alone (kill, timeout, systemd) ends what it has started, too. Sets `status`
# to its exit status, and `heard` to that which a signal asks for. Should this shell be killed, a guard ends the group.
# shellcheck disable=SC2154   # guard_PID is coproc's
in_a_group() {
    local group=""
    trap 'pass_on INT 130' INT; trap 'pass_on TERM 143' TERM; trap 'pass_on HUP 129' HUP
    set -m   # gives what is in the background a group of its own
    coproc guard { end_orphans 2>/dev/null; }
    (set +m; end_when_told; "$@") </dev/null &
    group=$!
    set +m
    echo "$group" >&"${guard[1]}"
    if [ -n "$heard" ]; then kill -TERM -- "-$group"; fi   # before there was anything to pass it on to
    await "$group"
    if [ -n "$heard" ]; then kill -KILL -- "-$group" 2>/dev/null || true; fi
    trap - INT TERM HUP
    echo ended >&"${guard[1]}"
    wait "$guard_PID" || true
}

# pass_on SIGNAL STATUS: of the `group` of in_a_group.
pass_on() {
    heard=$2 signalled=true
    if [ -n "$group" ]; then kill -s "$1" -- "-$group" 2>/dev/null || true; fi
}

# await PROCESS: waits for its end, signals or not, and sets `status`.
await() {
    local signalled=true
    while [ -n "$signalled" ]; do
        signalled=
        wait "$1" && status=0 || status=$?
    done
}

# end_orphans: reads the number of a group, and a second line when that has ended. No second line: nobody is left to
# write one.
end_orphans() {
    local group
    trap '' INT TERM HUP
    read -r group && { read -r || kill -TERM -- "-$group"; }
}

# elapsed SINCE: prints the time since then, SINCE being an earlier $SECONDS.
elapsed() { local s=$((SECONDS - $1)); if [ $s -lt 60 ]; then echo "$s s"; else echo "$((s / 60)) min $((s % 60)) s"; fi; }
