"""A refusal that may pass is a state of the host, not of each photo: what stops a run, what is asked again, and when."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.catalogue.catalogue import open_catalogue
from collector.collecting.collect import Summary, collect
from collector.collecting.download import DOWN, REFUSALS, Failed, Failures
from collector.errors import IncompleteError, UsageError
from collector.net.client import Http
from collector.providers import panoramax
from collector.records import City, Photo, Region, Unusable
from collector.workspace import Workspace
from tests.collector.net.servers import FakeTime, Script, Server, answer, redirect
from tests.conftest import PhotoBytes

IZMIR = City("izmir", "İzmir", 38.42, 27.14, 3.0)
REGION = Region("r", "", (IZMIR,))
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
LATER = START + timedelta(minutes=11)
PHOTOS = 24

Collect = Callable[..., Summary]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(answer()) as running:
        yield running


@pytest.fixture
def picture(photo_bytes: PhotoBytes) -> bytes:
    return answer(photo_bytes(), kind="image/jpeg")


@pytest.fixture
def run(server: Server, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Collect:
    """Return what collects from an instance of Panoramax whose pictures the server's scripts are; nobody has to wait."""
    time = FakeTime()
    monkeypatch.setenv("T15_PANORAMAX_URL", f"{server.url}/api")
    make = partial(Http, clock=time.clock, sleep=lambda s: time.sleep(max(s, 0.001)), chance=lambda: 0.0)
    monkeypatch.setattr(panoramax, "Http", make)
    server.fixed["/api/search"] = listing(server, PHOTOS)
    return lambda now=START, **options: collect(
        workspace, REGION, [IZMIR], panoramax.make(), now=lambda: now, **options
    )


def listing(server: Server, photos: int) -> bytes:
    features = [
        {
            "type": "Feature",
            "id": str(uuid.UUID(int=number + 1)),
            "geometry": {"type": "Point", "coordinates": [27.14 + number * 0.001, 38.42]},
            "properties": {"license": "etalab-2.0", "geovisio:producer": f"producer {number}"},
            "assets": {"sd": {"href": f"{server.url}/pictures/{number}.jpg"}},
        }
        for number in range(photos)
    ]
    return answer(json.dumps({"type": "FeatureCollection", "features": features}).encode(), kind="application/geo+json")


def states(workspace: Workspace) -> dict[str, int]:
    with open_catalogue(workspace) as catalogue:
        return catalogue.counts()


