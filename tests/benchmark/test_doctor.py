"""What the benchmark knows of this machine."""

import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest
import torch

from benchmark import doctor
from benchmark.doctor import describe_device, resolve_device
from collector.errors import UsageError
from collector.executors import nodes


def test_versions_are_those_installed() -> None:
    found = nodes.versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["t15"] == version("t15")
    assert "missing" not in found.values()


def test_what_is_not_installed_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(nodes, "version", nothing)
    assert nodes.versions()["torch"] == "missing"


def test_the_device_is_the_one_that_auto_takes() -> None:
    assert doctor.facts() == {"versions": nodes.versions(), "device": describe_device(resolve_device("auto"))}


@pytest.mark.parametrize(
    ("name", "available", "expected"),
    [
        ("auto", False, "cpu"),
        ("auto", True, "cuda"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_a_name_becomes_a_device(monkeypatch: pytest.MonkeyPatch, name: str, available: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device(name) == expected


def test_cuda_where_there_is_none_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"--device cuda: .*--device cpu") as caught:
        resolve_device("cuda")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["", "gpu", "CUDA", "cuda:1", "mps"])
def test_other_names_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError, match="choose auto, cpu or cuda"):
        resolve_device(name)


def test_the_cpu_is_described_in_words() -> None:
    said = describe_device("cpu")
    assert said.startswith("cpu (")
    assert said.endswith(("cores)", "core)"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_is_described_in_words() -> None:
    assert describe_device(resolve_device("cuda")) == f"cuda ({torch.cuda.get_device_name()})"
