# shellcheck shell=bash disable=SC2154
# Two runs must not write the same folders at a time. Sourced.
#
#     $expdir/.lock     held by the run that is at work there, to its end
#     $dumpdir/.dump.lock    held by the run that prepares data, and beside each other by those that read it
#     .data.lock        the same, of data/: not in it, since that folder may be set aside
#
# The locks are the kernel's: they go with the run and what it has started, however that ends. What the files say, they
# say for people.

data_locks=()   # descriptors

# lock_folders: takes the locks, or says who has them, before anything is written.
lock_folders() {
    local file fd
    mkdir -p "$expdir" "$dumpdir"
    take_lock "$expdir/.lock" -x "$expdir" "give another --expdir"
    for file in .data.lock "$dumpdir/.dump.lock"; do
        if data_is_ready && [ "$force" = false ]; then
            take_lock "$file" -s "data/ or $dumpdir" "try again then"
        else
            take_lock "$file" -x "data/ or $dumpdir" "have it prepare the data first"
        fi
        data_locks+=("$fd")
    done
}

# data_is_ready: whether stages 1 and 2, as far as they are asked for, have nothing to do.
data_is_ready() {
    local name
    for name in data format; do
        if [ "${stage_number[$name]}" -ge "$stage" ] && [ "${stage_number[$name]}" -le "$stop_stage" ] &&
            ! is_skipped "$name" && ! is_done "$name" "$(fingerprint "$name")"; then return 1; fi
    done
}

# share_data: lets others read what is prepared now.
share_data() {
    local fd
    for fd in "${data_locks[@]}"; do lock "$fd" -s || true; done
}

# take_lock FILE KIND WHERE ELSE: sets `fd`; ends the script where another run holds the lock.
take_lock() {
    local status=0
    exec {fd}<>"$1"
    lock "$fd" "$2" || status=$?
    if [ "$status" -eq 1 ]; then
        die "another run is at work in $3: $(holder <"$1"). Wait for its end, or $4"
    elif [ "$status" -ne 0 ]; then
        echo "warning: $1 cannot be locked; take care that no other run works in $3" >&2
    fi
    echo "process $$ on ${HOSTNAME:-this machine}, since $(date '+%F %T')" >"$1"
}

holder() { sed -n 1p | grep . || echo "a process that has not said which"; }

# lock DESCRIPTOR KIND: takes the lock of an open file, -x for one alone, -s beside others of this kind; or fails with
# status 1 where another process has it.
lock() {
    if command -v flock >/dev/null; then
        flock -n "$2" "$1"
    else
        "$(find_python)" - "$@" <<'PYTHON'
import fcntl, sys
try:
    fcntl.flock(int(sys.argv[1]), fcntl.LOCK_NB | (fcntl.LOCK_SH if sys.argv[2] == "-s" else fcntl.LOCK_EX))
except BlockingIOError:
    sys.exit(1)
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
PYTHON
    fi
}
