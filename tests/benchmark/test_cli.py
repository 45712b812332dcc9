"""The benchmark's commands: what they accept, refuse, print and leave with."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark import estimates
from benchmark.commands.bench import parse_seeds
from benchmark.methods import registry
from benchmark.methods.types import Method
from collector import front_door
from collector.errors import UsageError
from tests.benchmark.conftest import World, drawing, method


def failing(*arguments: Any, **parameters: Any) -> Any:
    raise RuntimeError("out of luck")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Method]:
    """Put methods that take no time in the place of the real ones."""
    methods = [method("quick"), method("seeded", stochastic=True), method("failing", failing)]
    by_name = {one.name: one for one in methods}
    monkeypatch.setattr(registry, "METHODS", by_name)
    monkeypatch.setattr("collector.plugins.entry_points", lambda group: ())
    return by_name


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", [0]),
        ("7", [7]),
        ("0,1,2", [0, 1, 2]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("3-3", [3]),
        ("5,0-2,1", [5, 0, 1, 2]),
        ("2,2,2", [2]),
        ("1, 2", [1, 2]),
        ("007", [7]),
        ("4294967295", [4294967295]),
    ],
)
def test_seeds_are_read(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ",",
        "-",
        "-1",
        "1-",
        "1,,2",
        "1,",
        ",1",
        "3-1",
        "0,3-1",
        "0-1-2",
        "--1",
        "1.5",
        "1e3",
        "a",
        "0x1",
        "²",
        "+1",
    ],
)
def test_what_holds_no_seeds_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds") as caught:
        parse_seeds(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["99999999999999999999999", "9" * 5000])
def test_a_seed_that_no_generator_takes_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        parse_seeds(text)


def test_an_endless_range_is_refused_before_it_eats_the_memory() -> None:
    code = """if True:
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
        from benchmark.commands.bench import parse_seeds
        from collector.errors import UsageError
        try:
            parse_seeds("0-99999999999")
        except UsageError as error:
            print(error)
    """
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 0, finished.stderr[-300:]
    assert "--seeds" in finished.stdout


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20) | st.none()), min_size=1, max_size=6))
def test_seeds_come_once_and_in_their_order(parts: list[tuple[int, int | None]]) -> None:
    text = ",".join(str(first) if more is None else f"{first}-{first + more}" for first, more in parts)
    every = [seed for first, more in parts for seed in range(first, first + (more or 0) + 1)]
    assert parse_seeds(text) == list(dict.fromkeys(every))


@given(st.text("0123456789,- x", max_size=5))
def test_text_is_seeds_or_a_usage_error(text: str) -> None:
    parts = [re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip()) for part in text.split(",")]
    good = all(part and int(part[1]) <= int(part[2] or part[1]) for part in parts)
    try:
        seeds = parse_seeds(text)
    except UsageError:
        assert not good
    else:
        assert good
        assert len(set(seeds)) == len(seeds) > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--all or --method"),
        (["--all", "--method", "quick"], "--all or --method"),
        (["--all", "--tier", "papers"], "--tier 'papers': choose paper or smoke"),
        (["--method", "quik"], "did you mean 'quick'"),
        (["--method", "quick", "--method", "nothing-like-it"], "no method 'nothing-like-it'"),
        (["--method", ""], "no method ''"),
        (["--all", "--seeds", "3-1"], "--seeds"),
        (["--all", "--device", "tpu"], "choose auto, cpu or cuda"),
        (["--all", "--manifest", "nowhere"], "nowhere"),
        (["--all"], "t15 split"),
        (["--all", "--nonsense"], "--nonsense"),
    ],
)
def test_bench_refuses_what_makes_no_sense(
    known: dict[str, Method],
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("T15_WORKSPACE", "T15_MANIFESTS"):
        monkeypatch.delenv(name, raising=False)
    assert front_door.run(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_cuda_where_there_is_none_is_refused(
    known: dict[str, Method], world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert front_door.run(["bench", "--all", "--device", "cuda", *world.options]) == 2
    assert "--device cpu" in capsys.readouterr().err


def bench_json(world: World, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    code = front_door.run(["bench", "--json", "--device", "cpu", *arguments, *world.options])
    out, err = capsys.readouterr()
    return code, json.loads(out), err


def test_json_is_all_there_is_on_stdout(
    known: dict[str, Method], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result, err = bench_json(world, capsys, "--method", "quick", "--method", "seed*", "--seeds", "0-1")
    assert code == 0
    assert result["counts"] == {"done": 3, "skipped": 0, "failed": 0, "missing": 0}
    assert [(run["method"], run["seed"], run["state"]) for run in result["runs"]] == [
        ("quick", 0, "done"),
        ("seeded", 0, "done"),
        ("seeded", 1, "done"),
    ]
    for run in result["runs"]:
        assert (world.workspace.runs / run["run"] / "run.json").is_file()
        assert run["reason"] == ""
    assert "small 1.0.0" in err
    assert world.manifest.digest[:12] in err
    assert "3 runs on cpu" in err
    assert "seeded, seed 1: done" in err
    assert all(f", run {run['run']}" in err for run in result["runs"])


def test_a_second_bench_skips(known: dict[str, Method], world: World, capsys: pytest.CaptureFixture[str]) -> None:
    bench_json(world, capsys, "--method", "seeded")
    code, result, err = bench_json(world, capsys, "--method", "seeded", "--seeds", "0,1")
    assert code == 0
    assert result["counts"] == {"done": 1, "skipped": 1, "failed": 0, "missing": 0}
    assert "seed 0: already there" in err


def test_a_failed_method_leaves_with_5_and_its_reason(
    known: dict[str, Method], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result, err = bench_json(world, capsys, "--all")
    assert code == 5
    assert result["counts"] == {"done": 2, "skipped": 0, "failed": 1, "missing": 0}
    (failed,) = (run for run in result["runs"] if run["state"] == "failed")
    assert (failed["method"], failed["reason"]) == ("failing", "RuntimeError: out of luck")
    assert "FAILED" in err
    assert err.splitlines()[-1].startswith("t15: bench: 1 of 3 runs failed")
    assert "Traceback" not in err


def test_without_json_it_says_how_many(
    known: dict[str, Method], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert front_door.run(["bench", "--method", "quick", *world.options]) == 0
    assert capsys.readouterr().out == "1 done, 0 already there, 0 failed\n"


def test_the_newest_manifest_is_the_default(
    known: dict[str, Method], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    manifests = str(world.folder.parent.parent)
    options = ["--manifests", manifests, "--workspace", str(world.workspace.root)]
    assert front_door.run(["bench", "--method", "quick", *options]) == 0
    assert "small 1.0.0" in capsys.readouterr().err


def test_a_damaged_manifest_is_a_data_error(
    known: dict[str, Method], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.folder / "photos.parquet").write_bytes(b"no")
    assert front_door.run(["bench", "--all", *world.options]) == 3
    assert "photos.parquet" in capsys.readouterr().err


def test_photos_that_are_elsewhere_are_a_data_error(
    known: dict[str, Method], world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "another").mkdir()
    options = ["--manifest", str(world.folder), "--workspace", str(tmp_path / "another")]
    assert front_door.run(["bench", "--all", *options]) == 3
    assert "12 of train, 6 of val, 6 of test" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("tier", "offered"), [("paper", True), ("smoke", False)])
def test_a_long_benchmark_offers_the_short_form(
    known: dict[str, Method],
    world: World,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tier: str,
    offered: bool,
) -> None:
    monkeypatch.setattr(estimates, "expect", lambda *arguments: estimates.Expected((40_000.0,), True))
    code, result, err = bench_json(world, capsys, "--method", "quick", "--tier", tier)
    assert (code, result["counts"]["done"]) == (0, 1)  # nobody is there to be asked
    assert "estimated: 5.6 h to 22.2 h (by runs finished here)" in err
    assert ("--tier smoke" in err) == offered


def test_a_person_may_decline_the_long_runs(
    known: dict[str, Method], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "expect", lambda *arguments: estimates.Expected((40_000.0,), True))
    stderr = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    monkeypatch.setattr(sys, "stderr", stderr)
    assert front_door.run(["bench", "--method", "quick", *world.options]) == 5
    assert "--tier smoke" in stderr.getvalue()
    assert not list(world.workspace.runs.glob("*/run.json"))


def test_the_estimate_is_that_of_the_chosen_device_and_tier(
    known: dict[str, Method], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def guess(photos: int, classes: int, device: str, *, size: int) -> float:
        assert device == "cpu"
        return float(size)

    known["guessed"] = method("guessed", drawing, parameters={"size": 50}, smoke={"size": 20}, estimate=guess)
    assert (
        "estimated: 5.0 s to 80 s (by formulas"
        in bench_json(world, capsys, "--method", "guessed", "--tier", "smoke")[2]
    )
    assert "estimated: 12 s to 3 min (by formulas" in bench_json(world, capsys, "--method", "guessed")[2]


def test_a_dry_run_says_what_there_is_to_do_and_does_nothing(
    known: dict[str, Method], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, plan, _ = bench_json(world, capsys, "--method", "quick", "--method", "seeded", "--seeds", "0-1", "--dry-run")
    assert code == 0
    assert [(of["method"], of["seed"], of["state"]) for of in plan["runs"]] == [
        ("quick", 0, "to do"),
        ("seeded", 0, "to do"),
        ("seeded", 1, "to do"),
    ]
    assert not list(world.workspace.runs.glob("*/run.json"))
    bench_json(world, capsys, "--method", "quick")
    plan = bench_json(world, capsys, "--method", "quick", "--dry-run")[1]
    assert [(of["state"], of["seconds"]) for of in plan["runs"]] == [("already there", 0.0)]


def test_methods_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door.run(["methods"]) == 0
    text = capsys.readouterr().out
    assert front_door.run(["methods", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(registry.listed())
    for row in rows:
        assert row["name"] in text
        assert row["title"] in text
    accuracy = {row["name"]: row["paper_accuracy"] for row in rows}
    assert accuracy["tiny-64+knn"] == 15.47
    assert "15.47" in text
    (knn,) = [row for row in rows if row["name"] == "tiny-64+knn"]
    assert (knn["gives"], knn["needs"]) == (["labels"], [])
    assert knn["parameters"] == {"feature_kind": "tiny", "size": 64, "k": 11}
    assert knn["version"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--precision", "float16"], "--precision 'float16': choose auto or float32 or bf16"),
        (["--level", "street"], "no labels of level 'street'; its levels are city"),
    ],
)
def test_wrong_precisions_and_levels_are_usage_errors(
    known: dict[str, Method], world: World, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert front_door.run(["bench", "--all", "--device", "cpu", *options, *world.options]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not any(world.workspace.runs.glob("*/run.json"))


def test_a_method_without_what_it_needs_is_left_out_of_all_and_said_when_named(
    known: dict[str, Method], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    known.clear()
    known.update({"quick": method("quick"), "needy": method("needy", needs=frozenset({"places"}))})
    assert front_door.run(["bench", "--all", "--device", "cpu", *world.options]) == 0
    assert "needs what this manifest lacks: places" in capsys.readouterr().err
    assert front_door.run(["bench", "--method", "needy", "--device", "cpu", *world.options]) == 5
    assert "that are not here" in capsys.readouterr().err


def test_a_leaderboard_is_made_from_the_runs(
    known: dict[str, Method], world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench_json(world, capsys, "--method", "quick", "--method", "failing")
    assert front_door.run(["leaderboard", "--json", "--out", str(tmp_path / "report"), *world.options]) == 0
    assert "quick" in json.dumps(json.loads(capsys.readouterr().out))
    assert (tmp_path / "report" / "index.html").is_file()
