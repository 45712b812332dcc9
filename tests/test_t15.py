"""The front door: help, errors, exit codes, interrupts; mostly as a person meets them, in processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

import t15
from collector import front_door
from collector.doctor import KEYS
from collector.version import HOUSE, describe
from tests import warm
from tests.benchmark.conftest import World, make_world, paint

COMMANDS = {
    "bench",
    "cities",
    "collect",
    "dedup",
    "demo",
    "doctor",
    "leaderboard",
    "methods",
    "split",
    "verify",
}
WITHOUT_RESULT = {
    "demo",  # it shows the results of the commands that it runs
    "geodata bring",  # it keeps a file
    "export",  # its rows are the result, as CSV or JSON Lines
    "sandbox",  # it serves until it is stopped
    "serve",  # likewise
}

HEAVY = {"PIL", "faiss", "matplotlib", "numpy", "pandas", "pyarrow", "requests", "scipy", "sklearn", "torch"}
"""What must not be imported for a help text: these are what makes the difference between 0.3 and 6 seconds."""


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without its settings of t15."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("T15_")}
    return {**kept, "PYTHONPATH": str(Path(t15.__file__).parent), **more}


def command(
    *arguments: str, cwd: Path | None = None, python: str = sys.executable, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run t15 in a process of its own."""
    return subprocess.run(
        [python, "-m", "t15", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment(**env),
        timeout=120,
    )


def commands(of: Any = None, before: str = "") -> dict[str, Any]:
    """Return all commands by what is typed: `collect`, `weights list`."""
    found: dict[str, Any] = {}
    group: Any = of or typer.main.get_command(front_door.app)
    for name, one in group.commands.items():
        found |= commands(one, f"{before}{name} ") if hasattr(one, "commands") else {before + name: one}
    return found


every_command = pytest.mark.parametrize("name", sorted(commands()))


def test_help_lists_every_command() -> None:
    finished = command("--help")
    assert finished.returncode == 0
    assert finished.stderr == ""
    assert set(commands()) >= COMMANDS
    for name in commands():
        assert f" {name.split()[0]} " in finished.stdout
    assert "--verbose" in finished.stdout
    assert "--version" in finished.stdout


def test_help_imports_nothing_heavy() -> None:
    code = f"""if True:
        import sys; from collector import front_door
        for arguments in (["--help"], *([*name.split(), "--help"] for name in {sorted(commands())})):
            assert front_door.run(arguments) == 0, arguments
            heavy = {HEAVY} & set(sys.modules)
            assert not heavy, (arguments, heavy)
    """
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment()
    )
    assert finished.returncode == 0, finished.stderr


def test_errors_import_nothing_heavy() -> None:
    code = f"""if True:
        import sys; from collector import front_door
        assert front_door.run(["nonsense"]) == 2
        assert front_door.run(["cities"]) == 0
        assert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules)
    """
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment()
    )
    assert finished.returncode == 0, finished.stderr


def test_methods_are_listed_without_torch() -> None:
    code = """if True:
        import sys; from collector import front_door
        assert front_door.run(["methods"]) == 0
        assert not {"torch", "sklearn"} & set(sys.modules)
    """
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment()
    )
    assert finished.returncode == 0, finished.stderr


