"""Trouble comes at its rate, the same every time, and passes."""

from collections import Counter

import pytest

from collector.errors import UsageError
from collector.sandbox.server import KINDS, Strikes, Trouble


def drawn(trouble: Trouble, requests: int = 600, api: bool = True) -> list[str | None]:
    strikes = Strikes(trouble)
    return [strikes.next("flickr.photos.search", f"request {number}", api) for number in range(requests)]


def test_trouble_comes_at_its_rate_in_all_kinds() -> None:
    kinds = Counter(drawn(Trouble(0.3)))
    assert 380 < kinds.pop(None) < 460
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) > 5
    assert set(drawn(Trouble())) == {None}


def test_trouble_is_the_same_every_time_whatever_the_order() -> None:
    trouble = Trouble(0.5, seed=3)
    assert drawn(trouble) == drawn(trouble)
    assert drawn(trouble) != drawn(Trouble(0.5, seed=4))
    strikes = Strikes(trouble)
    backwards = [strikes.next("flickr.photos.search", f"request {number}", True) for number in reversed(range(600))]
    assert backwards[::-1] == drawn(trouble)


def test_a_request_is_answered_in_the_end_and_may_fail_again_later() -> None:
    strikes = Strikes(Trouble(1.0, in_a_row=2))
    outcome = [strikes.next("x", "the same", True) is not None for _ in range(9)]
    assert outcome == [True, True, False] * 3


def test_only_the_kinds_and_endpoints_that_are_asked_for() -> None:
    assert set(drawn(Trouble(1.0, kinds=("reset", "html")))) == {"reset", "html"}
    assert set(drawn(Trouble(1.0, endpoints=("commons",)))) == {None}
    assert None not in drawn(Trouble(1.0, endpoints=("commons", "flickr.photos")))
    assert not {"not-json", "service-error"} & set(drawn(Trouble(1.0), api=False))
    assert set(drawn(Trouble(1.0, kinds=("not-json",)), api=False)) == {None}


@pytest.mark.parametrize("settings", [{"rate": 1.5}, {"rate": -0.1}, {"rate": float("nan")}, {"kinds": ("rest",)}])
def test_wrong_settings_are_usage_errors(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="sandbox"):
        Trouble(**settings)  # type: ignore[arg-type]  # wrong on purpose
