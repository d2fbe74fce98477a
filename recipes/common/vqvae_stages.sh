# shellcheck shell=bash disable=SC2154
# What the stages of vqvae.sh do, each in the recipe's folder, with its options as variables. Sourced.
#
#     $exp     the experiment's folder        $dump      audio in the form that training reads
#     $python  the interpreter                $device    auto, cpu or cuda
#     train_job, divided, run_job             send jobs to where cmd.sh says

stage_setup() {
    bash "$root/recipes/common/setup.sh" ${asked_python:+--python "$asked_python"} ${extras:+--extras "$extras"}
}

stage_data() {
    local name values=()
    for name in "${data_options[@]}"; do values+=("--$name=${!name}"); done
    bash local/data.sh "${values[@]}"
}

stage_format() {
    local part source=data
    if [ -n "$max_train_hours" ]; then limit_training "$dump/limited"; source=$dump/limited; fi
    for part in train dev test; do format_set "$source/$part" "$dump/$part"; done
}

# format_set FROM TO: brings a data directory to the rate, with the tables of its corpus.
format_set() {
    run_job format "$python" -m vqaudio data format --data_dir "$1" --out "$2" --sample_rate "$fs" \
        --min_seconds "$min_seconds" --max_rejected_share "$max_rejected_share" --jobs "$nj" \
        ${level_db:+"--level_db=$level_db"}
    carry_tables "$1" "$2"
}

# limit_training OUT: writes OUT/train, so many hours of data/train, and dev and test of the speakers who are left.
limit_training() {
    local part seconds
    seconds=$(awk -v hours="$max_train_hours" 'BEGIN { print hours * 3600 }')
    "$python" -m vqaudio data subset --data_dir data/train --seconds "$seconds" --out "$1/train"
    for part in dev test; do
        awk 'NR == FNR { heard[$2]; next } $2 in heard' "$1/train/utt2spk" "data/$part/utt2spk" >"$1/$part.ids"
        "$python" -m vqaudio data subset --data_dir "data/$part" --utterances "$1/$part.ids" --out "$1/$part"
    done
    for part in train dev test; do carry_tables "data/$part" "$1/$part"; done
}

# carry_tables FROM TO: the corpus's own tables, for the utterances that are left.
carry_tables() {
    local name
    for name in utt2lang phones.ctm words.ctm; do
        if [ -f "$1/$name" ]; then
            awk 'NR == FNR { kept[$1]; next } $1 in kept' "$2/utt2spk" "$1/$name" >"$2/$name"
        fi
    done
}

# run_job NAME COMMAND...: runs one job where cmd.sh says, or, divided NAME COMMAND..., --num_jobs of them, which take
# a shard each; the same command without a shard then puts together what they have made. (SHARD_JOB, for a path may hold
# the word JOB.)
# shellcheck disable=SC2086   # the *_args and *_cmd are lists of words
run_job() { $job_cmd "$(job_log "$1")" "${@:2}"; }

# shellcheck disable=SC2086
divided() {
    local name=$1
    shift
    if [ "$num_jobs" -gt 1 ]; then
        $gpu_cmd SHARD_JOB=1:"$num_jobs" "$(job_log "$name.SHARD_JOB")" "$@" --shard "SHARD_JOB/$num_jobs"
    fi
    $gpu_cmd "$(job_log "$name")" "$@"
}

job_log() { echo "$exp/log/jobs/$1.log"; }

# train_job NAME COMMAND...: runs `vqaudio COMMAND` on --ngpu GPUs of --num_nodes machines, which share its cores.
# shellcheck disable=SC2086
train_job() {
    local name=$1 devices=$((${ngpu:-1} > 1 ? ${ngpu:-1} : 1)) command
    shift
    command=("$@" --resume auto --device "$device" --threads $((nj > devices ? nj / devices : 1)))
    if [ "$devices" -eq 1 ] && [ "$num_nodes" -eq 1 ]; then
        $train_cmd "$(job_log "$name")" "$python" -m vqaudio "${command[@]}"
    else
        $train_cmd --num_nodes "$num_nodes" "$(job_log "$name")" \
            bash "$root/recipes/common/torchrun.sh" "$devices" "${command[@]}"
    fi
}

# shellcheck disable=SC2086
stage_train() {
    train_job train train --config "$train_config" --train_dir "$dump/train" --dev_dir "$dump/dev" \
        --expdir "$exp" --set "model.sample_rate=$fs" $train_args
    run_job check-precision "$python" -m vqaudio check-precision --model "$exp/model" --data_dir "$dump/dev" \
        --max_seconds 60 --device "$device" --threads "$nj"
}

stage_extract() {
    local part
    for part in train dev test; do extract_set "$dump/$part" "$exp/units/$part"; done
}

# extract_set DATA OUT
extract_set() {
    divided "extract-$(basename "$1")" "$python" -m vqaudio extract --model "$exp/model" --data_dir "$1" --out "$2" \
        --device "$device" --threads "$nj"
}

# shellcheck disable=SC2086
stage_prior() {
    train_job prior train-prior --config "$prior_config" --vqvae "$exp/model" \
        --train_units "$exp/units/train" --train_dir "$dump/train" --dev_units "$exp/units/dev" \
        --dev_dir "$dump/dev" --expdir "$exp/prior" $prior_args
}

