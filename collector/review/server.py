"""`t15 review`: serves the review of one workspace on 127.0.0.1, for one reviewer, until it is stopped."""

import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import uvicorn

from collector.errors import UsageError
from collector.images.decode import quiet_decoders
from collector.review import decisions
from collector.review.app import make_app
from collector.review.view import Desk
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
        if open_browser:
            webbrowser.open(url)
        try:
            (stop or threading.Event()).wait()
        except KeyboardInterrupt:
            say("")


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
    with decisions.opened(workspace), _bound(port) as listening, quiet_decoders():
        token, port = secrets.token_urlsafe(32), listening.getsockname()[1]
        config = uvicorn.Config(
            make_app(desk, port, token),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,  # would write the token down
            server_header=False,
            proxy_headers=False,  # uvicorn else believes X-Forwarded-For of anybody on this machine
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), name="review", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/?token={token}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    # The protocol is named, since asyncio turns Nagle's algorithm off for sockets alone that say they are TCP; with it, each
    # answer on a connection that is kept waits 40 ms for an acknowledgement (seen with 60 thumbnails).
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "is no port"
            raise UsageError(f"review: port {port}: {reason}; choose another with --port, or 0 for any") from error
        yield listening
