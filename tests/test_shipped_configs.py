"""Every configuration that a recipe ships is loaded and run for a step, in its own size."""

from pathlib import Path

import pytest
import torch

from vqaudio.config import PriorTrainingConfig, VQVAETrainingConfig
from vqaudio.config_files import load_config
from vqaudio.models.prior import UnitPrior
from vqaudio.models.vqvae import VQVAE

RECIPES = Path(__file__).parents[1] / "recipes"
ALL = sorted(RECIPES.glob("*/conf/*.yaml"))
PRIORS = [path for path in ALL if "prior" in path.name]
VQVAES = [path for path in ALL if path not in PRIORS]


def name(path: Path) -> str:
    return f"{path.parents[1].name}-{path.stem}"


def distinct(paths: list[Path], cls: type) -> list[Path]:
    """Return the first file of each model: many recipes have the same one, laid over the same base."""
    first: dict[object, Path] = {}
    for path in paths:
        first.setdefault(load_config(path, cls).model, path)
    return list(first.values())


def learns(model: torch.nn.Module, loss) -> None:
    """One step of Adam on one batch lowers the loss of this batch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    before = loss()
    before.backward()
    optimizer.step()
    with torch.no_grad():
        after = loss()
    assert torch.isfinite(before) and after < before


@pytest.mark.parametrize("path", distinct(VQVAES, VQVAETrainingConfig), ids=name)
def test_vqvae_configurations_run(path):
    config = load_config(path, VQVAETrainingConfig)
    torch.manual_seed(0)
    model = VQVAE(config.model, speakers=3).eval()  # no dropout or jitter between the two losses
    left, right = model.context
    units = max(config.model.decoder.condition_kernel, 512 // model.hop_length)
    waveform = 0.1 * torch.randn(2, left + units * model.hop_length + right)
    speakers = torch.tensor([0, 2])
    learns(model, lambda: (lambda out: out.nll.mean() + out.vq_loss)(model(waveform, speakers)))


@pytest.mark.parametrize("path", distinct(PRIORS, PriorTrainingConfig), ids=name)
def test_prior_configurations_run(path):
    config = load_config(path, PriorTrainingConfig)
    torch.manual_seed(0)
    prior = UnitPrior(config.model, speakers=3).eval()
    symbols = torch.randint(0, config.model.codebook_size + 1, (2, 65))
    speakers = torch.tensor([0, 2])

    def loss() -> torch.Tensor:
        logits = prior(symbols[:, :-1], speakers).flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, symbols[:, 1:].flatten())

    learns(prior, loss)


def test_the_papers_hyper_parameters():
    """Van den Oord et al. 2017, sec. 4.3 and eq. 3."""
    model = load_config(RECIPES / "asterisk/conf/train_vqvae_paper.yaml", VQVAETrainingConfig).model
    assert model.encoder.strides == (2,) * 6 and model.encoder.hop_length == 64
    assert model.quantizer.codebook_size == 512 and model.quantizer.beta == 0.25
    assert model.quantizer.update == "gradient"


@pytest.mark.parametrize("machine", ["two_cores", "accelerator"])
def test_the_presets_are_what_they_are_said_to_be(machine):
    """docs/presets.md: `units` for what is said, at the rate of the paper's phone test; `codec` for how it sounds."""
    conf = RECIPES / "common/conf"
    units, codec = (load_config(conf / f"{name}_{machine}.yaml", VQVAETrainingConfig) for name in ("units", "codec"))
    assert units.model.unit_rate == 25 and units.model.quantizer.codebook_size == 128
    assert units.model.encoder.level_units and not codec.model.encoder.level_units
    assert units.model.decoder.time_jitter > 0 == codec.model.decoder.time_jitter
    assert codec.model.unit_rate >= 100 and codec.model.quantizer.codebook_size >= 512
    for name in ("units", "codec"):
        load_config(conf / f"prior_{name}_{machine}.yaml", PriorTrainingConfig)
