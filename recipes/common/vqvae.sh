#!/usr/bin/env bash
# The stages of every recipe: data, VQ-VAE, units, prior, speech from them, and scores.
# A recipe's run.sh calls this with its own defaults; see recipes/template.
# shellcheck disable=SC2034   # skip_* are read by name, in stages.sh
set -euf -o pipefail   # -f: a list of words is not a pattern of file names
# shellcheck source=recipes/common/path.sh
. "$(dirname "${BASH_SOURCE[0]}")/path.sh"
# shellcheck source=recipes/common/stages.sh
. "$root/recipes/common/stages.sh"
# shellcheck source=recipes/common/locks.sh
. "$root/recipes/common/locks.sh"
# shellcheck source=recipes/common/vqvae_stages.sh
. "$root/recipes/common/vqvae_stages.sh"

# Options.
recipe=                # folder of the recipe; run.sh sets it
stage=0                # first stage to run
stop_stage=12          # last stage to run
force=false            # run these stages even where they are done
nj=0                   # processor cores to use, by each job; 0 for all of them
ngpu=                  # GPUs to train on, of each machine; 0: the processor alone; by default one where there is one
num_nodes=1            # machines to train on
cmd_backend=local      # where jobs run: local, slurm or ssh; see docs/clusters.md
num_jobs=1             # jobs that extraction, decoding and scoring are divided into
python=                # interpreter, instead of that of the active environment or of .venv
fs=                    # sample rate of the model, in Hz, instead of that in train_config
min_seconds=0.2        # shorter utterances are rejected
level_db=              # bring each utterance to this RMS of its loud parts, in dB re full scale; by default as it is
max_rejected_share=0.05  # of utterances; more than this fails
max_train_hours=       # train on so much of the training set, drawn at random, instead of all
preset=                # units or codec: the configurations of docs/presets.md for this machine, not those below
train_config=conf/train_vqvae.yaml  # the VQ-VAE and its training; see choose_configs
train_args=            # further options of `vqaudio train`, such as "--set training.max_minutes=60"
prior_config=conf/train_prior.yaml  # the prior and its training
prior_args=            # further options of `vqaudio train-prior`
tag=                   # name of the experiment; by default that of train_config and what train_args change
expdir=exp             # for experiments: models, units, audio, scores
dumpdir=dump           # for audio in the form that training reads
seed=0                 # of everything drawn at random in generation
num_resynthesis=6      # held-out utterances of each speaker to decode from their units
num_conversions=6      # held-out utterances of each speaker to decode in other voices
max_utterances=24      # of these at most so many in all, spread over the speakers
num_voices=4           # other voices to convert to
num_samples=8          # unconditional utterances to draw
max_seconds=5          # of one generated utterance; held-out utterances are chosen among those not longer
temperature=0.7        # of the waveform's distribution
prior_temperature=1.0  # of the units' distribution
asr=                   # recogniser that counts word errors, such as faster-whisper:FOLDER; see docs/scoring.md
score_args=            # further options of `vqaudio score`
eval_sets=             # further data directories below data/, of any speakers: turned into units and scored
eval_speaker=          # voice that max_utterances of theirs are converted to; by default the first one
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
skip_eval=false        # leave out stage 10
skip_report=false      # leave out stage 11
# End of options.

main() {
    program=run.sh
    read_options "${BASH_SOURCE[0]}"
    find_recipe "$@"
    declare_stages   # once for --help, and again below with what the options say
    parse_options "$@"
    check_tools
    recall_inputs
    choose_configs
    check_options
    name_folders
    declare_stages
    lock_folders
    asked_python=$python
    if [ "$stage" -eq 0 ] && ! $skip_setup; then choose_python "$python"; else need_python "$python"; fi
    # shellcheck source=recipes/common/cmd.sh
    if [ -f cmd.sh ]; then . ./cmd.sh; else . "$root/recipes/common/cmd.sh"; fi
    run_stages "$stage" "$((stop_stage < 2 ? stop_stage : 2))" "$force"
    share_data
    run_stages "$((stage > 3 ? stage : 3))" "$stop_stage" "$force"
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
        if [ ! -f data/.done/data ]; then return; fi
        before=$(said_in data/.done/data "option $name") || continue
        printf -v "$name" '%s' "${before%% sha256:*}"
        if [ -n "$before" ]; then echo "--$name ${before%% sha256:*}, as before"; fi
    done
}

