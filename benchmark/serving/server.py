"""`t15 serve`: a model's page and API on 127.0.0.1, until it is stopped."""

import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import uvicorn

from benchmark.predicting.answer import Answerer
from benchmark.serving.app import make_app
from benchmark.serving.app_state import Desk
from benchmark.serving.limits import Limits
from collector.errors import UsageError
from collector.images.decode import quiet_decoders
from collector.workspace import Workspace

_BACKLOG = 1024  # connections that wait to be accepted; where more come at once, some are reset
_FILES = 4096  # open at a time, connections among them; shells often give 1024, too few for a thousand uploads at once


def serve(
    answerer: Answerer,
    workspace: Workspace,
    port: int = 0,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    *,
    open_browser: bool = False,
    say: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Serve a model until Ctrl-C, after saying where.

    Args:
        answerer, workspace, port, limits: as for `serving`.
        open_browser: open the page in the user's browser.
        say: prints a text.
        stop: ends it too.

    Raises:
        UsageError: as `serving` does.
    """
    _allow_files()
    with serving(answerer, workspace, port, limits) as url:
        say(f"{answerer.about.title} answers on {url}\nPhotos are kept nowhere. Ctrl-C ends it.")
        if open_browser:
            webbrowser.open(url)
        try:
            (stop or threading.Event()).wait()
        except KeyboardInterrupt:
            say("")


@contextmanager
def serving(
    answerer: Answerer,
    workspace: Workspace,
    port: int = 0,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> Iterator[str]:
    """Serve a model until the context ends, and yield the page's address.

    Args:
        answerer: the model.
        workspace: where training photos lie, for their thumbnails; it need not exist.
        port: 0 for any that is free.
        limits: of photos and of work.

    Raises:
        UsageError: the port is taken or forbidden.
    """
    with _bound(port) as listening, closing(Desk(answerer, workspace, limits)) as desk, quiet_decoders():
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            make_app(desk, port),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # uvicorn else believes X-Forwarded-For of anybody on this machine
            timeout_graceful_shutdown=2,
            backlog=_BACKLOG,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), name="serve", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.should_exit = True
            thread.join()


def _allow_files() -> None:
    if sys.platform == "win32":
        return  # it sets no such limit
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft not in (hard, resource.RLIM_INFINITY) and soft < _FILES:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (_FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES), hard)
        )


@contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    # Named as TCP: asyncio turns Nagle's algorithm off only for sockets that say so, and answers wait 40 ms with it.
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "is no port"
            raise UsageError(f"serve: port {port}: {reason}; choose another with --port, or 0 for any") from error
        yield listening
