"""Which methods there are, how they are found, and whether the built-in ones keep the contract."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from benchmark.methods.base import Method
from benchmark.methods.paper import PAPER
from benchmark.methods.registry import METHODS, choose, methods
from benchmark.results import RunInputs
from collector.errors import T15Error, UsageError
from tests.benchmark.conftest import method

# Tables I and II of the paper: accuracy in per cent.
TABLE_I = {
    "tiny-64+knn": 15.47,
    "tiny-64+logreg": 11.00,
    "tiny-128+knn": 16.27,
    "tiny-128+logreg": 13.00,
    "hog-32+knn": 20.27,
    "hog-32+logreg": 13.00,
    "hog-64+knn": 18.93,
    "hog-128+logreg": 18.00,
    "gist-64+knn": 28.53,
    "gist-128+knn": 28.53,
    "gist-256+knn": 28.15,
    "gist-64+logreg": 41.26,
}
NEIGHBOURS = {
    "tiny-64+knn": 11,
    "tiny-128+knn": 1,
    "hog-32+knn": 31,
    "hog-64+knn": 1,
    "gist-64+knn": 71,
    "gist-128+knn": 11,
    "gist-256+knn": 1,
}
TABLE_II = {"scratch:alexnet": 10.40, "scratch:resnet18": 22.40}

by_name = pytest.mark.parametrize("one", PAPER, ids=lambda one: one.name)


@dataclass(frozen=True)
class Point:
    """An entry point."""

    load: Callable[[], Any]
    name: str = "plugged"
    value: str = "package.module:METHOD"
    dist: None = None


def plug_in(monkeypatch: pytest.MonkeyPatch, *points: Point) -> None:
    monkeypatch.setattr("collector.plugins.entry_points", lambda group: points if group == "t15.methods" else ())


def names(patterns: list[str]) -> list[str]:
    return [one.name for one in choose(patterns)]


def test_names_and_titles_are_unique() -> None:
    assert len(METHODS) == len(PAPER)
    assert all(name == one.name for name, one in METHODS.items())
    assert len({one.title for one in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize(("table", "rows"), [("I", TABLE_I), ("II", TABLE_II)])
def test_the_papers_numbers_are_the_papers(table: str, rows: dict[str, float]) -> None:
    ours = {one.name: one.paper.accuracy for one in PAPER if one.paper and one.paper.table == table}
    assert ours
    assert ours == {name: rows[name] for name in ours if name in rows}


def test_each_row_of_the_paper_is_claimed_once() -> None:
    rows = [(one.paper.table, one.paper.row) for one in PAPER if one.paper]
    assert len(set(rows)) == len(rows)


@by_name
def test_parameters_are_those_of_the_paper(one: Method) -> None:
    if one.name in NEIGHBOURS:
        assert one.parameters["k"] == NEIGHBOURS[one.name]
    if one.name in TABLE_I:
        size = int(one.name.split("+")[0].split("-")[1])
        assert one.parameters["size"] == size
        assert f"{size}×{size}" in one.title
    if one.name.endswith("+logreg"):
        assert one.parameters["iterations"] == 500
    if one.name in TABLE_II:
        paper = {"learning_rate": 0.001, "momentum": 0.9, "batch": 4, "decay_every": 7, "decay": 0.1, "size": 224}
        tutorial = {"epochs": 25, "weight_decay": 0.0, "selection": "best-on-validation"}
        assert {**paper, **tutorial}.items() <= dict(one.parameters).items()


@by_name
def test_parameters_are_json(one: Method) -> None:
    for tier in ("paper", "smoke"):
        parameters = one.of_tier(tier)
        assert json.loads(json.dumps(parameters, allow_nan=False)) == parameters


@by_name
def test_smoke_overrides_what_is_there_and_changes_something(one: Method) -> None:
    assert set(one.smoke) <= set(one.parameters)
    assert one.of_tier("paper") == dict(one.parameters)
    assert one.of_tier("smoke") != one.of_tier("paper")


def test_no_two_rows_are_the_same_run() -> None:
    for tier in ("paper", "smoke"):
        runs = {json.dumps([one.fit.__name__, one.of_tier(tier)], sort_keys=True) for one in PAPER}
        assert len(runs) == len(PAPER)
        assert len({RunInputs("d", one.name, one.of_tier(tier), None, 0).identity for one in PAPER}) == len(PAPER)


@by_name
def test_fit_and_estimate_take_the_parameters(one: Method) -> None:
    inspect.signature(one.fit).bind(None, None, 0, "cpu", **one.of_tier("smoke"))
    if one.estimate is not None:
        inspect.signature(one.estimate).bind(100, 15, "cpu", **one.of_tier("smoke"))


@by_name
def test_a_network_takes_its_recipe(one: Method) -> None:
    if one.name.startswith("scratch:"):
        from benchmark.networks.train import Recipe

        recipe = Recipe(**one.parameters)  # type: ignore[arg-type]
        assert recipe.selection == one.selection
        assert one.stochastic


def test_what_starts_from_nothing_says_so() -> None:
    for one in PAPER:
        assert (one.pretraining == "none") == (one.weights_licence == "")


def test_patterns_choose_in_the_methods_own_order_and_each_once() -> None:
    assert names(["tiny-128+knn", "tiny-64+knn"]) == ["tiny-64+knn", "tiny-128+knn"]
    assert names(["tiny-*+knn", "tiny-64*"]) == ["tiny-64+knn", "tiny-64+logreg", "tiny-128+knn"]
    assert names(["scratch:resnet?8"]) == ["scratch:resnet18"]
    assert names(["*"]) == list(METHODS)
    assert names([]) == []


@pytest.mark.parametrize(
    ("pattern", "meant"), [("tiny-64+kn", "tiny-64+knn"), ("scratch:resnet", "scratch:resnet18"), ("TINY-64+KNN", "")]
)
def test_an_unknown_method_comes_with_a_suggestion(pattern: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(["tiny-64+knn", pattern])
    assert repr(pattern) in str(caught.value)
    assert f"did you mean '{meant or 'tiny-64+knn'}'" in str(caught.value)
    assert "t15 methods" in str(caught.value)


def test_an_unlike_name_has_no_suggestion() -> None:
    with pytest.raises(UsageError, match="no method 'zzz'; `t15 methods`"):
        choose(["zzz"])


def test_packages_add_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged = method("plugged")
    plug_in(monkeypatch, Point(lambda: plugged))
    assert methods()["plugged"] is plugged
    assert list(methods()) == [*METHODS, "plugged"]
    assert choose(["plug*"]) == [plugged]
    assert "plugged" not in METHODS


def test_a_package_does_not_replace_a_built_in_method(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, Point(lambda: method("tiny-64+knn")))
    assert methods() == METHODS


def test_a_broken_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> Any:
        raise ImportError("no module named nowhere")

    plug_in(monkeypatch, Point(load, "broken-plug-in"))
    with pytest.raises(T15Error, match="broken-plug-in"):
        methods()


def test_a_package_that_offers_no_method_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, Point(lambda: "no method", "odd-plug-in"))
    with pytest.raises(T15Error, match="odd-plug-in"):
        methods()