stage_resynthesise() {
    local out=$exp/resynthesis chosen=$exp/resynthesis/chosen
    choose_utterances "$num_resynthesis" "$dump/test" "$out"
    awk 'NR == FNR { wanted[$1]; next } $1 in wanted' "$chosen/utt2spk" "$exp/units/test/units.txt" >"$chosen/units.txt"
    cp "$exp/units/test/units.json" "$chosen"
    divided resynthesise "$python" -m vqaudio decode --model "$exp/model" --units "$chosen" --utt2spk "$chosen" \
        --natural "$chosen" --out "$out" --temperature "$temperature" --seed "$seed" --device "$device" --threads "$nj"
}

stage_convert() {
    if [ "$(wc -l <"$dump/train/spk2utt")" -eq 1 ]; then echo "one speaker alone: no other voice"; return; fi
    choose_utterances "$num_conversions" "$dump/test" "$exp/conversion"
    convert_chosen "$exp/conversion" --speaker all --num_voices "$num_voices"
}

# convert_chosen OUT VOICES...: says the utterances of OUT/chosen again.
convert_chosen() {
    divided convert "$python" -m vqaudio convert --model "$exp/model" --input "$1/chosen" "${@:2}" --out "$1" \
        --temperature "$temperature" --seed "$seed" --device "$device" --threads "$nj"
}

# choose_utterances N DATA OUT: makes OUT/chosen, a data directory of N utterances of each speaker of DATA (and at most
# max_utterances in all), of 1 s to max_seconds or, of speakers who have none such, shorter, spread evenly over the
# speaker's list; and copies them to OUT/<utterance>.original.wav.
choose_utterances() {
    local data=$2 out=$3 id
    mkdir -p "$out"
    awk -v wanted="$1" -v longest="$max_seconds" '
        NR == FNR { speaker[$1] = $2; next }
        $2 <= longest { s = speaker[$1]; kind = $2 >= 1; id[s, kind, count[s, kind]++] = $1; has[s] }
        END {
            for (s in has) {
                kind = (s, 1) in count
                n = wanted < count[s, kind] ? wanted : count[s, kind]
                for (i = 0; i < n; i++) print id[s, kind, int((i + 0.5) * count[s, kind] / n)]
            }
        }
    ' "$data/utt2spk" "$data/utt2dur" | sort | spread "$max_utterances" >"$out/ids"
    [ -s "$out/ids" ] || die "none of $data lasts --max_seconds $max_seconds or less"
    "$python" -m vqaudio data subset --data_dir "$data" --utterances "$out/ids" --out "$out/chosen"
    while read -r id; do cp "$data/wavs/$id.wav" "$out/$id.original.wav"; done <"$out/ids"
    rm "$out/ids"
}

# spread N: passes on at most N of its lines, spread evenly.
spread() {
    awk -v n="$1" '
        { line[NR] = $0 }
        END { if (n > NR) n = NR; for (i = 0; i < n; i++) print line[int((i + 0.5) * NR / n) + 1] }
    '
}

stage_sample() {
    run_job sample "$python" -m vqaudio sample --model "$exp/model" --prior "$exp/prior/model" --out "$exp/samples" \
        --num "$num_samples" --max_seconds "$max_seconds" --temperature "$temperature" \
        --prior_temperature "$prior_temperature" --seed "$seed" --device "$device" --threads "$nj"
}

stage_score() { score_set score "$dump/test" --sample_seconds "$max_seconds"; }

# score_set NAME DATA OPTIONS...
# shellcheck disable=SC2086
score_set() {
    divided "$1" "$python" -m vqaudio score "$exp" --data_dir "$2" --train_dir "$dump/train" ${asr:+--asr "$asr"} \
        --seed "$seed" --device "$device" --threads "$nj" "${@:3}" $score_args
}

# Sets whose speakers the model need not know: units, and what becomes of some utterances in a voice that it knows.
stage_eval() {
    local name out voice=$eval_speaker
    if [ -z "$eval_sets" ]; then echo "no further sets (--eval_sets)"; return; fi
    if [ -z "$voice" ]; then voice=$(awk '{ print $1; exit }' "$dump/train/spk2utt"); fi
    for name in $eval_sets; do
        out=$exp/scores/$name
        format_set "data/$name" "$dump/$name"
        extract_set "$dump/$name" "$out/units"
        choose_utterances 1 "$dump/$name" "$out/conversion"
        convert_chosen "$out/conversion" --speaker "$voice"
        score_set "score-$name" "$dump/$name" --name "$name"
    done
}

stage_report() { run_job report "$python" -m vqaudio report "$exp" --data_dir "$dump/test"; }

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
$(for name in $eval_sets; do printf 'Scores of %-19s%s/scores/%s/RESULTS.md\n' "$name" "$at" "$name"; done)
TensorBoard                  $python -m tensorboard.main --logdir $all
END
}

# from_here PATH: prints a path of the recipe's as it is called from the user's folder.
from_here() { case $1 in /*) echo "$1" ;; *) echo "${PWD#"$caller"/}/$1" ;; esac; }
