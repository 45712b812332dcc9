"""Files of weights: of every age, damaged, of other networks, and malicious ones."""

import json
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from benchmark.networks.published_weights import digest_of, fitted, read_checkpoint
from collector.errors import DataError, UsageError


class Python2:
    """Writes pickles as Python 2 and PyTorch 0.2 did: protocol 2, byte strings, and the tensors of a GPU after the dict."""

    def __init__(self) -> None:
        self.storages: list[torch.Tensor] = []

    def file(self, found: object) -> bytes:
        body = self.pickled(found)
        keys = self.pickled([str(key) for key in range(len(self.storages))])
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
        head = b"\x80\x02\x8a\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little") + b"." + self.pickled(1001)
        raw = b"".join(struct.pack("<q", s.numel()) + s.numpy().tobytes() for s in self.storages)
        return head + self.pickled(system) + body + keys + raw

    def pickled(self, value: object) -> bytes:
        return b"\x80\x02" + self.written(value) + b"."

    def written(self, value: Any) -> bytes:
        """Return the operations that leave a value on the stack; written out, for no Python of today uses Python 2's."""
        if isinstance(value, torch.Tensor):
            return self.tensor(value)
        if isinstance(value, int):
            return b"J" + struct.pack("<i", value)
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        if isinstance(value, str | bytes):
            data = value if isinstance(value, bytes) else value.encode()
            return b"U" + bytes([len(data)]) + data  # SHORT_BINSTRING: `str` was bytes
        return self.container(value)

    def container(self, value: Any) -> bytes:
        if isinstance(value, OrderedDict):  # reduced to its class and a list of pairs
            return b"ccollections\nOrderedDict\n" + self.written(([list(pair) for pair in value.items()],)) + b"R"
        if isinstance(value, dict):
            return b"}(" + b"".join(self.written(key) + self.written(one) for key, one in value.items()) + b"u"
        inside = b"".join(map(self.written, value))
        return b"](" + inside + b"e" if isinstance(value, list) else b"(" + inside + b"t"

    def tensor(self, value: torch.Tensor) -> bytes:
        key = str(len(self.storages))
        self.storages.append(value.reshape(-1))
        kind = "ctorch.cuda\nFloatStorage\n" if value.is_floating_point() else "ctorch.cuda\nLongStorage\n"
        fields = [b"U\x07storage", kind.encode(), self.written(key), self.written("cuda:0")]
        storage = b"(" + b"".join([*fields, self.written(value.numel()), b"N"]) + b"tQ"
        rest = self.written(0) + self.written(tuple(value.shape)) + self.written(tuple(value.stride()))
        return b"ctorch._utils\n_rebuild_tensor\n(" + storage + rest + b"tR"


def old_checkpoint(path: Path, network: nn.Module, under: str = "", arch: str | bytes = "resnet18") -> Path:
    """Write a network as the Places365 checkpoints are; `under` is where DataParallel's `module` stands."""
    names = {
        f"{under}.module.{name.removeprefix(under + '.')}"
        if under and name.startswith(under)
        else name
        if under
        else f"module.{name}": value
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")  # counted since PyTorch 0.4.1
    }
    whole = {"epoch": 90, "arch": arch, "state_dict": OrderedDict(names), "best_prec1": 54.0}
    path.write_bytes(Python2().file(whole))
    return path


def small(classes: int = 3) -> nn.Module:
    torch.manual_seed(7)
    layers = OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4), fc=nn.Linear(4, classes))
    return nn.Sequential(layers)


def test_a_resnet_checkpoint_of_2017_is_read(tmp_path: Path) -> None:
    network = models.resnet18(num_classes=365)
    path = old_checkpoint(tmp_path / "resnet18_places365.pth.tar", network)
    assert path.read_bytes()[:2] != b"PK"
    found = fitted(read_checkpoint(path), network.state_dict(), "resnet18")
    assert list(found) == list(network.state_dict())
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())
    assert found["bn1.num_batches_tracked"] == 0
    models.resnet18(num_classes=365).load_state_dict(found)


