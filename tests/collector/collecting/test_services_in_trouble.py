"""Collecting from services that fail, refuse, stop and come back: the end is the same, and no key is seen anywhere."""

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from collector.collecting.collect import Summary, collect
from collector.collecting.select import SelectionCriteria
from collector.errors import IncompleteError, ServiceError
from collector.providers import flickr, streetview
from collector.providers.base import Query
from collector.sandbox.flickr_api import Limits as FlickrLimits
from collector.sandbox.holdings import deal
from collector.sandbox.server import KINDS, Sandbox, Trouble, serving
from collector.workspace import Workspace, create_workspace
from tests.collector.collecting.sandboxed import (
    FOR_EVER,
    LISTING,
    MAKERS,
    PICTURES,
    REGION,
    check_adds_up,
    check_no_key,
    check_store,
    content,
    interfering,
    lead_to,
    rejected,
    run,
    states,
)

HERE, THERE = REGION.cities
SAMPLE: dict[str, Any] = {"query": Query(target=26, seed=1), "criteria": SelectionCriteria(26)}
"""What is asked of Street View. Of the others all is wanted, unless a test says otherwise."""
START = datetime(2026, 11, 1, 12, tzinfo=UTC)

every_service = pytest.mark.parametrize("service", list(MAKERS))


def wanted(service: str) -> dict[str, Any]:
    return SAMPLE if service == "streetview" else {}


def run_all(workspace: Workspace) -> list[Summary]:
    """Collect from all; from Street View first, since photos of others would count towards its target."""
    return [run(workspace, service, **wanted(service)) for service in ("streetview", "commons", "flickr")]


def outage(endpoint: str, kind: str = "server-error", retry_after: int = 0) -> Trouble:
    """Return that nothing of an endpoint works any more."""
    return Trouble(1.0, kinds=(kind,), endpoints=(endpoint,), in_a_row=FOR_EVER, retry_after=retry_after)


def rows_of(rows: list[tuple[Any, ...]], service: str) -> list[tuple[Any, ...]]:
    return [row for row in rows if row[0].startswith(service)]


