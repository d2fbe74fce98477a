#!/usr/bin/env bash
# The stages of every recipe: data, VQ-VAE, units, prior, speech from them, and scores.
# A recipe's run.sh calls this with its own defaults; see recipes/template.
# shellcheck disable=SC2034   # skip_* are read by name, in stages.sh
set -euo pipefail
# shellcheck source=recipes/common/path.sh
. "$(dirname "${BASH_SOURCE[0]}")/path.sh"
# shellcheck source=recipes/common/stages.sh
. "$root/recipes/common/stages.sh"

# Options.
recipe=                # folder of the recipe; run.sh sets it
stage=0                # first stage to run
stop_stage=11          # last stage to run
force=false            # run these stages even where they are done
nj=0                   # processor cores to use; 0 for all of them
ngpu=                  # 0: the processor alone, 1: the GPU; by default a GPU where there is one
num_nodes=1            # machines to train on; this version trains on one
python=                # interpreter, instead of that of the active environment or of .venv
fs=                    # sample rate of the model, in Hz, instead of that in train_config
min_seconds=0.2        # shorter utterances are rejected
max_rejected_share=0.05  # of utterances; more than this fails
train_config=conf/train_vqvae.yaml  # the VQ-VAE and its training
train_args=            # further options of `vqaudio train`, such as "--set training.max_minutes=60"
prior_config=conf/train_prior.yaml  # the prior and its training
prior_args=            # further options of `vqaudio train-prior`
tag=                   # name of the experiment; by default that of train_config and what train_args change
expdir=exp             # for experiments: models, units, audio, scores
dumpdir=dump           # for audio in the form that training reads
seed=0                 # of everything drawn at random in generation
num_resynthesis=6      # held-out utterances of each speaker to decode from their units
num_conversions=6      # held-out utterances of each speaker to decode in every other voice
num_samples=8          # unconditional utterances to draw
max_seconds=5          # of one generated utterance; held-out utterances are chosen among those not longer
temperature=0.7        # of the waveform's distribution
prior_temperature=1.0  # of the units' distribution
asr=                   # recogniser that counts word errors, such as faster-whisper:FOLDER; see docs/scoring.md
score_args=            # further options of `vqaudio score`
extras=                # extra packages to install in stage 0: eval, which some scores need
skip_setup=false       # use the environment as it is
skip_data=false        # use data/ as it is
skip_format=false      # use the dump folder as it is
skip_train=false       # use the VQ-VAE as it is
skip_extract=false     # leave out stage 4
skip_prior=false       # leave out stage 5
skip_resynthesise=false  # leave out stage 6
skip_convert=false     # leave out stage 7
skip_sample=false      # leave out stage 8
skip_score=false       # leave out stage 9
skip_report=false      # leave out stage 10
# End of options.

main() {
    program=run.sh
    read_options "${BASH_SOURCE[0]}"
    find_recipe "$@"
    declare_stages   # once for --help, and again below with what the options say
    parse_options "$@"
    check_tools
    recall_inputs
    check_options
    name_folders
    declare_stages
    lock_experiments
    asked_python=$python
    # shellcheck source=recipes/common/cmd.sh
    if [ -f cmd.sh ]; then . ./cmd.sh; else . "$root/recipes/common/cmd.sh"; fi
    if [ "$stage" -eq 0 ] && ! $skip_setup; then choose_python "$python"; else need_python "$python"; fi
    run_stages "$stage" "$stop_stage" "$force"
    echo "all stages asked for are done, in $(elapsed 0)"
}

# find_recipe ARGUMENTS: goes to the recipe's folder and adds the options of its local/data.sh to ours.
find_recipe() {
    local name
    [ "${1:-}" = --recipe ] || die "this is not run by itself: bash recipes/asterisk/run.sh --help"
    cd "$2" || exit 2
    common_options=("${option_names[@]}")
    read_options local/data.sh
    data_options=("${option_names[@]:${#common_options[@]}}")
    for name in "${data_options[@]}"; do printf -v "$name" '%s' "${option_default[$name]}"; done
}

