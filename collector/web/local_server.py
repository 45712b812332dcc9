"""A server on 127.0.0.1 for one user of this machine: bound, served in a thread beside the work, stopped by Ctrl-C."""

import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import uvicorn
from starlette.types import ASGIApp

from collector.errors import UsageError


@contextmanager
def bound(port: int, command: str) -> Iterator[socket.socket]:
    """Give a listening socket on 127.0.0.1, so that its number is known before anything is made for it.

    Args:
        port: 0 for any that is free.
        command: whose option `--port` it is.

    Raises:
        UsageError: the port is taken or forbidden.
    """
    # The protocol is named, since asyncio turns Nagle's algorithm off for sockets alone that say they are TCP; with it, each
    # answer on a connection that is kept waits 40 ms for an acknowledgement (seen with 60 thumbnails).
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "is no port"
            raise UsageError(f"{command}: port {port}: {reason}; choose another with --port, or 0 for any") from error
        yield listening


@contextmanager
def served(app: ASGIApp, listening: socket.socket, backlog: int = 100) -> Iterator[None]:
    """Serve an application until the context ends; `backlog` connections may wait to be accepted."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,  # would write tokens down
        server_header=False,
        proxy_headers=False,  # uvicorn else believes X-Forwarded-For of anybody on this machine
        timeout_graceful_shutdown=2,
        backlog=backlog,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="local server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def wait(url: str, *, open_browser: bool, say: Callable[[str], None], stop: threading.Event | None) -> None:
    """Wait for Ctrl-C, or for `stop`; with `open_browser` the user's browser is shown the page first."""
    if open_browser:
        webbrowser.open(url)
    try:
        (stop or threading.Event()).wait()
    except KeyboardInterrupt:
        say("")