@pytest.fixture(scope="module")
def undisturbed(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """Return the content of a catalogue into which all services were collected while nothing went wrong."""
    workspace = create_workspace(tmp_path_factory.mktemp("undisturbed"))
    server.change(Trouble())
    with pytest.MonkeyPatch.context() as patch:
        lead_to(server, patch)
        run_all(workspace)
    return content(workspace)


# --- answers that go wrong


@pytest.mark.parametrize("kind", [*KINDS, "all"])
def test_one_answer_in_ten_goes_wrong(
    sandbox: Sandbox,
    workspace: Workspace,
    undisturbed: list[tuple[Any, ...]],
    kind: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One run of each service brings home what an undisturbed one does: an empty or cut body is no lasting rejection."""
    caplog.set_level(logging.DEBUG)
    kinds = KINDS if kind == "all" else (kind,)
    sandbox.change(Trouble(0.1, seed=3, kinds=kinds, retry_after=0, slow_s=0.01))
    for summary in run_all(workspace):
        check_adds_up(summary)
        assert not summary.failed
    assert sum(number for name, number in sandbox.requests.items() if "/" in name) > (0 if kind in _OF_APIS else 5)
    assert content(workspace) == undisturbed
    check_store(workspace)
    check_no_key([caplog.text, *capfd.readouterr()], workspace.root)


_OF_APIS = ("not-json", "service-error")


@pytest.mark.parametrize("kind", ["empty", "truncated", "html"])
def test_a_picture_that_never_comes_whole_is_asked_for_again(
    sandbox: Sandbox, workspace: Workspace, undisturbed: list[tuple[Any, ...]], kind: str
) -> None:
    sandbox.change(outage("flickr.picture", kind))
    with suppress(IncompleteError):
        run(workspace, "flickr", now=lambda: START)
    assert states(workspace)["failed"] >= (5 if kind == "html" else 20)
    assert not {unusable.reason for unusable in rejected(workspace).values()} & {"empty", "truncated", "unreadable"}
    assert not list(workspace.photos.rglob("*.jpg"))
    sandbox.change(Trouble())
    run(workspace, "flickr", now=lambda: START + timedelta(minutes=10))
    assert content(workspace) == rows_of(undisturbed, "flickr")


def test_a_picture_of_no_named_type_is_taken_at_once(sandbox: Sandbox, workspace: Workspace) -> None:
    sandbox.change(outage("flickr.picture", "wrong-type"))
    run(workspace, "flickr")
    assert set(states(workspace)) == {"downloaded", "rejected"}
    assert not {unusable.reason for unusable in rejected(workspace).values()} & {"content-type", "unreadable"}


# --- outages


def test_failed_photos_are_asked_for_when_their_time_comes(
    sandbox: Sandbox, workspace: Workspace, undisturbed: list[tuple[Any, ...]]
) -> None:
    """The pauses grow fourfold, a photo is given up after five runs, and --retry-failed asks all the same."""
    sandbox.change(outage("commons.file"))
    clock = [START]
    again = partial(
        run,
        workspace,
        "commons",
        now=lambda: clock[0],
        cities=[HERE],
        criteria=SelectionCriteria(8),
        query=Query(limit=12),
    )
    with pytest.raises(IncompleteError, match=r"commons stopped answering \(http-50[023]: "):
        again()
    photos = states(workspace)["failed"]
    assert photos >= 8
    for pause in (10, 40, 160, 640):
        clock[0] += timedelta(minutes=pause - 1)
        sandbox.requests.clear()
        early = again()
        assert (early.waiting["later"], early.failed, sandbox.requests["commons.file"]) == (photos, {}, 0)
        clock[0] += timedelta(minutes=1)
        with pytest.raises(IncompleteError):
            again()
        assert (states(workspace)["failed"], sandbox.requests["commons.file"] >= photos) == (photos, True)
    clock[0] += timedelta(days=30)
    assert again().waiting == {"later": photos}
    sandbox.change(Trouble())
    assert again().added == 0
    last = again(retry_failed=True)
    check_adds_up(last)
    assert (last.added, last.by_city, last.failed) == (8, {HERE.slug: 8}, {})
    run(workspace, "commons", retry_failed=True)
    assert content(workspace) == rows_of(undisturbed, "commons")


@every_service
def test_pictures_stop_coming(
    sandbox: Sandbox,
    workspace: Workspace,
    undisturbed: list[tuple[Any, ...]],
    service: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the midst of it: what came is kept, the rest is not blamed, and the same command goes on when they come again."""
    monkeypatch.setattr("collector.collecting.download.DOWN", 6)
    # Between the two cities: within one, how much has arrived already depends on the threads.
    track = interfering(f"listing {THERE.name}", 1, lambda: sandbox.change(outage(PICTURES[service])))
    with pytest.raises(IncompleteError, match=f"{service} stopped answering.*run the same command again") as stop:
        run(workspace, service, track=track, now=lambda: START, **wanted(service))
    counts = states(workspace)
    assert counts["downloaded"] >= 4
    assert counts["failed"] == 6
    assert counts["listed"] > 0
    check_store(workspace)
    check_no_key([str(stop.value)], workspace.root)
    sandbox.change(Trouble())
    run(workspace, service, now=lambda: START + timedelta(minutes=10), **wanted(service))
    assert content(workspace) == rows_of(undisturbed, service)


@every_service
@pytest.mark.parametrize("kind", ["server-error", "reset", "html"])
def test_the_service_goes_down_while_it_is_listed(
    sandbox: Sandbox, workspace: Workspace, undisturbed: list[tuple[Any, ...]], service: str, kind: str
) -> None:
    track = interfering("listing", 1, lambda: sandbox.change(outage(LISTING[service], kind)))
    with pytest.raises(IncompleteError, match=f"{service}: .* still to be listed .*run the same command again") as stop:
        run(workspace, service, track=track, **wanted(service))
    assert stop.value.exit_code == 5
    sandbox.change(Trouble())
    run(workspace, service, **wanted(service))
    assert content(workspace) == rows_of(undisturbed, service)


def test_flickr_goes_down_between_two_of_many_cells(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are lost and doubled in this one: what is listed in the end is what an undisturbed run lists."""
    stopped, calm = create_workspace(tmp_path / "stopped"), create_workspace(tmp_path / "calm")
    options: dict[str, Any] = {"cities": [HERE], "criteria": SelectionCriteria(1), "now": lambda: START}
    with serving(deal(0, 1, 3000, {"flickr": 1.0}), limits=FlickrLimits(row_loss=0.03), pictures="pool") as sandbox:
        lead_to(sandbox, monkeypatch)
        run(calm, "flickr", **options)
        for cells in (1, 7, 3):
            sandbox.change(Trouble())
            track = interfering("listing", cells, lambda: sandbox.change(outage("flickr.photos.search")))
            with pytest.raises(IncompleteError):
                run(stopped, "flickr", track=track, **options)
        sandbox.change(Trouble())
        run(stopped, "flickr", **options)
    assert content(stopped) == content(calm)


# --- keys and quotas


@pytest.mark.parametrize(("service", "variable"), [("flickr", flickr.VARIABLE), ("streetview", streetview.VARIABLE)])
def test_a_refused_key_is_named_by_its_variable(
    sandbox: Sandbox, workspace: Workspace, service: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "0123456789abcdef" * 2
    monkeypatch.setenv(variable, wrong)
    with pytest.raises(ServiceError, match=variable) as refusal:
        run(workspace, service)
    assert refusal.value.exit_code == 4
    assert wrong not in str(refusal.value)
    assert content(workspace) == []
    assert sandbox.requests[LISTING[service]] <= (1 if service == "flickr" else 4)  # no key is tried twice
    check_no_key([str(refusal.value)], workspace.root)


def test_a_key_that_is_refused_for_pictures_alone_costs_no_photo(
    sandbox: Sandbox, workspace: Workspace, undisturbed: list[tuple[Any, ...]]
) -> None:
    """As it is where metadata is free and pictures want billing."""
    provider = streetview.make()
    provider.http.access = replace(provider.http.access, secrets=("f" * 39,))
    track = interfering(f"listing {HERE.name}", 40, lambda: setattr(provider, "key", "f" * 39))
    with pytest.raises(ServiceError, match="key is not accepted for pictures"):
        collect(workspace, REGION, [HERE], provider, track=track, **SAMPLE)
    assert "rejected" not in states(workspace)
    run(workspace, "streetview", **SAMPLE)
    assert content(workspace) == rows_of(undisturbed, "streetview")


@every_service
def test_a_quota_that_is_used_up_while_listing(
    sandbox: Sandbox, workspace: Workspace, undisturbed: list[tuple[Any, ...]], service: str
) -> None:
    used_up = outage(LISTING[service], "rate-limited", retry_after=3600)
    track = interfering("listing", 1, lambda: sandbox.change(used_up))
    with pytest.raises(IncompleteError, match=r"rate-limited.*run the same command again in 60 min") as stop:
        run(workspace, service, track=track, **wanted(service))
    assert stop.value.exit_code == 5
    assert sandbox.requests[f"{LISTING[service]}/rate-limited"] <= 4  # nobody who asks for an hour is asked again
    sandbox.change(Trouble())
    run(workspace, service, **wanted(service))
    assert content(workspace) == rows_of(undisturbed, service)


@every_service
def test_a_quota_that_is_used_up_while_fetching(
    sandbox: Sandbox, workspace: Workspace, undisturbed: list[tuple[Any, ...]], service: str
) -> None:
    used_up = outage(PICTURES[service], "rate-limited", retry_after=3600)
    track = interfering("fetching", 5, lambda: sandbox.change(used_up))
    with pytest.raises(IncompleteError, match=r"stopped answering.*again after 2026-11-0\d \d\d:") as stop:
        run(workspace, service, track=track, now=lambda: START, **wanted(service))
    assert sandbox.requests[f"{PICTURES[service]}/rate-limited"] <= 8  # those on their way
    check_no_key([str(stop.value)], workspace.root)
    assert states(workspace)["failed"] == 1
    assert states(workspace)["downloaded"] >= 5
    sandbox.change(Trouble())
    run(workspace, service, now=lambda: START + timedelta(hours=1, minutes=1), **wanted(service))
    assert content(workspace) == rows_of(undisturbed, service)
