"""What the benchmark knows of this machine."""

import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

from benchmark import doctor


def test_versions_are_those_installed() -> None:
    found = doctor.versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["t15"] == version("t15")
    assert "missing" not in found.values()


def test_what_is_not_installed_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", nothing)
    assert doctor.versions()["torch"] == "missing"


def test_the_device_is_the_one_that_auto_takes() -> None:
    from benchmark.networks.device import describe_device, resolve_device

    assert doctor.facts() == {"versions": doctor.versions(), "device": describe_device(resolve_device("auto"))}