@every_command
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door.run([*name.split(), "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"t15 {name}" in out
    assert str(commands()[name].help).split()[0] in out
    for parameter in commands()[name].params:
        assert getattr(parameter, "help", None), f"--{parameter.name} says nothing"


@every_command
def test_every_command_that_prints_a_result_has_json(name: str) -> None:
    options = {option for parameter in commands()[name].params for option in parameter.opts}
    assert ("--json" in options) == (name not in WITHOUT_RESULT)


@pytest.mark.parametrize("name", ["cities", "methods", "doctor"])
def test_json_is_json_and_nothing_else(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--workspace", str(tmp_path), "--manifests", str(tmp_path)] if name == "doctor" else []
    assert front_door.run([name, "--json", *more]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)
    assert err == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str) -> None:
    # Without this it looks for the shell among its parents, and a suite that was left behind by its shell has none.
    finished = command("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert finished.returncode == 0
    assert "_T15_COMPLETE" in finished.stdout


def test_a_completion_names_commands() -> None:
    finished = command(_T15_COMPLETE="complete_bash", COMP_WORDS="t15 co", COMP_CWORD="1")
    assert finished.stdout.split() == ["collect", "coverage"]


def test_the_demonstration_runs_this_t15(tmp_path: Path) -> None:
    """Whatever lies in the current folder: it used to import a `benchmark.py` of the user's."""
    for name in ("benchmark", "collector", "t15"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(77)")
    code = (
        f"import sys; sys.path.append({str(HOUSE)!r}); from collector.front_door import run_steps; "
        "from pathlib import Path; run_steps([['cities']], Path('out'))"
    )
    finished = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment()
    )
    assert "exit code 77" not in finished.stderr
    assert "No such option: --workspace" in finished.stderr  # `cities` was ours


def test_version() -> None:
    finished = command("--version")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == f"t15 {describe()}\n"


def test_without_a_command_the_help_is_all_that_is_said() -> None:
    finished = command()
    assert finished.returncode in (0, 2)
    assert "Usage: t15" in finished.stdout + finished.stderr
    assert "t15: (" not in finished.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        ["bench", "--nonsense"],
        ["cities", "too", "many"],
        ["verify"],
        ["dedup", "--radius", "many"],
        ["dedup", "--radius", "99"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("t15: ")
    assert err.count("\n") == 1
    assert re.search(r"`t15 ([a-z]+ )?--help`", err)


def test_an_unknown_command_ends_with_2_in_a_process_too() -> None:
    finished = command("nonsense")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("t15: ")
    assert finished.stderr.count("\n") == 1
    assert "nonsense" in finished.stderr


def test_an_error_is_one_line_with_its_code(tmp_path: Path) -> None:
    missing = command("verify", str(tmp_path / "nowhere"))
    assert missing.returncode == 2
    (tmp_path / "manifest.json").write_text("{")
    damaged = command("verify", str(tmp_path))
    assert damaged.returncode == 3
    for finished in (missing, damaged):
        assert finished.stdout == ""
        assert finished.stderr.startswith(f"t15: {tmp_path}")
        assert finished.stderr.count("\n") == 1


def test_an_error_carries_no_terminal_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door.run(["verify", f"{tmp_path}/\x1b[31mred\nline\u202e"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert "\u202e" not in err


@pytest.mark.parametrize("place", [0, 1, 2])
def test_verbose_is_taken_from_anywhere(place: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", str(tmp_path)]
    arguments.insert(place, "--verbose")
    assert front_door.run(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last)")
    assert "in read_manifest" in err
    assert err.splitlines()[-1].startswith(f"t15: {tmp_path}")


def test_without_verbose_there_is_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door.run(["verify", str(tmp_path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("defect", [ZeroDivisionError("a defect"), KeyError("x"), OSError("odd"), RuntimeError("?")])
def test_a_defect_is_not_swallowed(monkeypatch: pytest.MonkeyPatch, defect: Exception) -> None:
    def broken(name: str) -> Any:
        raise defect

    monkeypatch.setattr("collector.regions.region", broken)
    with pytest.raises(type(defect)) as caught:
        front_door.run(["cities"])
    assert caught.value is defect


@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"], ["doctor", "--verbose"]])
def test_keys_are_told_as_set_and_never_shown(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = {name: f"secret-{number}-value" for number, name in enumerate(KEYS)}
    empty = next(iter(KEYS))
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(empty, "")
    assert front_door.run([*arguments, "--workspace", str(tmp_path / "none"), "--manifests", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "secret-" not in out + err
    if "--json" in arguments:
        assert json.loads(out)["keys"] == {name: name != empty for name in KEYS}
    else:
        assert f"{empty}: not set" in out
        assert all(f"{name}: set" in out for name in KEYS if name != empty)


def test_doctor_tells_versions_device_disk_and_workspace_and_creates_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(tmp_path / "world")
    options = ["--workspace", str(tmp_path / "none"), "--manifests", str(world.folder.parent.parent)]
    assert front_door.run(["doctor", *options]) == 0
    out = capsys.readouterr().out
    for expected in ("python 3.", "torch ", "device: ", "GiB free", "empty: `t15 collect` fills it", str(world.folder)):
        assert expected in out
    assert not (tmp_path / "none").exists()


def test_a_closed_pipe_is_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "t15", "cities"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # before anything is written: what `head` may do
        err = process.stderr.read().decode()
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_head_shows_the_first_line() -> None:
    finished = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m t15 cities | head -1"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert finished.stdout.startswith("turkiye81: ")
    assert finished.stderr == ""


# What follows stops t15 in the middle, by means of a package with a method and a provider that wait to be stopped.

PLUG_IN = '''
"""A method and a provider that wait in their middle, where the environment asks for it, until they are stopped."""
import os
import time
from pathlib import Path

from benchmark.methods.types import Method
from collector.providers.folder import FolderProvider


def stall():
    if "STALL" in os.environ:
        Path(os.environ["STALL"]).touch()
        time.sleep(100)


def fit(training, validation, context, **recipe):
    import torch

    from benchmark.methods.networks import fit_network
    from benchmark.networks.backbones import BACKBONES, Backbone

    class Dot(torch.nn.Sequential):
        steps = 0

        def forward(self, photos):
            self.steps += 1
            if self.steps == 5 and context.seed == 1:
                stall()
            return super().forward(photos)

    def build(classes):
        return Dot(
            torch.nn.Conv2d(3, 4, 5, stride=4),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(4, classes),
        )

    BACKBONES["dot"] = Backbone("dot", "Dot", build, lambda network: list(network.children()), "3")
    return fit_network(training, validation, context, backbone="dot", **recipe)


PARAMETERS = {"size": 28, "epochs": 3, "learning_rate": 0.05}
METHOD = Method("waiting", "Waiting", fit, PARAMETERS, stochastic=True, backbone="alexnet")


class Waiting(FolderProvider):
    def search(self, city, query):
        for number, photo in enumerate(super().search(city, query)):
            if number == 10:
                stall()
            yield photo


def provider(settings):
    return Waiting(settings.root, settings.region, settings.licence)


def defect(settings):
    key = os.environ["T15_FLICKR_KEY"]
    return len(key) / 0
'''
ENTRY_POINTS = """
[t15.methods]
waiting = t15_waiting:METHOD
[t15.providers]
waiting = t15_waiting:provider
defect = t15_waiting:defect
"""


@pytest.fixture(scope="module")
def plug_in(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the PYTHONPATH of a package that offers a method and a provider called `waiting`."""
    folder = tmp_path_factory.mktemp("plug-in")
    (folder / "t15_waiting.py").write_text(PLUG_IN)
    info = folder / "t15_waiting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: t15-waiting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return f"{folder}{os.pathsep}{Path(t15.__file__).parent}"


@dataclass(frozen=True)
class Stopped:
    """How a process ended that was stopped in the middle."""

    code: int
    out: str
    err: str


def stop(arguments: Sequence[str], env: Mapping[str, str], sign: Path, number: int) -> Stopped:
    """Start t15, wait until it says that it is in the middle, and send it a signal."""
    python = sys.executable if number == signal.SIGKILL else warm.python()
    with subprocess.Popen(
        [python, "-m", "t15", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env, STALL=str(sign)),
        # A shell may have told this process to ignore Ctrl-C (`pytest &`), and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads here)
    ) as process:
        try:
            deadline = time.monotonic() + 240
            while not sign.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(number)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    assert sign.exists(), err
    return Stopped(process.returncode, out, err)


def bench_of(world: World) -> list[str]:
    methods = ["--method", "waiting", "--method", "tiny-64+knn"]
    return ["bench", *methods, "--seeds", "0-1", "--tier", "smoke", "--device", "cpu", "--json", *world.options]


def predictions_in(world: World) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in world.workspace.runs.glob("*/predictions.parquet")}


def undisturbed(folder: Path, plug_in: str) -> dict[str, bytes]:
    """Return the predictions of the same benchmark when nobody stops it.

    In a process of its own, as the stopped ones: what other tests do to torch in this one changes last digits.
    """
    world = make_world(folder)
    finished = command(*bench_of(world), python=warm.python(), PYTHONPATH=plug_in)
    assert json.loads(finished.stdout)["counts"] == {"done": 3, "skipped": 0, "failed": 0, "missing": 0}
    return predictions_in(world)


@pytest.mark.slow
def test_a_benchmark_that_was_killed_and_interrupted_goes_on_and_predicts_the_same(
    tmp_path: Path, plug_in: str
) -> None:
    expected = undisturbed(tmp_path / "undisturbed", plug_in)
    world = make_world(tmp_path / "stopped")

    killed = stop(bench_of(world), {"PYTHONPATH": plug_in}, tmp_path / "first", signal.SIGKILL)
    assert killed.code == -signal.SIGKILL
    done = predictions_in(world)
    assert len(done) == 2

    interrupted = stop(bench_of(world), {"PYTHONPATH": plug_in}, tmp_path / "second", signal.SIGINT)
    assert interrupted.code == 130
    assert interrupted.out == ""
    assert "run the same command again" in interrupted.err
    assert "Traceback" not in interrupted.err
    assert predictions_in(world) == done
    assert done.items() <= expected.items()

    again = command(*bench_of(world), python=warm.python(), PYTHONPATH=plug_in)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["counts"] == {"done": 1, "skipped": 2, "failed": 0, "missing": 0}
    assert predictions_in(world) == expected
    assert list(world.workspace.runs.glob(".*")) == []


def collect_of(folder: Path) -> list[str]:
    """Return a command that collects 24 photos of two cities, which are made here."""
    region = 'name = "two"\ntitle = "Two"\n'
    for number, city in enumerate(("east", "west")):
        region += f'[[city]]\nname = "{city}"\nlatitude = {number}\nlongitude = {number}\nradius_km = 5\n'
        (folder / "photos" / city).mkdir(parents=True, exist_ok=True)
        for index in range(12):
            paint(100 * number + index, number, 80, 64).save(folder / "photos" / city / f"{index:02}.png")
    (folder / "two.toml").write_text(region)
    source = ["--provider", "waiting", "--root", str(folder / "photos"), "--region", str(folder / "two.toml")]
    return ["collect", *source, "--workspace", str(folder / "workspace"), "--json"]


def test_a_stopped_collect_goes_on(tmp_path: Path, plug_in: str) -> None:
    arguments = collect_of(tmp_path)
    stopped = stop(arguments, {"PYTHONPATH": plug_in}, tmp_path / "sign", signal.SIGINT)
    assert stopped.code == 130
    assert stopped.out == ""
    assert "run the same command again" in stopped.err
    assert "Traceback" not in stopped.err
    again = command(*arguments, python=warm.python(), PYTHONPATH=plug_in)
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)
    assert summary["by_city"] == {"east": 12, "west": 12}
    assert summary["known"] + summary["added"] == 24
    third = json.loads(command(*arguments, python=warm.python(), PYTHONPATH=plug_in).stdout)
    assert (third["known"], third["added"]) == (24, 0)


def test_the_traceback_of_a_defect_shows_no_keys(tmp_path: Path, plug_in: str) -> None:
    arguments = ["collect", "--provider", "defect", "--workspace", str(tmp_path / "workspace")]
    for more in ([], ["--verbose"]):
        finished = command(*arguments, *more, python=warm.python(), PYTHONPATH=plug_in, T15_FLICKR_KEY="secret-value")
        assert finished.returncode == 1
        assert "Traceback" in finished.stderr
        assert "ZeroDivisionError" in finished.stderr
        assert "secret-value" not in finished.stdout + finished.stderr
