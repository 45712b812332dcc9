"""`t15 review`: serves the review of one workspace on 127.0.0.1, for one reviewer, until it is stopped."""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from collector.images.decode import quiet_decoders
from collector.review import decisions
from collector.review.app import make_app
from collector.review.pages import Desk
from collector.web.local_server import bound, served, wait
from collector.workspace import Workspace


def review(
    workspace: Workspace,
    reviewer: str | None = None,
    port: int = 0,
    *,
    open_browser: bool = False,
    say: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Serve the review until Ctrl-C, after saying where.

    Args:
        workspace, port: as for `serving`.
        reviewer: in whose name decisions are made; the login name when None.
        open_browser: open the link in the user's browser, on whose command line other users of the machine may read it.
        say: prints a text.
        stop: ends it too.

    Raises:
        T15Error: as `serving` does.
    """
    reviewer = decisions.reviewer_name(reviewer)
    with serving(workspace, reviewer, port) as url:
        say(f"Reviewing as {reviewer}: {url}\nThe link is good for one use, in one browser. Ctrl-C ends the review.")
        wait(url, open_browser=open_browser, say=say, stop=stop)


@contextmanager
def serving(
    workspace: Workspace,
    reviewer: str,
    port: int = 0,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[str]:
    """Serve the review of a workspace until the context ends, and yield the link, whose token is good for one use.

    Args:
        workspace: with a catalogue.
        reviewer: in whose name decisions are made.
        port: 0 for any that is free.
        now: the time, UTC.

    Raises:
        UsageError: there is no catalogue, the name is none, or the port is taken or forbidden.
        DataError: the catalogue is damaged, or of a newer t15.
        IncompleteError: another process changes the catalogue for longer than ten seconds.
    """
    desk = Desk(workspace, decisions.reviewer_name(reviewer), now)
    # Held open all the time: SQLite removes the write-ahead log when the last connection closes, and a request that opens
    # the file at that moment would fail.
    with decisions.opened(workspace), bound(port, "review") as listening, quiet_decoders():
        token, port = secrets.token_urlsafe(32), listening.getsockname()[1]
        with served(make_app(desk, port, token), listening):
            yield f"http://127.0.0.1:{port}/?token={token}"
