"""The sandbox's services, served once for all tests of collecting from them."""

from collections.abc import Iterator

import pytest

from collector.sandbox.holdings import deal
from collector.sandbox.server import Sandbox, Trouble, serving
from tests.collector.collecting.sandboxed import lead_to


@pytest.fixture(scope="package")
def server() -> Iterator[Sandbox]:
    """Return a running sandbox with two cities; whoever changes what goes wrong there goes through `sandbox`."""
    with serving(deal(1, 2, 40)) as running:
        yield running


@pytest.fixture
def sandbox(server: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Return the sandbox, in order and with its counters at 0; t15's clients are led to it."""
    server.change(Trouble())
    server.requests.clear()
    server.log.clear()
    lead_to(server, monkeypatch)
    return server
