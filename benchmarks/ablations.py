"""What each choice of the default configuration is worth, after equal times of training, on real speech.

    bash recipes/asterisk/run.sh --stop_stage 2
    python -m benchmarks.ablations --minutes 4 --set training.spectral_steps=800 --out exp/ablations \
        [--only default one_row_a_unit] [--asr SPEC] [--phones DIR]

Each row trains the default configuration with one thing changed, from the same seed, for the same time on the same
machine, and is measured on held-out prompts: bits per sample with true and with shuffled units (their difference is
what the decoder owes to the units); the log-mel distance of reconstructions; and, with a recogniser (`--asr`, as of
`vqaudio score`), its word errors in those of English prompts. With `--phones DIR`, a data directory of other speakers
with `phones.ctm` at the same rate, also what the units tell of phones and voices: PNMI, ABX errors across speakers, and
how often a linear probe names the speaker. Rows that are done are not run again; without `--minutes` they are printed.

    python -m benchmarks.ablations --spectral_steps 800 --phones DIR --out exp/unit_ablations

trains the units alone, for so many spectral steps, and measures what they tell: since rows of equal steps take in equal
audio, they compare across machines, too.

Bits per sample do not compare between rows that change what a sample is (pre-emphasis, output distribution).
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vqaudio.corpus.datadir import DataDir
from vqaudio.evaluation.audio_statistics import log_mel_distance
from vqaudio.evaluation.heldout import choose_evenly, read_heldout
from vqaudio.evaluation.intelligibility import Item, intelligibility, read_aloud
from vqaudio.evaluation.likelihood import bits_per_sample
from vqaudio.evaluation.material import Material
from vqaudio.evaluation.recognisers import Recogniser, load_recogniser
from vqaudio.evaluation.unit_scores import score_content
from vqaudio.evaluation.unit_set import UnitSet
from vqaudio.evaluation.unit_statistics import code_perplexity, unit_counts
from vqaudio.generation.decode import generate_waveforms
from vqaudio.models.folder import load_vqvae
from vqaudio.models.vqvae import VQVAE

ROOT = Path(__file__).parents[1]
NO_SPECTRA = ["training.spectral_steps=0", "training.cepstral_loss=0", "training.freeze_units=false"]
VARIANTS: dict[str, tuple[str, list[str]]] = {
    "default": ("", []),
    "one_row_a_unit": ("one row of the condition a unit", ["model.decoder.condition_steps=1"]),
    "no_spectral_steps": ("samples from the first step on", NO_SPECTRA),
    "spectral_steps_x3": ("three times the spectral steps",
                          ["training.spectral_steps=2400", "training.spectral_share=1"]),
    "units_not_frozen": ("units go on learning with the decoder", ["training.freeze_units=false"]),
    "units_from_log_mel": ("units learn from log-mel, not cepstra", ["training.cepstral_loss=0"]),
    "level_kept": ("encoder hears the level", ["model.encoder.level_units=[]"]),
    "no_mel_loss": ("no auxiliary loss", [*NO_SPECTRA, "training.mel_loss=0"]),
    "mel_loss_0.5": ("auxiliary loss × 0.5, not 0.1", ["training.mel_loss=0.5"]),
    "25_units": ("25 units a second", ["model.encoder.strides=[5,4,4,4]", "training.crop_units=13",
                                       "model.encoder.level_units=[25,5]", "model.decoder.condition_steps=8"]),
    "100_units": ("100 units a second", ["model.encoder.strides=[5,4,4]", "training.crop_units=52",
                                         "model.encoder.level_units=[100,20]", "model.decoder.condition_steps=2"]),
    "125_units": ("125 units a second", ["model.encoder.strides=[4,4,4]", "training.crop_units=64",
                                         "model.encoder.level_units=[125,25]", "model.decoder.condition_steps=2"]),
    "250_units": ("250 units a second", ["model.encoder.strides=[4,4,2]", "training.crop_units=128",
                                         "model.encoder.level_units=[250,50]", "model.decoder.condition_steps=1"]),
    "128_codes": ("128 codes", ["model.quantizer.codebook_size=128"]),
    "2048_codes": ("2,048 codes", ["model.quantizer.codebook_size=2048"]),
    "code_dim_16": ("codes of 16 dimensions", ["model.quantizer.code_dim=16"]),
    "codebook_by_gradient": ("codebook by gradient", ["model.quantizer.update=gradient"]),
    "quantized_from_the_start": ("quantized from the first step, from a sample",
                                 ["model.quantizer.start_step=0", "model.quantizer.init=sample"]),
    "no_revival": ("no revival", ["model.quantizer.revive_window=0"]),
    "time_jitter": ("time jitter 0.12", ["model.decoder.time_jitter=0.12"]),
    "no_pre_emphasis": ("no pre-emphasis", ["model.decoder.pre_emphasis=0"]),
    "mol": ("mixture of logistics", ["model.decoder.output=mol"]),
    "voice_shift": ("encoder hears shifted voices", ["training.voice_shift=0.2"]),
    "layers_16": ("16 layers in 2 stacks", ["model.decoder.stack.layers=16", "model.decoder.stack.stacks=2"]),
    "channels_96": ("10 layers of 96 channels",
                    ["model.decoder.stack.residual_channels=96", "model.decoder.stack.gate_channels=192"]),
    "crops_of_1s": ("one crop of 1 s a step, not two of 0.5 s", ["training.batch_size=1", "training.crop_units=52"]),
    "batch_4": ("4 crops a step", ["training.batch_size=4"]),
    "learning_rate_3e-3": ("learning rate 3e-3, not 1.5e-3", ["training.learning_rate=3e-3"]),
    "decay_share_1": ("the rate falls from the beginning on", ["training.decay_share=1"]),
    "float32": ("float32", ["training.precision=float32"]),
}  # fmt: skip
TEMPERATURE = 0.7
DEV_SECONDS = 90.0
COLUMNS = {
    "steps": ("steps", "{:,}"),
    "bits": ("bits/sample", "{:.3f}"),
    "shuffled": ("shuffled", "{:.3f}"),
    "perplexity": ("perplexity", "{:.0f}"),
    "log_mel_distance": ("log-mel distance, dB", "{:.2f}"),
    "word_errors": ("word errors", "{:.0%}"),
    "character_errors": ("character errors", "{:.0%}"),
    "pnmi": ("PNMI", "{:.3f}"),
    "phone_accuracy": ("phones", "{:.1%}"),
    "abx_across": ("ABX across", "{:.1%}"),
    "speaker_probe": ("speaker", "{:.0%}"),
}
UNIT_SCORES = ("pnmi", "phone_accuracy", "abx_across", "abx_within", "speaker_probe")


def run(name: str, options: argparse.Namespace, recogniser: Recogniser | None) -> dict[str, float]:
    """Train one variant, or read what it gave before, and return its row."""
    expdir = options.out / name
    result = expdir / "ablation.json"
    if result.exists() or (options.minutes is None and options.spectral_steps is None):
        return json.loads(result.read_text()) if result.exists() else {}
    fixed = [*length(options.minutes, options.spectral_steps), "training.eval_interval=1000000", *options.set]
    folders = ["--train_dir", options.data / "train", "--dev_dir", options.data / "dev", "--expdir", expdir]
    # A process of its own: beside the threads of a recogniser, a training is slower by a third.
    train = [sys.executable, "-m", "vqaudio", "train", "--config", options.config, *folders]
    subprocess.run([*map(str, train), "--set", *fixed, *VARIANTS[name][1]], check=True)
    row = {"steps": json.loads((expdir / "train.json").read_text())["steps"]}
    model, speakers = load_vqvae(expdir / "model")
    if options.spectral_steps is None:
        row |= measure_likelihood(model, speakers, options.data / "dev")
        row |= measure_reconstructions(model, speakers, options.data / "dev", recogniser, options.out)
    if options.phones is not None:
        row |= measure_units(model, options.phones)
    result.write_text(json.dumps(row, indent=2) + "\n")
    return row


def length(minutes: float | None, spectral_steps: int | None) -> list[str]:
    """Return the settings for a training of so many minutes, or of so many spectral steps and one of the decoder."""
    if spectral_steps is None:
        return [f"training.max_minutes={minutes}"]
    steps = [f"training.spectral_steps={spectral_steps}", f"training.max_steps={spectral_steps + 1}"]
    return ["training.max_minutes=null", *steps]


def measure_likelihood(model: VQVAE, speakers: Sequence[str], data: Path) -> dict[str, float]:
    """Return bits per sample with the units and without their order, and their perplexity, over a part of a dev set."""
    utterances = [u for u in DataDir.load(data).utterances if u.speaker in speakers]
    heldout = list(read_heldout(choose_evenly(utterances, DEV_SECONDS), speakers, model.config.sample_rate))
    units = [model.encode(waveform).numpy() for waveform, _ in heldout]
    return {
        "bits": bits_per_sample(model, heldout),
        "shuffled": bits_per_sample(model, heldout, units="shuffled"),
        "perplexity": code_perplexity(unit_counts(units, model.config.quantizer.codebook_size)),
    }


def measure_reconstructions(
    model: VQVAE, speakers: Sequence[str], data: Path, recogniser: Recogniser | None, cache: Path
) -> dict[str, float]:
    """Return how the English utterances of a dev set, decoded from their units, compare with the recordings."""
    material, rate = Material.load(data), model.config.sample_rate
    utterances = [u for u in DataDir.load(data).utterances if u.speaker in speakers]
    english = [u for u in utterances if material.languages.get(u.id) == "en" and u.id in material.texts]
    pairs = list(read_heldout(english, speakers, rate))
    made = generate_waveforms(
        model, [model.encode(w) for w, _ in pairs], [s for _, s in pairs], temperature=TEMPERATURE
    )
    natural = {u.id: w.numpy() for u, (w, _) in zip(english, pairs)}
    decoded = {u.id: m[: len(natural[u.id])].numpy() for u, m in zip(english, made)}
    distances = [log_mel_distance(natural[id], decoded[id], rate) for id in natural]
    row = {"log_mel_distance": sum(distances) / max(1, len(distances))}
    if recogniser is None:
        return row
    readings = [
        read_aloud(recogniser, [Item(id, w, rate, "en") for id, w in waveforms.items()], cache)
        for waveforms in (natural, decoded)
    ]
    score = intelligibility({u.id: u.text for u in english}, *readings, languages={u.id: "en" for u in english})
    return row | {
        "word_errors": score.wer.value,
        "word_errors_natural": score.wer_natural.value,
        "character_errors": score.cer.value,
        "words": score.words,
        "words_right": score.words - score.wer.edits.substitutions - score.wer.edits.deletions,
    }


def measure_units(model: VQVAE, data: Path) -> dict[str, float]:
    """Return what the units of a data directory with `phones.ctm` tell of phones and voices."""
    utterances = DataDir.load(data).utterances
    heldout = read_heldout(utterances, sorted({u.speaker for u in utterances}), model.config.sample_rate)
    sequences = {u.id: model.encode(waveform).numpy() for u, (waveform, _) in zip(utterances, heldout)}
    config = model.config
    units = UnitSet(sequences, config.quantizer.codebook_size, config.unit_rate, model.quantizer.codebook.numpy())
    figures = score_content(units, Material.load(data)).figures
    return {key: figures[key] for key in UNIT_SCORES}


def table(rows: dict[str, dict[str, float]]) -> str:
    """Return the rows as a table in Markdown, with those columns of which there are figures."""
    columns = {key: column for key, column in COLUMNS.items() if any(key in row for row in rows.values())}
    lines = [f"| row | what is changed | {' | '.join(title for title, _ in columns.values())} |"]
    lines.append("| --- " * 2 + "| ---: " * len(columns) + "|")
    for name, row in rows.items():
        cells = [form.format(row[key]) if row.get(key) is not None else "" for key, (_, form) in columns.items()]
        lines.append(f"| `{name}` | {VARIANTS[name][0]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run the variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "recipes/asterisk/conf/train_vqvae.yaml")
    parser.add_argument("--data", type=Path, default=ROOT / "recipes/asterisk/dump/8k")
    parser.add_argument("--out", type=Path, required=True)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--minutes", type=float, help="of training for each row; without it, print what is there")
    size.add_argument("--spectral_steps", type=int, help="instead: units alone, trained for so many steps")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--set", nargs="+", default=[], help="values in place of the configuration's, in all rows")
    parser.add_argument("--asr", help="recogniser, such as faster-whisper:FOLDER")
    parser.add_argument("--phones", type=Path, help="data directory of other speakers with phones.ctm")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recogniser = load_recogniser(options.asr) if options.asr else None
    rows = {name: run(name, options, recogniser) for name in options.only}
    print(table({name: row for name, row in rows.items() if row}))


if __name__ == "__main__":
    main()