# choose_configs: takes the preset asked for, or, of the recipe's own configurations, those for what the machine has:
# conf/train_vqvae_accelerator.yaml or conf/train_vqvae_two_cores.yaml in place of conf/train_vqvae.yaml, where there
# is one; and likewise for the prior.
choose_configs() {
    local machine=two_cores name own
    if has_gpu; then machine=accelerator; fi
    if [ -n "$preset" ]; then
        case $preset in units|codec) ;; *) die "--preset: got '$preset', expected units or codec" ;; esac
        for name in train_config prior_config; do
            case ${!name} in conf/train_vqvae.yaml|conf/train_prior.yaml) ;;
                *) die "--preset $preset and --$name ${!name}: give one of the two" ;;
            esac
        done
        train_config=../common/conf/${preset}_$machine.yaml
        prior_config=../common/conf/prior_${preset}_$machine.yaml
    else
        for name in train_config prior_config; do
            case ${!name} in conf/train_vqvae.yaml|conf/train_prior.yaml) ;; *) continue ;; esac
            own=${!name%.yaml}_$machine.yaml
            if [ -f "$own" ]; then printf -v "$name" '%s' "$own"; fi
        done
    fi
    echo "configurations: $train_config, $prior_config"
}

# has_gpu: whether to train on GPUs: as asked for, or where there is one.
has_gpu() {
    if [ -n "$ngpu" ]; then [ "$ngpu" != 0 ]; else nvidia-smi -L >/dev/null 2>&1; fi
}

# check_options: refuses what this version cannot do, and finds files named from where the user stands.
check_options() {
    local name
    [[ ${ngpu:-0} =~ ^[0-9]+$ ]] || die "--ngpu: got '$ngpu', expected a number of GPUs, or 0 for the processor alone"
    [ "$num_nodes" -ge 1 ] && [ "$num_jobs" -ge 1 ] || die "--num_nodes $num_nodes, --num_jobs $num_jobs: expected at" \
        "least 1 of each"
    [ "$num_nodes" -eq 1 ] || [ "$cmd_backend" != local ] || die "--num_nodes $num_nodes: --cmd_backend local runs on" \
        "this machine alone; give slurm or ssh"
    case $cmd_backend in local|slurm|ssh) ;; *) die "--cmd_backend: got '$cmd_backend', expected local, slurm or ssh" ;; esac
    [ "$stage" -le "$stop_stage" ] || die "--stage $stage comes after --stop_stage $stop_stage: nothing to do"
    for name in $eval_sets; do
        [[ $name != */* && $name != [.-]* ]] || die "--eval_sets: got '$name', expected names of folders in data/"
    done
    for name in expdir dumpdir train_config prior_config; do plain_path "$name"; done
    if [ "$nj" -eq 0 ] && [ "$cmd_backend" != local ]; then
        die "--cmd_backend $cmd_backend: give --nj too, the processor cores of each job; this machine's are not theirs"
    fi
    if [ "$nj" -eq 0 ]; then nj=$(nproc); fi
    for name in "${given_options[@]}"; do
        case $name in *_config|*_dir|*_table|python) from_caller "$name" ;; esac
    done
    for name in train_config prior_config; do
        [ -f "${!name}" ] || die "--$name: there is no file '${!name}'; the recipe has $(set +f; echo conf/*.yaml)"
    done
    if [ -z "$fs" ]; then fs=$(with_bases "$train_config" | awk '$1 == "sample_rate:" { print $2; exit }'); fi
    [[ $fs =~ ^[0-9]{4,6}$ ]] || die "--fs: got '$fs', expected a sample rate in Hz, such as 8000 or 16000"
    device=$(case $ngpu in "") echo auto ;; 0) echo cpu ;; *) echo cuda ;; esac)
}

# from_caller NAME: a path that leads nowhere from the recipe's folder may lead somewhere from the user's.
from_caller() {
    local -n path=$1
    if [ ! -e "$path" ] && [ -e "$caller/$path" ]; then path=$caller/$path; fi
}

# plain_path NAME: begins a relative path of unusual characters with './', so that no program takes it for an option
# (-x), an assignment (a=b) or an address (a:b).
plain_path() {
    local -n path=$1
    if [[ $path == [^/]* && $path == *[^A-Za-z0-9._/]* ]]; then path=./$path; fi
}

# name_folders: the experiment is named after the configuration, what train_args change in it, and the rate.
name_folders() {
    if [ -z "$tag" ]; then
        tag=$(basename -- "${train_config%.*}")
        tag=${tag#train_}$(sed 's/--set//g; s/[^A-Za-z0-9.=_-]\{1,\}/_/g; s/_$//; s/=//g' <<<"${train_args//$'\n'/ }")
        tag=${tag}_$((fs / 1000))k
    fi
    case $tag in */*|.|..) die "--tag: got '$tag', expected a name; --expdir says in which folder" ;; esac
    [ "$(printf '%s' "$tag" | wc -c)" -le 200 ] || die "the experiment's name, '$tag', is too long; --tag gives another"
    dump=$dumpdir/$((fs / 1000))k
    exp=$expdir/$tag
}