print_help() {
    print_header run.sh
    printf '\nStages:\n'; print_stages
    printf '\nOptions (hyphens or underscores; --name value or --name=value):\n'
    print_options "${common_options[@]:1}"
    if [ ${#data_options[@]} -gt 0 ]; then
        printf '\nOptions of this corpus:\n'
        print_options "${data_options[@]}"
    fi
}

# recall_inputs: where the data came from need not be said again. An option of the corpus that has no default keeps
# the value that stage 1 was done with, until another is given.
recall_inputs() {
    local name before
    for name in "${data_options[@]}"; do
        if [ -n "${option_default[$name]}" ] || [[ " ${given_options[*]} " == *" $name "* ]]; then continue; fi
        before=$(sed -n "s/^option $name //p" data/.done/data 2>/dev/null) || continue
        printf -v "$name" '%s' "${before%% sha256:*}"
        if [ -n "$before" ]; then echo "--$name ${before%% sha256:*}, as before"; fi
    done
}

# check_options: refuses what this version cannot do, and finds files named from where the user stands.
check_options() {
    local name
    [ "${ngpu:-0}" -le 1 ] 2>/dev/null || die "--ngpu $ngpu: this version trains on one GPU, or on the processor" \
        "alone (--ngpu 0)."
    [ "$num_nodes" -eq 1 ] || die "--num_nodes $num_nodes: this version trains on one machine."
    [ "$stage" -le "$stop_stage" ] || die "--stage $stage comes after --stop_stage $stop_stage: nothing to do"
    case $expdir$dumpdir$tag in *[[:space:]]*) die "--expdir, --dumpdir and --tag must be without blanks" ;; esac
    if [ "$nj" -eq 0 ]; then nj=$(nproc); fi
    for name in "${given_options[@]}"; do
        case $name in *_config|*_dir|*_table|python) from_caller "$name" ;; esac
    done
    for name in train_config prior_config; do
        [ -f "${!name}" ] || die "--$name: there is no file '${!name}'; the recipe has $(echo conf/*.yaml)"
    done
    if [ -z "$fs" ]; then fs=$(awk '$1 == "sample_rate:" { print $2; exit }' "$train_config"); fi
    [[ $fs =~ ^[0-9]{4,6}$ ]] || die "--fs: got '$fs', expected a sample rate in Hz, such as 8000 or 16000"
    device=$(case $ngpu in "") echo auto ;; 0) echo cpu ;; *) echo cuda ;; esac)
}

# from_caller NAME: a path that leads nowhere from the recipe's folder may lead somewhere from the user's.
from_caller() {
    local -n path=$1
    if [ ! -e "$path" ] && [ -e "$caller/$path" ]; then path=$caller/$path; fi
}