PAGE = b"<!DOCTYPE html><title>One moment, please</title>"
PASSING: dict[str, Script] = {
    "403": answer(PAGE, 403, kind="text/html"),
    "403 that says when": answer(PAGE, 403, "Retry-After: 30", kind="text/html"),
    "403 that says when, far away": answer(PAGE, 403, "Retry-After: 7200", kind="text/html"),
    "401": answer(b"", 401),
    "405": answer(b"", 405),
    "406": answer(b"", 406),
    "418": answer(b"", 418),
    "429": answer(b"", 429),
    "304": answer(b"", 304),
    "a limit in a 400": answer(b'{"error": "rate limit exceeded"}', 400),
    "a limit in a 403": answer(b"You are being rate limited", 403),
    "a limit in a 500": answer(b"Quota exceeded", 500),
    "404 that says when": answer(b"", 404, "Retry-After: 30"),
    "a page": answer(PAGE, kind="text/html"),
    "a page under image/jpeg": answer(PAGE, kind="image/jpeg"),
    "JSON under image/jpeg": answer(b'{"message": "later"}', kind="image/jpeg"),
    "a login elsewhere": redirect("https://login.example/?next=picture"),
    "a login here": redirect("/login"),
    "redirects without end": redirect("/again"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_host_that_refuses_everything_stops_the_run_and_costs_no_photo(
    run: Collect, server: Server, workspace: Workspace, picture: bytes, name: str
) -> None:
    server.fixed["/login"] = answer(PAGE, kind="text/html")
    server.scripts[:] = [PASSING[name]]
    with pytest.raises(IncompleteError, match="run the same command again") as stop:
        run()
    assert stop.value.exit_code == 5
    assert "\n" not in str(stop.value)
    assert "rejected" not in states(workspace)
    asked = len({path for path in server.paths if path.startswith("/pictures/")})
    assert asked < PHOTOS
    server.scripts[:] = [picture]
    first = run(now=START)
    assert first.failed == {}
    assert first.added + first.waiting.get("later", 0) == PHOTOS
    assert run(now=START, retry_failed=True).added == PHOTOS - first.added
    assert states(workspace) == {"downloaded": PHOTOS}


@pytest.mark.parametrize("name", ["403", "403 that says when", "405", "304", "a login elsewhere", "404 that says when"])
def test_a_single_refusal_among_pictures_that_come_is_recorded(
    run: Collect, server: Server, workspace: Workspace, picture: bytes, name: str
) -> None:
    server.scripts[:] = [picture]
    server.fixed["/pictures/7.jpg"] = PASSING[name]
    summary = run()
    assert (summary.added, summary.failed, summary.rejected) == (PHOTOS - 1, {"refused": 1}, {})
    with open_catalogue(workspace) as catalogue:
        outcome = catalogue.outcome(f"panoramax:{uuid.UUID(int=8)}")
    assert outcome is not None
    assert outcome[:2] == ("failed", "refused")
    assert run(now=START + timedelta(minutes=1)).waiting == {"later": 1}
    del server.fixed["/pictures/7.jpg"]
    assert run(now=LATER).added == 1


@pytest.mark.parametrize(("status", "reason"), [(404, "gone"), (410, "gone"), (451, "refused")])
def test_what_is_gone_or_forbidden_for_ever_is_asked_again_by_its_reason_alone(
    run: Collect, server: Server, workspace: Workspace, picture: bytes, status: int, reason: str
) -> None:
    server.scripts[:] = [picture]
    server.fixed["/pictures/7.jpg"] = answer(b"", status)
    assert run().rejected == {reason: 1}
    del server.fixed["/pictures/7.jpg"]
    for options in ({}, {"retry_failed": True}, {"check": True}):
        assert run(now=START + timedelta(days=30), **options).added == 0
    assert run(retry=frozenset({reason})).added == 1
    assert states(workspace) == {"downloaded": PHOTOS}
    with pytest.raises(UsageError, match=rf"--retry {reason}: no photo was given up for that"):
        run(retry=frozenset({reason}))


def test_a_reason_that_is_misspelt_is_named(run: Collect, server: Server, picture: bytes) -> None:
    server.scripts[:] = [picture]
    server.fixed["/pictures/7.jpg"] = answer(b"", 404)
    run()
    with pytest.raises(UsageError, match=r"--retry gon: .*did you mean 'gone'.*reasons here: gone"):
        run(retry=frozenset({"gon"}))


def test_few_pictures_that_are_all_refused_are_a_refusal_too(
    run: Collect, server: Server, workspace: Workspace
) -> None:
    server.fixed["/api/search"] = listing(server, 3)
    server.scripts[:] = [PASSING["403"]]
    with pytest.raises(IncompleteError, match=r"127\.0\.0\.1 refuses one picture after the other \(refused: http-403"):
        run()
    assert states(workspace) == {"failed": 3}


@pytest.mark.parametrize(
    ("status", "reason"), [(503, "http-503"), (202, "http-202"), (204, "http-204"), (200, "empty")]
)
def test_few_pictures_of_which_none_comes_end_as_a_service_that_does_not_answer(
    run: Collect, server: Server, workspace: Workspace, status: int, reason: str
) -> None:
    server.fixed["/api/search"] = listing(server, 3)
    server.scripts[:] = [answer(b"", status, kind="image/jpeg")]
    with pytest.raises(IncompleteError, match=rf"panoramax stopped answering \({reason}"):
        run()
    assert states(workspace) == {"failed": 3}


@pytest.mark.parametrize("status", [403, 404, 410, 451, 500])
def test_a_picture_that_has_another_address_now_is_asked_for_there(
    run: Collect, server: Server, workspace: Workspace, picture: bytes, status: int
) -> None:
    """A service moves its pictures: before, the first address was asked for ever, or not at all."""
    server.scripts[:] = [picture]
    server.fixed["/pictures/7.jpg"] = answer(b"", status)
    assert run().added == PHOTOS - 1
    server.fixed["/api/search"] = listing(server, PHOTOS).replace(b"/pictures/", b"/pictured/")
    assert run(now=START + timedelta(minutes=1)).added == 1
    assert states(workspace) == {"downloaded": PHOTOS}


def test_a_service_says_when_to_come_back(run: Collect, server: Server, workspace: Workspace) -> None:
    server.scripts[:] = [PASSING["403 that says when, far away"]]
    with pytest.raises(IncompleteError, match=r"again after 2026-11-01 \d\d:00"):
        run()
    assert len([path for path in server.paths if path.startswith("/pictures/")]) <= 2  # those on their way
    with pytest.raises(IncompleteError):
        run(now=START + timedelta(minutes=119))
    with open_catalogue(workspace) as catalogue:
        waiting = [item for item in catalogue.listing("izmir", "panoramax") if item.state == "failed"]
    assert all(item.next_try and item.next_try >= START + timedelta(hours=2) for item in waiting)


# --- the rule by itself


def photo_at(host: str) -> Photo:
    return Photo("x:1", "izmir", image_url=f"https://{host}/1.jpg")


def refused(host: str, retry_after: float | None = None) -> Failed:
    return Failed(photo_at(host), "refused", "", retry_after, is_refusal=True)


@given(st.lists(st.sampled_from(["refused", "came", "gone", "failed"]), max_size=40))
def test_a_host_is_shut_after_refusals_with_nothing_that_came_between(outcomes: list[str]) -> None:
    made: dict[str, Any] = {
        "refused": refused("a"),
        "came": photo_at("a"),
        "gone": Unusable("x:1", "gone", ""),
        "failed": Failed(photo_at("a"), "http-500", "", None),
    }
    failures, since_came, in_a_row = Failures(), 0, 0
    for name in outcomes:
        failures.settle(made[name])
        since_came = 0 if name == "came" else since_came + (name == "refused")
        in_a_row = in_a_row + 1 if name in ("refused", "failed") else 0
        if name == "refused":
            assert failures.is_shut(made[name]) == (since_came >= REFUSALS)
        assert failures.is_down() == (in_a_row >= DOWN)


def test_hosts_are_counted_apart() -> None:
    failures = Failures()
    for _ in range(REFUSALS):
        failures.settle(refused("a"))
        failures.settle(photo_at("b"))
    assert failures.is_shut(refused("a"))
    assert not failures.is_shut(refused("b"))


def test_a_word_about_when_counts_for_more() -> None:
    failures = Failures()
    failures.settle(refused("a", 30.0))
    assert not failures.is_shut(refused("a", 30.0))
    failures.settle(refused("a", 30.0))
    assert failures.is_shut(refused("a", 30.0))
    assert Failures().is_shut(refused("a", 3600.0))
    assert Failures().is_shut(Failed(photo_at("a"), "rate-limited", "", None, is_refusal=True))