declare_stages() {
    local exp=${exp:-} dump=${dump:-}
    stage_names=()
    stage 0 setup "Make the Python environment" always=true log="$expdir/log"
    stage 1 data "Fetch and prepare the data" folder=data keeps=data log="$expdir/log" options="${data_options[*]}"
    stage 2 format "Check the audio and bring it to one rate" folder="$dump" log="$expdir/log" after=data \
        options="fs min_seconds level_db max_rejected_share max_train_hours" \
        files="$(printf '%s\n' data/{train,dev,test}/{wav.scp,utt2spk,segments})"
    stage 3 train "Train the VQ-VAE" folder="$exp" after=format options="train_config train_args" keeps="$exp"
    stage 4 extract "Turn every utterance into units" folder="$exp" after="format train" makes="$exp/units"
    stage 5 prior "Train the prior over units" folder="$exp" after="extract" options="prior_config prior_args" \
        keeps="$exp/prior"
    stage 6 resynthesise "Decode held-out utterances from their units" folder="$exp" after="train extract" \
        options="num_resynthesis max_utterances max_seconds temperature seed" makes="$exp/resynthesis"
    stage 7 convert "Decode held-out utterances in other voices" folder="$exp" after="train extract" \
        options="num_conversions max_utterances num_voices max_seconds temperature seed" makes="$exp/conversion"
    stage 8 sample "Draw speech from prior and decoder alone" folder="$exp" after="train prior" \
        options="num_samples max_seconds temperature prior_temperature seed" makes="$exp/samples"
    stage 9 score "Score units, reconstructions, conversions and prior" folder="$exp" \
        after="train extract prior resynthesise convert" options="seed asr score_args"
    stage 10 eval "Score further sets of utterances" folder="$exp" after="format train score" \
        options="eval_sets eval_speaker fs min_seconds level_db max_utterances max_seconds temperature seed asr score_args" \
        files="$(for name in $eval_sets; do printf '%s\n' "data/$name"/{wav.scp,utt2spk,segments}; done)"
    stage 11 report "Write the listening report" folder="$exp" after="score convert sample eval"
    stage 12 summary "Say where to look and listen" always=true folder="$exp"
}

caller=$PWD
main "$@"
