"""Files of torch.save: what a training writes comes back, and what would execute or unpack without end does not."""

import collections
import os
import pickle
import zipfile

import pytest
import torch

from vqaudio.training.archive import load_plain


class Asking:
    """Calls something when it is unpickled."""

    def __init__(self, call, *arguments):
        self.asked = call, arguments

    def __reduce__(self):
        return self.asked


def test_the_state_of_a_training_comes_back(tmp_path):
    network = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state(),
             "place": {"epoch": 3, "name": "é", "rates": (1e-3, None, True)}}  # fmt: skip
    torch.save(state, tmp_path / "x.pt")
    found = load_plain(tmp_path / "x.pt")
    assert found["place"] == state["place"] and isinstance(found["model"], collections.OrderedDict)
    assert torch.equal(found["model"]["weight"], network.weight) and torch.equal(found["random"], state["random"])
    assert found["optimizer"]["param_groups"] == optimizer.state_dict()["param_groups"]


def claiming(size, stride):
    three = torch.zeros(3)
    storage = torch.storage.TypedStorage(wrap_storage=three.untyped_storage(), dtype=three.dtype, _internal=True)
    return Asking(torch._utils._rebuild_tensor_v2, storage, 0, size, stride, False, collections.OrderedDict())


def laughing():
    held = [0]
    for _ in range(60):
        held = [held, held]
    return held


@pytest.mark.parametrize(("state", "words"), [
    (Asking(os.system, "true"), "it names 'posix system', expected tensors and plain values"),
    (Asking(bytearray, 10**10), "it names"),
    (claiming((10**9,), (0,)), "a tensor of shape (1000000000,), more than it has bytes for"),
    (laughing(), "more values than bytes"),
])  # fmt: skip
def test_what_executes_or_claims_more_than_it_has(tmp_path, state, words):
    torch.save({"a": state}, tmp_path / "x.pt")
    with pytest.raises(ValueError) as error:
        load_plain(tmp_path / "x.pt")
    assert words in str(error.value)


def test_compressed_entries_and_plain_pickles(tmp_path):
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\0" * 10**6)
    with pytest.raises(ValueError, match=r"'x/data\.pkl' is compressed"):
        load_plain(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(zipfile.BadZipFile):
        load_plain(path)
