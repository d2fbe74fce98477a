"""The prior over units: p(u) = Π p(u_n | u_<n, speaker), and where an utterance ends.

One symbol beside the K units, `boundary` = K, stands for both ends: as an input it begins an utterance, as an output
it ends one.

    inputs    K   u_0  u_1  …  u_N-1
    targets  u_0  u_1  u_2  …    K
"""

from __future__ import annotations

from torch import Tensor, nn

from vqaudio.config import PriorConfig
from vqaudio.models.distributions import Categorical
from vqaudio.models.wavenet import CausalStack


class UnitPrior(nn.Module):
    """The causal stack over units, conditioned on the speaker where the configuration says so."""

    def __init__(self, config: PriorConfig, speakers: int) -> None:
        super().__init__()
        self.config = config
        self.num_speakers = speakers
        self.boundary = config.codebook_size
        self.distribution = Categorical(config.codebook_size + 1)
        self.stack = CausalStack(config.stack, config.codebook_size + 1, config.codebook_size + 1)
        if config.speaker_conditional:
            self.speaker = nn.Embedding(speakers, config.speaker_channels)
            self.project = nn.Linear(config.speaker_channels, self.stack.condition_size)

    def condition(self, speakers: Tensor) -> Tensor | None:
        """Map speaker indices (B,) to the condition of all layers (B, 1, L·G); None for an unconditional prior."""
        if not self.config.speaker_conditional:
            return None
        return self.project(self.speaker(speakers))[:, None]

    def forward(self, inputs: Tensor, speakers: Tensor) -> Tensor:
        """Return logits (B, T, K + 1) of the next symbol after each of `inputs` (B, T), symbols 0..K."""
        return self.stack(inputs, self.condition(speakers))