# name_folders: the experiment is named after the configuration, what train_args change in it, and the rate.
name_folders() {
    if [ -z "$tag" ]; then
        tag=$(basename "${train_config%.*}")
        tag=${tag#train_}$(sed 's/--set//g; s/[^A-Za-z0-9.=_-]\{1,\}/_/g; s/_$//; s/=//g' <<<"$train_args")
        tag=${tag}_$((fs / 1000))k
    fi
    dump=$dumpdir/$((fs / 1000))k
    exp=$expdir/$tag
}

declare_stages() {
    local exp=${exp:-} dump=${dump:-}
    stage_names=()
    stage 0 setup "Make the Python environment" always=true log="$expdir/log"
    stage 1 data "Fetch and prepare the data" folder=data log="$expdir/log" options="${data_options[*]}"
    stage 2 format "Check the audio and bring it to one rate" folder="$dump" log="$expdir/log" after=data \
        options="fs min_seconds max_rejected_share" files="$(echo data/{train,dev,test}/{wav.scp,utt2spk,segments})"
    stage 3 train "Train the VQ-VAE" folder="$exp" after=format options="train_config train_args" keeps="$exp"
    stage 4 extract "Turn every utterance into units" folder="$exp" after="format train" makes="$exp/units"
    stage 5 prior "Train the prior over units" folder="$exp" after="extract" options="prior_config prior_args" \
        keeps="$exp/prior"
    stage 6 resynthesise "Decode held-out utterances from their units" folder="$exp" after="train extract" \
        options="num_resynthesis max_seconds temperature seed" makes="$exp/resynthesis"
    stage 7 convert "Decode held-out utterances in other voices" folder="$exp" after="train extract" \
        options="num_conversions max_seconds temperature seed" makes="$exp/conversion"
    stage 8 sample "Draw speech from prior and decoder alone" folder="$exp" after="train prior" \
        options="num_samples max_seconds temperature prior_temperature seed" makes="$exp/samples"
    stage 9 score "Score units, reconstructions, conversions and prior" folder="$exp" \
        after="train extract prior resynthesise convert" options="seed asr score_args"
    stage 10 report "Write the listening report" folder="$exp" after="score convert sample"
    stage 11 summary "Say where to look and listen" always=true folder="$exp"
}

# lock_experiments: two runs must not write the same folders at a time.
lock_experiments() {
    mkdir -p "$expdir"
    if ! command -v flock >/dev/null; then return; fi
    exec 9>"$expdir/.lock"
    flock -n 9 || die "another run is at work in $PWD/$expdir; wait for its end, or give another --expdir"
}

stage_setup() {
    bash "$root/recipes/common/setup.sh" ${asked_python:+--python "$asked_python"} ${extras:+--extras "$extras"}
}

stage_data() {
    local name values=()
    for name in "${data_options[@]}"; do values+=("--$name=${!name}"); done
    bash local/data.sh "${values[@]}"
}

stage_format() {
    local part
    for part in train dev test; do
        $job_cmd "$python" -m vqaudio data format --data_dir "data/$part" --out "$dump/$part" --sample_rate "$fs" \
            --min_seconds "$min_seconds" --max_rejected_share "$max_rejected_share" --jobs "$nj"
        carry_tables "data/$part" "$dump/$part"
    done
}

# carry_tables FROM TO: the corpus's own tables, for the utterances that are left.
carry_tables() {
    local name
    for name in utt2lang phones.ctm; do
        if [ -f "$1/$name" ]; then
            awk 'NR == FNR { kept[$1]; next } $1 in kept' "$2/utt2spk" "$1/$name" >"$2/$name"
        fi
    done
}

# shellcheck disable=SC2086   # the *_args and *_cmd are lists of words
stage_train() {
    $train_cmd "$python" -m vqaudio train --config "$train_config" --train_dir "$dump/train" --dev_dir "$dump/dev" \
        --expdir "$exp" --set "model.sample_rate=$fs" --resume auto --device "$device" --threads "$nj" $train_args
    $job_cmd "$python" -m vqaudio check-precision --model "$exp/model" --data_dir "$dump/dev" --max_seconds 60 \
        --device "$device" --threads "$nj"
}

stage_extract() {
    local part
    for part in train dev test; do
        $job_cmd "$python" -m vqaudio extract --model "$exp/model" --data_dir "$dump/$part" --out "$exp/units/$part" \
            --device "$device" --threads "$nj"
    done
}

# shellcheck disable=SC2086
stage_prior() {
    $train_cmd "$python" -m vqaudio train-prior --config "$prior_config" --vqvae "$exp/model" \
        --train_units "$exp/units/train" --train_dir "$dump/train" --dev_units "$exp/units/dev" \
        --dev_dir "$dump/dev" --expdir "$exp/prior" --resume auto --device "$device" --threads "$nj" $prior_args
}

stage_resynthesise() {
    local out=$exp/resynthesis chosen=$exp/resynthesis/chosen
    choose_utterances "$num_resynthesis" "$out"
    awk 'NR == FNR { wanted[$1]; next } $1 in wanted' "$chosen/utt2spk" "$exp/units/test/units.txt" >"$chosen/units.txt"
    cp "$exp/units/test/units.json" "$chosen"
    $job_cmd "$python" -m vqaudio decode --model "$exp/model" --units "$chosen" --utt2spk "$chosen" \
        --natural "$chosen" --out "$out" --temperature "$temperature" --seed "$seed" --device "$device" --threads "$nj"
}

stage_convert() {
    local out=$exp/conversion
    if [ "$(wc -l <"$dump/train/spk2utt")" -eq 1 ]; then echo "one speaker alone: no other voice"; return; fi
    choose_utterances "$num_conversions" "$out"
    $job_cmd "$python" -m vqaudio convert --model "$exp/model" --input "$out/chosen" --speaker all --out "$out" \
        --temperature "$temperature" --seed "$seed" --device "$device" --threads "$nj"
}

# choose_utterances N OUT: makes OUT/chosen, a data directory of N held-out utterances of each speaker, of 1 s to
# max_seconds, spread evenly over the speaker's list; and copies them to OUT/<utterance>.original.wav.
choose_utterances() {
    local out=$2 id
    mkdir -p "$out"
    awk -v wanted="$1" -v longest="$max_seconds" '
        NR == FNR { speaker[$1] = $2; next }
        $2 >= 1 && $2 <= longest { s = speaker[$1]; id[s, count[s]++] = $1 }
        END {
            for (s in count) {
                n = wanted < count[s] ? wanted : count[s]
                for (i = 0; i < n; i++) print id[s, int((i + 0.5) * count[s] / n)]
            }
        }
    ' "$dump/test/utt2spk" "$dump/test/utt2dur" | sort >"$out/ids"
    [ -s "$out/ids" ] || die "none of $dump/test lasts 1 s to --max_seconds $max_seconds"
    "$python" -m vqaudio data subset --data_dir "$dump/test" --utterances "$out/ids" --out "$out/chosen"
    while read -r id; do cp "$dump/test/wavs/$id.wav" "$out/$id.original.wav"; done <"$out/ids"
    rm "$out/ids"
}

stage_sample() {
    $job_cmd "$python" -m vqaudio sample --model "$exp/model" --prior "$exp/prior/model" --out "$exp/samples" \
        --num "$num_samples" --max_seconds "$max_seconds" --temperature "$temperature" \
        --prior_temperature "$prior_temperature" --seed "$seed" --device "$device" --threads "$nj"
}

# shellcheck disable=SC2086
stage_score() {
    $job_cmd "$python" -m vqaudio score "$exp" --data_dir "$dump/test" --train_dir "$dump/train" \
        ${asr:+--asr "$asr"} --sample_seconds "$max_seconds" --seed "$seed" --device "$device" --threads "$nj" \
        $score_args
}

stage_report() { $job_cmd "$python" -m vqaudio report "$exp" --data_dir "$dump/test"; }

stage_summary() {
    local at all
    at=$(from_here "$exp") all=$(from_here "$expdir")
    cat <<END

Scores                       $at/RESULTS.md
Scores, pictures and sound   $at/report.html
Listen: held-out utterances  $at/resynthesis/  (each beside its original)
        in other voices      $at/conversion/
        from the prior alone $at/samples/
Units of every utterance     $at/units/{train,dev,test}/units.txt
Models                       $at/model, $at/prior/model
TensorBoard                  $python -m tensorboard.main --logdir $all
END
}

# from_here PATH: prints a path of the recipe's as it is called from the user's folder.
from_here() { case $1 in /*) echo "$1" ;; *) echo "${PWD#"$caller"/}/$1" ;; esac; }

caller=$PWD
main "$@"
