#!/usr/bin/env bash
# Has the recipes of several corpora prepare theirs, and writes data/{train,dev,test} with the utterances of all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=recipes/common/path.sh
. ../common/path.sh

# Options.
corpora="asterisk tuxpaint speechocean762"  # recipes whose corpora are joined
asterisk_dir=          # a copy of Asterisk's sounds that you have; nothing is downloaded then
tuxpaint_dir=          # a copy of Tux Paint's stamps that you have
speechocean762_dir=    # a copy of speechocean762, or a Kaldi data directory of a part
# End of options.

read_options local/data.sh
parse_options "$@"
need_python "${python:-}"

declare -A copy=([asterisk]=$asterisk_dir [tuxpaint]=$tuxpaint_dir [speechocean762]=$speechocean762_dir)
for corpus in $corpora; do
    [ -f "../$corpus/local/data.sh" ] || die "--corpora: there is no recipe '$corpus'"
    option=--corpus_dir
    if [ "$corpus" = asterisk ]; then option=--asterisk_dir; fi
    python=$python bash "../$corpus/local/data.sh" ${copy[$corpus]:+"$option=${copy[$corpus]}"}
done
for part in train dev test; do
    parts=()
    for corpus in $corpora; do parts+=("../$corpus/data/$part"); done
    "$python" -m vqaudio data combine "${parts[@]}" --out "data/$part"
    # Which utterances are in which language, where that is known: `combine` joins what every corpus has.
    languages=("${parts[@]/%//utt2lang}")
    cat "${languages[@]}" 2> /dev/null | LC_ALL=C sort > "data/$part/utt2lang" || true
    [ -s "data/$part/utt2lang" ] || rm "data/$part/utt2lang"
done
