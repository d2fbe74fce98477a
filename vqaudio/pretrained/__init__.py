"""Models that come with the package: one folder each, with a card (README.md), the model, and its prior in `prior/`."""
