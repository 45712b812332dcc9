"""`t15 serve`: a model's page and API on 127.0.0.1, until it is stopped."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from benchmark.predicting.answer import Answerer
from benchmark.serving.app import Desk, make_app
from benchmark.serving.limits import Limits
from collector.images.decode import quiet_decoders
from collector.web.local_server import bound, served, wait
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
        wait(url, open_browser=open_browser, say=say, stop=stop)


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
    with bound(port, "serve") as listening, closing(Desk(answerer, workspace, limits)) as desk, quiet_decoders():
        port = listening.getsockname()[1]
        with served(make_app(desk, port), listening, _BACKLOG):
            yield f"http://127.0.0.1:{port}/"


def _allow_files() -> None:
    if sys.platform == "win32":
        return  # it sets no such limit
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft not in (hard, resource.RLIM_INFINITY) and soft < _FILES:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (_FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES), hard)
        )
