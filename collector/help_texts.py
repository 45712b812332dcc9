"""What `--help` shows beside the options' own texts: panels, examples, words for values; and names that options had before.

The commands say what they do where they stand. What is alike in all of them is here, as data, and `dressed` puts it on.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from collector.progress import note

PANELS = {
    "Collect": ("cities", "collect", "import", "coverage", "rejected"),
    "Clean": ("dedup", "quality", "review"),
    "Split": ("split", "audit", "verify", "diff", "stats", "geodata", "aerial"),
    "Benchmark": ("methods", "weights", "embed", "bench", "runs", "leaderboard", "explore", "score"),
    "Answer": ("export-model", "predict", "serve"),
    "Publish": ("export", "publish", "rehydrate", "withdraw", "cite"),
    "Try it": ("demo", "doctor", "sandbox"),
}
"""The commands in the order in which a data set meets them."""

START = (
    "t15 demo",
    "t15 collect --city Konya --city Antalya --target 100",
    "t15 predict photo.jpg --model model.safetensors",
)
"""The examples of `t15 --help`."""

EXAMPLES = {
    "cities": "t15 cities --region turkiye15",
    "collect": "t15 collect --root ~/Pictures/cities --table photos.csv --region turkiye81",
    "import": "t15 import osv5m ~/osv5m/test.csv",
    "coverage": "t15 coverage",
    "rejected": "t15 rejected",
    "dedup": "t15 dedup",
    "quality": "t15 quality",
    "review": "t15 review --open",
    "split": "t15 split --fractions 70/15/15 --seed 0",
    "audit": "t15 audit manifests/sandbox/1.0.0",
    "verify": "t15 verify manifests/sandbox/1.0.0",
    "diff": "t15 diff manifests/sandbox/1.0.0 ~/Downloads/sandbox/2.0.0",
    "stats": "t15 stats manifests/sandbox/1.0.0",
    "geodata list": "t15 geodata list",
    "geodata at": "t15 geodata at 41.01 28.98",
    "geodata add": "t15 geodata add manifests/turkiye15/1.0.0",
    "geodata bring": "t15 geodata bring income income.tif --source 'a statistics office' --licence CC-BY-4.0",
    "aerial list": "t15 aerial list",
    "aerial plan": "t15 aerial plan --region turkiye15 --zoom 13",
    "aerial fetch": "t15 aerial fetch --region turkiye15 --zoom 13",
    "aerial add": "t15 aerial add manifests/turkiye15/1.0.0 --zoom 13",
    "geodata fetch": "t15 geodata fetch elevation_90m --region turkiye15",
    "methods": "t15 methods",
    "weights list": "t15 weights list",
    "weights fetch": "t15 weights fetch resnet18/imagenet",
    "weights add": "t15 weights add resnet18/places365 ~/Downloads/resnet18_places365.pth.tar",
    "embed": "t15 embed manifests/sandbox/1.0.0 --backbone resnet18/imagenet --out vectors.npz",
    "bench": "t15 bench --method tiny-64+knn --method 'gist-*'",
    "cite": "t15 cite manifests/sandbox/1.0.0",
    "runs list": "t15 runs list --method 'gist-*'",
    "runs show": "t15 runs show 3f2a",
    "runs remove": "t15 runs remove 3f2a 'My method' --dry-run",
    "leaderboard": "t15 leaderboard --out report",
    "explore": "t15 explore",
    "score": "t15 score predictions.csv --name 'My method'",
    "export-model": "t15 export-model 3f2a model.safetensors",
    "predict": "t15 predict photo.jpg --model model.safetensors",
    "serve": "t15 serve --model model.safetensors --open",
    "export": "t15 export manifests/sandbox/1.0.0 --format csv --out photos.csv",
    "publish": "t15 publish manifests/sandbox/1.0.0",
    "rehydrate": "t15 rehydrate manifests/sandbox/1.0.0",
    "withdraw": "t15 withdraw commons:12345 --reason 'asked for by the author'",
    "demo": "t15 demo",
    "doctor": "t15 doctor",
    "sandbox": "t15 sandbox",
}
"""An example of each command, which a test parses."""

WORDS = {
    **dict.fromkeys(("workspace", "manifests", "root", "static", "explain"), "FOLDER"),
    **dict.fromkeys(("file", "source", "table", "region_file", "density"), "FILE"),
    **dict.fromkeys(("manifest", "extend", "before", "after"), "MANIFEST"),
    **dict.fromkeys(("url", "cluster"), "ADDRESS"),
    **dict.fromkeys(("root_licence", "licence", "redistributable"), "LICENCE"),
    **dict.fromkeys(("min_distance", "within"), "METRES"),
    **dict.fromkeys(("seed", "port"), "N"),
    **{"cluster": "ADDRESS", "publisher": "NAME", "reviewer": "NAME", "push": "hub:OWNER/NAME", "ids": "ID..."},
    **{"fractions": "A/B/C", "settings": "NAME=VALUE", "seeds": "SEEDS", "date": "DATE", "form": "FORMAT"},
    **{"given_columns": "OURS=THEIRS", "max_hours": "HOURS", "out": "PATH", "path": "MANIFEST", "sha256": "DIGEST"},
}
"""What stands for an option's value where its own name in capitals would not do."""

