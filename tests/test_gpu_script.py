"""The script for a machine with a GPU goes through on one without."""

import pytest

from tests.performance import gpu


def test_the_script_goes_through_on_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--dry-run"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    kinds = ("decoding", "vectors of resnet18", "training resnet18", "Table II", "2,000 vectors")
    assert all(any(kind in line for line in lines) for kind in kinds)
    assert not any("not run" in line or "1 failed" in line for line in lines)