def test_an_alexnet_checkpoint_has_its_module_in_the_middle(tmp_path: Path) -> None:
    network = nn.Sequential(OrderedDict(features=nn.Sequential(nn.Conv2d(3, 4, 3)), classifier=nn.Linear(4, 365)))
    path = old_checkpoint(tmp_path / "alexnet.pth.tar", network, under="features", arch="alexnet")
    assert b"features.module.0.weight" in path.read_bytes()
    assert list(read_checkpoint(path)) == list(network.state_dict())


def test_python_2_strings_may_hold_any_byte(tmp_path: Path) -> None:
    path = old_checkpoint(tmp_path / "latin.pth.tar", small(), arch=b"r\xe9seau \xff")
    assert fitted(read_checkpoint(path), small().state_dict(), "small")


class Opens:
    """Pickled, it is a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


class Runs(Opens):
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("kind", [Opens, Runs])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_malicious_pickle_does_not_run(tmp_path: Path, kind: type[Opens], zipped: bool) -> None:
    proof = tmp_path / "it ran"
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": small().state_dict(), "extra": kind(proof)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match="which is code") as caught:
        read_checkpoint(path)
    assert not proof.exists()
    assert "\n" not in str(caught.value)
    assert "weights_only=False" not in str(caught.value)


def test_a_malicious_plain_pickle_does_not_run(tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    path = tmp_path / "evil.pth.tar"
    path.write_bytes(pickle.dumps(Opens(proof), protocol=2))
    with pytest.raises(DataError, match="which is code"):
        read_checkpoint(path)
    assert not proof.exists()


def test_whole_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "whole_resnet18.pth"
    torch.save(small(), path)
    with pytest.raises(DataError, match=r"needs 'torch\.nn\.modules\.container\.Sequential' to be read, which is code"):
        read_checkpoint(path)


def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    with pytest.warns():  # torch.jit says that it is deprecated
        torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with pytest.raises(DataError, match="TorchScript program"):
        read_checkpoint(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("under", ["", "state_dict", "model"])
def test_todays_checkpoints_are_read(tmp_path: Path, zipped: bool, under: str) -> None:
    state = small().state_dict()
    torch.save({under: state, "epoch": 3} if under else state, tmp_path / "w", _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(tmp_path / "w")
    assert digest_of(found) == digest_of(state)


def test_the_digest_is_of_the_weights_whatever_holds_them(tmp_path: Path) -> None:
    state = small().state_dict()
    save_file(state, tmp_path / "w.safetensors")
    torch.save(dict(reversed(state.items())), tmp_path / "w.pth")
    old_checkpoint(tmp_path / "w.pth.tar", small())
    files = ("w.safetensors", "w.pth", "w.pth.tar")
    digests = {digest_of(fitted(read_checkpoint(tmp_path / file), state, "small")) for file in files}
    assert len(digests) == 1
    state["fc.bias"][0] += 1e-7
    assert digest_of(state) not in digests


def test_the_digest_is_what_it_is_said_to_be() -> None:
    import hashlib

    lines = json.dumps(["a", "float32", [2]]).encode() + b"\n" + struct.pack("<2f", 1, 2)
    lines += json.dumps(["b", "int64", []]).encode() + b"\n" + struct.pack("<q", 5)
    assert digest_of({"b": torch.tensor(5), "a": torch.tensor([1.0, 2.0])}) == hashlib.sha256(lines).hexdigest()


def test_numbers_become_float32_and_own_their_memory(tmp_path: Path) -> None:
    base = torch.arange(6, dtype=torch.float16)
    torch.save(
        {"half": base[:3], "turned": base.reshape(2, 3).t(), "double": base.double(), "count": torch.tensor(4)},
        tmp_path / "w",
    )
    found = read_checkpoint(tmp_path / "w")
    assert {name: value.dtype for name, value in found.items()} == {
        "half": torch.float32,
        "turned": torch.float32,
        "double": torch.float32,
        "count": torch.int64,
    }
    assert all(value.is_contiguous() for value in found.values())
    assert len({value.untyped_storage().data_ptr() for value in found.values()}) == 4


def test_wrong_weights_are_named_with_both_shapes() -> None:
    state = small(3).state_dict()
    with pytest.raises(DataError, match=r"small: fc\.weight is 5×4, the network's is 3×4"):
        fitted(small(5).state_dict(), state, "small")
    with pytest.raises(DataError, match=r"small: bn\.running_mean 4 is missing .*conv\.weight"):
        fitted({name: value for name, value in state.items() if name != "bn.running_mean"}, state, "small")
    with pytest.raises(DataError, match=r"has no head\.bias 2"):
        fitted({**state, "head.bias": torch.zeros(2)}, state, "small")
    with pytest.raises(DataError, match=r"fc\.bias is torch\.int64"):
        fitted({**state, "fc.bias": torch.zeros(3, dtype=torch.int64)}, state, "small")
    with pytest.raises(DataError, match=r"resnet18: conv1\.weight 64×3×7×7 is missing"):
        fitted(models.squeezenet1_1().state_dict(), models.resnet18().state_dict(), "resnet18")


STRANGE: dict[str, tuple[Any, str]] = {
    "a list": ([1, 2], "no weights by name, but a list"),
    "nothing": ({}, "no weights by name"),
    "a number among them": ({"a": torch.ones(1), "b": 3}, "'b' is a int, no tensor"),
    "numbered": ({0: torch.ones(1)}, "'0' is a Tensor"),
    "twice": ({"a.b": torch.ones(1), "module.a.b": torch.ones(1)}, "a.b twice"),
    "nan": ({"a": torch.tensor([1.0, float("nan")])}, "a holds values that are no finite numbers"),
    "sparse": ({"a": torch.ones(2).to_sparse()}, "torch.sparse_coo"),
    "complex": ({"a": torch.ones(2, dtype=torch.complex64)}, "complex64"),
    "nowhere": ({"a": torch.ones(2, device="meta")}, "on meta"),
}


@pytest.mark.parametrize("what", STRANGE)
def test_what_is_no_network_is_refused(tmp_path: Path, what: str) -> None:
    value, message = STRANGE[what]
    torch.save(value, tmp_path / "w.pth")
    with pytest.raises(DataError, match=message):
        read_checkpoint(tmp_path / "w.pth")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = {}
    for name, zipped in (("zip", True), ("legacy", False)):
        torch.save(small().state_dict(), tmp_path / name, _use_new_zipfile_serialization=zipped)
        whole[name] = (tmp_path / name).read_bytes()
    save_file(small().state_dict(), tmp_path / "safetensors")
    whole["safetensors"] = (tmp_path / "safetensors").read_bytes()
    whole["old"] = old_checkpoint(tmp_path / "old", small()).read_bytes()
    for name, data in whole.items():
        for length in (0, 1, 9, len(data) // 4, len(data) // 2, len(data) - 1):
            (tmp_path / name).write_bytes(data[:length])
            with pytest.raises(DataError):
                read_checkpoint(tmp_path / name)


def test_a_web_page_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_text("\n <!DOCTYPE html><html>Not found</html>")
    with pytest.raises(DataError, match="is a web page"):
        read_checkpoint(tmp_path / "w.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"w\.pth: there is no such file"):
        read_checkpoint(tmp_path / "w.pth")


def test_a_count_of_batches_is_left_out_where_normalisation_does_not_learn() -> None:
    given = {"1.weight": torch.ones(2), "1.num_batches_tracked": torch.tensor(7)}
    assert set(fitted(given, {"1.weight": torch.ones(2)}, "mine")) == {"1.weight"}
    with pytest.raises(DataError, match=r"it has no 2\.weight"):
        fitted({**given, "2.weight": torch.ones(1)}, {"1.weight": torch.ones(2)}, "mine")
