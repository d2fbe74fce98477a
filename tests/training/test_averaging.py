"""The moving average against its formula."""

import torch

from vqaudio.training.averaging import WeightAverage


def test_average_follows_its_formula_and_goes_back():
    model = torch.nn.Linear(2, 1, bias=False)
    average = WeightAverage(model, decay=0.5)
    expected = model.weight.detach().clone()
    for step in range(20):
        with torch.no_grad():
            model.weight.fill_(step)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    with average.applied():
        torch.testing.assert_close(model.weight.detach(), expected)
    assert model.weight.tolist() == [[19, 19]]


def test_own_weights_come_back_after_an_error():
    model = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, 0.9)
    with torch.no_grad():
        model.weight.fill_(7)
    try:
        with average.applied():
            raise RuntimeError
    except RuntimeError:
        pass
    assert model.weight.item() == 7