BY_TYPE = {int: "N", float: "NUMBER"}

COMMON = ("workspace", "manifests", "json", "help")
"""Options of nearly every command, in a panel of their own at the end."""

COMMON_PANEL, RULES_PANEL = "Common options", "Rules, on or off"

RENAMED: dict[str, dict[str, tuple[str, ...]]] = {
    "collect": {"--plan": ("--dry-run",)},
    "export": {"--csv": ("--format", "csv"), "--jsonl": ("--format", "jsonl")},
    "predict": {"--csv": ("--format", "csv"), "--geojson": ("--format", "geojson")},
}
"""Options that were called otherwise: each is still understood for one round of versions, and its new name said."""

POSITIONAL = (
    *("audit", "verify", "diff", "export", "publish", "rehydrate", "embed", "stats", "explore", "cite"),
    *("geodata add", "aerial add"),
)
"""Commands whose argument is a manifest: `--manifest PATH` gives it too, as in the commands where it is an option."""


def dressed(command: Any) -> Any:
    """Return typer's command with its panels, examples and words for values; it is changed in place."""
    order = [name for names in PANELS.values() for name in names]
    panel_of = {name: panel for panel, names in PANELS.items() for name in names}
    command.commands = dict(sorted(command.commands.items(), key=lambda one: _place(order, one[0])))
    command.epilog = _examples(*START) + "\n\nDocumentation: the folder docs; `make docs` builds the site."
    for name, sub in command.commands.items():
        sub.rich_help_panel = panel_of.get(name, "More")
    for name, one in every_command(command):
        if name in EXAMPLES:
            one.epilog = _examples(EXAMPLES[name])
        for param in one.params:
            _dress(param)
        one.get_help_option = partial(_dressed_help, one.get_help_option)
    return command


def every_command(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the commands below a group by what is typed: `collect`, `weights list`; the group itself first, as ``."""
    yield before.strip(), group
    for name, one in getattr(group, "commands", {}).items():
        yield from every_command(one, f"{before}{name} ")


def in_todays_words(arguments: list[str]) -> list[str]:
    """Return a command line with the names that options have today; a note says which one was an earlier name.

    `--manifest PATH` becomes the argument where a command takes the manifest as that.
    """
    named = [one for one in arguments if not one.startswith("-")]
    command = " ".join(named[: 2 if named[:1] in (["geodata"], ["aerial"]) else 1])
    renamed = RENAMED.get(command, {})
    words: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            return [*words, argument, *rest]
        name, equals, value = argument.partition("=")
        if argument in renamed:
            note(f"{argument} is called {' '.join(renamed[argument])} now, and will go")
            words += renamed[argument]
        elif name == "--manifest" and command in POSITIONAL:
            words += [value] if equals else list(next(([one] for one in rest), [argument]))
        else:
            words.append(argument)
    return words


def _place(order: list[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _examples(*lines: str) -> str:
    return f"{'Example' if len(lines) == 1 else 'Examples'}:\n" + "\n".join(f"  {line}" for line in lines)


def _dressed_help(made: Callable[[Any], Any], context: Any) -> Any:
    option = made(context)
    if option is not None:
        _dress(option)
    return option


def _dress(param: Any) -> None:
    """Say a parameter's value in one word, its default and its environment variable in one style."""
    flag = getattr(param, "is_flag", False)
    argument = param.param_type_name == "argument"
    if param.name in COMMON and not argument:
        param.rich_help_panel = COMMON_PANEL
    elif param.secondary_opts:  # long names: among others they would leave no room for what they mean
        param.rich_help_panel = RULES_PANEL
    word = param.metavar or WORDS.get(param.name) or BY_TYPE.get(_type(param)) or param.name.upper().replace("_", "-")
    param.metavar = "" if flag else word
    if argument:
        param.display_type_rich = lambda ctx: ""  # noqa: ARG005
        param._usage_display_name = lambda: word if param.required else f"[{word}]"
    param._get_number_range_help_str = lambda: None
    said = param.help or ""
    if param.default not in (None, False, "") and not (flag and param.default is True) and "Default:" not in said:
        said += f" Default: {param.default}."
    if param.min is not None and param.max is not None:
        said += f" {param.min} to {param.max}."
    if param.envvar and not argument:
        said += f" Also: {param.envvar}."
    param.help, param.show_default, param.show_envvar = said, False, False


def _type(param: Any) -> Any:
    annotation = param.type_descriptor.annotation
    return next(
        (kind for kind in (int, float) if annotation is kind or str(annotation).startswith(kind.__name__)), None
    )
