"""What each choice of the default configuration is worth, at equal numbers of training samples, on real speech.

    bash recipes/asterisk/run.sh --stop_stage 2
    python benchmarks/ablations.py --steps 800 --out exp/ablations [--only default no_mel_loss]

Each row trains the default configuration with one thing changed, from the same seed, and reports on the dev set: bits
per sample with true and with shuffled units (their difference is what the decoder owes to the units), the perplexity
of the units, and the processor time per step beside the default's. Rows that are done are not run again.
Bits per sample do not compare between rows that change what a sample is (pre-emphasis, output distribution).
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import torch

from vqaudio.config import VQVAETrainingConfig
from vqaudio.config_files import load_config
from vqaudio.corpus.datadir import DataDir
from vqaudio.evaluation.heldout import read_heldout
from vqaudio.evaluation.likelihood import bits_per_sample
from vqaudio.evaluation.unit_statistics import code_perplexity, unit_counts
from vqaudio.models.folder import load_vqvae
from vqaudio.training.vqvae import choose_dev, train_vqvae

ROOT = Path(__file__).parents[1]
VARIANTS: dict[str, list[str]] = {
    "default": [],
    "no_mel_loss": ["training.mel_loss=0"],
    "quantized_from_the_start": ["model.quantizer.start_step=0", "model.quantizer.init=sample"],
    "codebook_by_gradient": ["model.quantizer.update=gradient"],
    "no_revival": ["model.quantizer.revive_window=0"],
    "no_pre_emphasis": ["model.decoder.pre_emphasis=0"],
    "hop_32": ["model.encoder.strides=[4,4,2]", "training.crop_units=128"],
    "hop_128": ["model.encoder.strides=[4,4,4,2]", "training.crop_units=32"],
    "hop_160": ["model.encoder.strides=[5,4,4,2]", "training.crop_units=26"],
    "layers_16": ["model.decoder.stack.layers=16", "model.decoder.stack.stacks=2"],
    "channels_96": ["model.decoder.stack.residual_channels=96", "model.decoder.stack.gate_channels=192"],
    "batch_4_of_half_the_steps": ["training.batch_size=4"],
    "learning_rate_3e-3": ["training.learning_rate=3e-3"],
    "learning_rate_7e-4": ["training.learning_rate=7e-4"],
    "no_condition_blocks": ["model.decoder.condition_blocks=0"],
    "mel_loss_0.5": ["training.mel_loss=0.5"],
    "time_jitter": ["model.decoder.time_jitter=0.12"],
    "float32": ["training.precision=float32"],
    "no_weight_average": ["training.weight_average=0"],
}


def run(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Train one variant, or read what it gave before, and return its row."""
    expdir = options.out / name
    result = expdir / "ablation.json"
    if result.exists():
        return json.loads(result.read_text())
    steps = options.steps // 2 if "half_the_steps" in name else options.steps
    fixed = ["training.max_minutes=null", f"training.max_steps={steps}", f"training.eval_interval={10 * steps}"]
    config = load_config(options.config, VQVAETrainingConfig, ["training.precision=bfloat16", *fixed, *VARIANTS[name]])
    started = time.process_time()
    if not train_vqvae(config, options.data / "train", options.data / "dev", expdir):
        raise SystemExit("interrupted; the same command goes on")
    seconds = time.process_time() - started
    model, speakers = load_vqvae(expdir / "model")
    dev = choose_dev(DataDir.load(options.data / "dev").utterances, speakers)
    heldout = list(read_heldout(dev, speakers, config.model.sample_rate))
    units = [model.encode(waveform).numpy() for waveform, _ in heldout]
    row = {
        "steps": steps,
        "bits": bits_per_sample(model, heldout),
        "shuffled": bits_per_sample(model, heldout, units="shuffled"),
        "perplexity": code_perplexity(unit_counts(units, config.model.quantizer.codebook_size)),
        "cpu_seconds": seconds,
    }
    result.write_text(json.dumps(row, indent=2) + "\n")
    return row


def main() -> None:
    """Run the variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "recipes/asterisk/conf/train_vqvae.yaml")
    parser.add_argument("--data", type=Path, default=ROOT / "recipes/asterisk/dump/8k")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = {name: run(name, options) for name in options.only}
    print("| | steps | bits/sample | shuffled units | worth of the units | perplexity | processor time |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, row in rows.items():
        cost = row["cpu_seconds"] / next(iter(rows.values()))["cpu_seconds"]
        gain = row["shuffled"] - row["bits"]
        print(
            f"| {name.replace('_', ' ')} | {row['steps']} | {row['bits']:.3f} | {row['shuffled']:.3f} | {gain:.2f} "
            f"| {row['perplexity']:.0f} | {cost:.2f} |"
        )


if __name__ == "__main__":
    main()
