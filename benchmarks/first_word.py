"""How soon speech can be understood: the checkpoints of one training, decoded, and read by a recogniser.

    vqaudio train … --expdir exp/long --set training.checkpoint_interval=500 training.keep_checkpoints=100
    python -m benchmarks.first_word exp/long --data recipes/asterisk/dump/8k/dev --asr faster-whisper:FOLDER

Of each checkpoint the averaged weights are taken, which are what would be published then (but for the learning rate,
which falls at the end alone), and the English utterances of the data directory are decoded from their units.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.ablations import measure_reconstructions
from vqaudio.config import VQVAEConfig, VQVAETrainingConfig
from vqaudio.config_files import load_config
from vqaudio.evaluation.recognisers import load_recogniser
from vqaudio.models.folder import read_speakers
from vqaudio.models.vqvae import VQVAE
from vqaudio.training.checkpoint import checkpoint_paths, load_checkpoint


def model_of(state: Mapping[str, Any], config: VQVAEConfig, speakers: int) -> VQVAE:
    """Return the model of a checkpoint, with its averaged weights."""
    model = VQVAE(config, speakers).eval()
    prefix = "model."
    weights = {name[len(prefix) :]: tensor for name, tensor in state["modules"].items() if name.startswith(prefix)}
    model.load_state_dict(weights | state["average"])
    return model.requires_grad_(False)


def main() -> None:
    """Print a line of the table for each checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path, help="of a training that is done")
    parser.add_argument("--data", type=Path, required=True, help="held-out data directory with text and utt2lang")
    parser.add_argument("--asr", required=True, help="recogniser, such as faster-whisper:FOLDER")
    parser.add_argument("--every", type=int, default=1, help="take every so many-th checkpoint")
    options = parser.parse_args()
    recogniser = load_recogniser(options.asr)
    config = load_config(options.experiment / "config.yaml", VQVAETrainingConfig).model
    speakers = read_speakers(options.experiment / "model")
    print("| minutes | steps | log-mel distance, dB | words right | word errors | character errors |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    newest_first = checkpoint_paths(options.experiment / "checkpoints")
    for path in reversed(newest_first[:: options.every]):
        state = load_checkpoint(path)
        model, progress = model_of(state, config, len(speakers)), state["progress"]
        if not model.quantizer.initialised:
            continue
        row = measure_reconstructions(model, speakers, options.data, recogniser, options.experiment / "scores")
        print(
            f"| {progress['elapsed'] / 60:.1f} | {progress['step']:,} | {row['log_mel_distance']:.2f} "
            f"| {row['words_right']} of {row['words']} | {row['word_errors']:.0%} | {row['character_errors']:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
